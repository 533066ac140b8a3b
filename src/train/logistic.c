/* logistic.c: the loss in chunks of vectors, one job each; L-BFGS around it.
 *
 * How the vectors are parted depends on their number alone, and the chunks'
 * gradients are added in order: so the result does not depend on the threads.
 *
 * Cost of a step: 4 n dim n_classes operations, seldom more than once; some 20
 * steps, more for weak decays. */
#include "train/logistic.h"

#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNKS = 16,
    BLOCK = 16,             /* vectors */
    CHUNK_FLOATS = 1 << 26, /* of all chunks' gradients, at most */
    MEMORY = 8,             /* steps that are remembered */
    MAX_STEPS = 200,
    HALVINGS = 30,
    PATIENCE = 3 /* the first steps know nothing of the curvature */
};
/* So many steps in a row that gain less, relatively, are the last. What comes
 * after changes what is right on held-out photos by less than chance does. */
static const double LEAST_GAIN = 1e-3;
/* Of what the slope promises, so much must be had (Armijo's rule). */
static const double FAIR_SHARE = 1e-4;

/* ---- the loss ------------------------------------------------------------ */

struct chunk {
    const struct sosie_logistic *problem;
    const float *weights;
    size_t first, end;
    float *gradient; /* of the sum over its vectors */
    float *logits;   /* (BLOCK, n_classes) */
    double loss;
};

/* Logits -> what each must change by, times n; returns the loss. */
static double soften(float *logits, size_t n, uint32_t label)
{
    float most = logits[0];
    double sum = 0, loss;
    for (size_t c = 1; c < n; c++)
        most = fmaxf(most, logits[c]);
    loss = (double)(most - logits[label]);
    for (size_t c = 0; c < n; c++) {
        logits[c] = expf(logits[c] - most);
        sum += (double)logits[c];
    }
    for (size_t c = 0; c < n; c++)
        logits[c] = (float)((double)logits[c] / sum);
    logits[label] -= 1;
    return loss + log(sum);
}

/* A few vectors, which stay in the cache while each class passes over them. */
static void run_block(struct chunk *chunk, size_t first, size_t n)
{
    const struct sosie_logistic *problem = chunk->problem;
    sosie_axpy_f32 *axpy = sosie_kernels()->axpy_f32;
    size_t dim = problem->dim, n_classes = problem->n_classes;
    const float *x = problem->x + first * dim;
    sosie_logistic_logits(x, n, dim, chunk->weights, n_classes, chunk->logits);
    for (size_t i = 0; i < n; i++)
        chunk->loss += soften(chunk->logits + i * n_classes, n_classes,
                              problem->labels[first + i]);
    for (size_t c = 0; c < n_classes; c++) {
        float *row = chunk->gradient + c * (dim + 1);
        for (size_t i = 0; i < n; i++) {
            float change = chunk->logits[i * n_classes + c];
            axpy(change, x + i * dim, row, dim);
            row[dim] += change;
        }
    }
}

static void run_chunk(void *argument, size_t worker)
{
    struct chunk *chunk = argument;
    const struct sosie_logistic *problem = chunk->problem;
    size_t dim = problem->dim, n_classes = problem->n_classes;
    (void)worker;
    memset(chunk->gradient, 0, n_classes * (dim + 1) * sizeof(float));
    chunk->loss = 0;
    for (size_t first = chunk->first; first < chunk->end; first += BLOCK)
        run_block(chunk, first,
                  chunk->end - first < BLOCK ? chunk->end - first : BLOCK);
}

void sosie_logistic_logits(const float *x, size_t n, size_t dim,
                           const float *weights, size_t n_classes,
                           float *logits)
{
    sosie_dot_f32 *dot = sosie_kernels()->dot_f32;
    for (size_t c = 0; c < n_classes; c++) {
        const float *row = weights + c * (dim + 1);
        for (size_t i = 0; i < n; i++)
            logits[i * n_classes + c] = dot(row, x + i * dim, dim) + row[dim];
    }
}

/* The chunks of a problem, and room for what they need. */
struct loss {
    const struct sosie_logistic *problem;
    size_t size; /* weights */
    size_t n;
    struct chunk chunks[CHUNKS];
    float *room;
};

static enum sosie_status loss_init(struct loss *loss,
                                   const struct sosie_logistic *problem,
                                   struct sosie_error *err)
{
    size_t size = problem->n_classes * (problem->dim + 1);
    size_t each = size + BLOCK * problem->n_classes, n = CHUNK_FLOATS / each;
    n = n < 1 ? 1 : n > CHUNKS ? CHUNKS : n;
    *loss = (struct loss){.problem = problem,
                          .size = size,
                          .n = n,
                          .room = calloc(n, each * sizeof(float))};
    if (!loss->room)
        return sosie_fail(err, SOSIE_NO_MEMORY,
                          "a regression of %zu classes on %zu vectors",
                          problem->n_classes, problem->n);
    for (size_t i = 0; i < n; i++)
        loss->chunks[i] =
            (struct chunk){.problem = problem,
                           .first = problem->n * i / n,
                           .end = problem->n * (i + 1) / n,
                           .gradient = loss->room + i * each,
                           .logits = loss->room + i * each + size};
    return SOSIE_OK;
}

static double loss_at(struct loss *loss, const float *weights, float *gradient)
{
    const struct sosie_logistic *problem = loss->problem;
    sosie_axpy_f32 *axpy = sosie_kernels()->axpy_f32;
    size_t dim = problem->dim;
    float share = 1.0F / (float)problem->n;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < loss->n; i++) {
        loss->chunks[i].weights = weights;
        sosie_pool_submit(problem->pool, run_chunk, &loss->chunks[i]);
    }
    sosie_pool_wait(problem->pool);
    memset(gradient, 0, loss->size * sizeof(*gradient));
    for (size_t i = 0; i < loss->n; i++) {
        sum += loss->chunks[i].loss;
        axpy(share, loss->chunks[i].gradient, gradient, loss->size);
    }
    for (size_t c = 0; c < problem->n_classes; c++) {
        const float *row = weights + c * (dim + 1);
        axpy((float)problem->decay, row, gradient + c * (dim + 1), dim);
        squares += (double)sosie_kernels()->dot_f32(row, row, dim);
    }
    return sum / (double)problem->n + problem->decay / 2 * squares;
}

enum sosie_status sosie_logistic_loss(const struct sosie_logistic *problem,
                                      const float *weights, double *loss,
                                      float *gradient, struct sosie_error *err)
{
    struct loss all;
    enum sosie_status st = loss_init(&all, problem, err);
    if (st)
        return st;
    *loss = loss_at(&all, weights, gradient);
    free(all.room);
    return SOSIE_OK;
}

/* ---- L-BFGS -------------------------------------------------------------- */

struct descent {
    size_t size;
    float *weights, *gradient;            /* where it is */
    float *new_weights, *new_gradient;    /* where it might go */
    float *direction;                     /* down is against it */
    float *steps[MEMORY], *turns[MEMORY]; /* of weights and gradients */
    double products[MEMORY];              /* of step and turn */
    size_t first, n;                      /* of those remembered: a ring */
    float *room;
};

static double product(const float *a, const float *b, size_t n)
{
    enum { PART = 1024 }; /* floats add up well over so many */
    double sum = 0;
    for (size_t i = 0; i < n; i += PART)
        sum += (double)sosie_kernels()->dot_f32(a + i, b + i,
                                                n - i < PART ? n - i : PART);
    return sum;
}

static enum sosie_status descent_init(struct descent *d, float *weights,
                                      size_t size, struct sosie_error *err)
{
    float *room = calloc(size, (4 + 2 * MEMORY) * sizeof(*room));
    *d = (struct descent){.size = size, .weights = weights, .room = room};
    if (!room)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a regression's %zu weights",
                          size);
    d->gradient = room;
    d->new_weights = room + size;
    d->new_gradient = room + 2 * size;
    d->direction = room + 3 * size;
    for (size_t i = 0; i < MEMORY; i++) {
        d->steps[i] = room + (4 + i) * size;
        d->turns[i] = room + (4 + MEMORY + i) * size;
    }
    return SOSIE_OK;
}

/* The gradient times what the remembered steps say of the inverse Hessian;
 * `usual` stands for it where none is remembered. */
static void find_direction(struct descent *d, float usual)
{
    sosie_axpy_f32 *axpy = sosie_kernels()->axpy_f32;
    double alphas[MEMORY], scale = (double)usual;
    memcpy(d->direction, d->gradient, d->size * sizeof(float));
    for (size_t k = d->n; k-- > 0;) {
        size_t i = (d->first + k) % MEMORY;
        alphas[k] =
            product(d->steps[i], d->direction, d->size) / d->products[i];
        axpy((float)-alphas[k], d->turns[i], d->direction, d->size);
    }
    if (d->n) {
        size_t last = (d->first + d->n - 1) % MEMORY;
        scale = d->products[last] /
                product(d->turns[last], d->turns[last], d->size);
    }
    for (size_t i = 0; i < d->size; i++)
        d->direction[i] *= (float)scale;
    for (size_t k = 0; k < d->n; k++) {
        size_t i = (d->first + k) % MEMORY;
        double beta =
            product(d->turns[i], d->direction, d->size) / d->products[i];
        axpy((float)(alphas[k] - beta), d->steps[i], d->direction, d->size);
    }
}

/* Goes there, and remembers the way if it curves upwards. */
static void move(struct descent *d)
{
    size_t i = (d->first + d->n) % MEMORY;
    float *step = d->steps[i], *turn = d->turns[i];
    for (size_t k = 0; k < d->size; k++) {
        step[k] = d->new_weights[k] - d->weights[k];
        turn[k] = d->new_gradient[k] - d->gradient[k];
    }
    d->products[i] = product(step, turn, d->size);
    memcpy(d->weights, d->new_weights, d->size * sizeof(float));
    memcpy(d->gradient, d->new_gradient, d->size * sizeof(float));
    if (!(d->products[i] > 0))
        return;
    if (d->n < MEMORY)
        d->n++;
    else
        d->first = (d->first + 1) % MEMORY;
}

/* Looks along the direction, nearer and nearer, for a fair gain; false if there
 * is none. *value: the loss here, then there. */
static bool search_line(struct loss *loss, struct descent *d, double *value)
{
    double slope = product(d->gradient, d->direction, d->size), stride = 1;
    for (size_t i = 0; i < HALVINGS; i++, stride /= 2) {
        double found;
        memcpy(d->new_weights, d->weights, d->size * sizeof(float));
        sosie_kernels()->axpy_f32((float)-stride, d->direction, d->new_weights,
                                  d->size);
        found = loss_at(loss, d->new_weights, d->new_gradient);
        if (found <= *value - FAIR_SHARE * stride * slope) {
            *value = found;
            return true;
        }
    }
    return false;
}

/* No direction curves more than half the square of a vector's length. */
static float usual_stride(const struct sosie_logistic *problem)
{
    size_t n = problem->n < 100 ? problem->n : 100;
    double squares = 1; /* of the bias */
    squares += product(problem->x, problem->x, n * problem->dim) / (double)n;
    return (float)(2 / squares);
}

enum sosie_status sosie_logistic_fit(const struct sosie_logistic *problem,
                                     float *weights, struct sosie_error *err)
{
    struct descent d = {0};
    struct loss loss = {0};
    float usual = usual_stride(problem);
    double value, before;
    size_t n_small = 0;
    enum sosie_status st = loss_init(&loss, problem, err);
    if (!st)
        st = descent_init(&d, weights, loss.size, err);
    if (st)
        goto out;
    value = loss_at(&loss, d.weights, d.gradient);
    for (size_t step = 0; step < MAX_STEPS; step++) {
        if (problem->go_on && !problem->go_on(problem->context)) {
            st = sosie_fail(err, SOSIE_CANCELLED, "stopped while fitting");
            break;
        }
        find_direction(&d, usual);
        before = value;
        if (!search_line(&loss, &d, &value))
            break;
        move(&d);
        n_small = before - value < LEAST_GAIN * value ? n_small + 1 : 0;
        if (n_small == PATIENCE)
            break;
    }
out:
    free(d.room);
    free(loss.room);
    return st;
}
