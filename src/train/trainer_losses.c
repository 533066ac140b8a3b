/* trainer_losses.c: what a batch's outputs should be, as gradients. */
#include "train/loss.h"
#include "train/trainer_private.h"

#include <math.h>
#include <string.h>

/* Rows of first views of an output, one after the other. */
static void gather(const float *from, size_t pairs, size_t dim, float *rows)
{
    for (size_t j = 0; j < pairs; j++)
        memcpy(rows + j * dim, from + 2 * j * dim, dim * sizeof(float));
}

/* Adds their gradients back. */
static void scatter(const float *rows, size_t pairs, size_t dim, float *to)
{
    for (size_t j = 0; j < pairs; j++)
        for (size_t d = 0; d < dim; d++)
            to[2 * j * dim + d] += rows[j * dim + d];
}

static void head_losses(struct sosie_trainer *t)
{
    const struct sosie_trainer_options *o = &t->options;
    struct trainer_batch *b = &t->batch;
    size_t first = sosie_student_n_aspects(&o->student);
    for (size_t h = 0; h < o->student.n_heads; h++) {
        size_t n_right, n_labels = 0, k = first + h;
        double loss = sosie_loss_cross_entropy(
            b->outputs[k], b->labels[h], o->batch, b->dims[k], o->smoothing,
            o->weights.heads, b->grads[k], &n_right);
        for (size_t i = 0; i < o->batch; i++)
            n_labels += b->labels[h][i] >= 0;
        t->losses.heads += loss;
        t->losses.total += loss * (double)o->weights.heads;
        if (n_labels)
            t->losses.right[h] += (double)n_right / (double)n_labels;
    }
}

static enum sosie_status identity_loss(struct sosie_trainer *t,
                                       struct sosie_error *err)
{
    const struct sosie_trainer_options *o = &t->options;
    struct trainer_batch *b = &t->batch;
    double loss;
    enum sosie_status st;
    if (o->weights.identity <= 0)
        return SOSIE_OK;
    st = sosie_loss_contrastive(b->outputs[0], b->identities, b->groups,
                                o->batch, b->dims[0], o->temperature,
                                o->weights.identity, b->grads[0], &loss, err);
    if (!st) {
        t->losses.identity += loss;
        t->losses.total += loss * (double)o->weights.identity;
    }
    return st;
}

/* Embeddings of one colour's photos attract each other. */
static enum sosie_status colour_loss(struct sosie_trainer *t, size_t head,
                                     struct sosie_error *err)
{
    size_t k = sosie_student_output(&t->options.student, SOSIE_STUDENT_COLOUR);
    const struct sosie_trainer_options *o = &t->options;
    struct trainer_batch *b = &t->batch;
    size_t pairs = o->batch / 2, n = 0, dim = b->dims[k];
    double loss;
    enum sosie_status st;

    /* those without a label are left out: who knows what they are like */
    for (size_t j = 0; j < pairs; j++) {
        if (b->labels[head][2 * j] < 0)
            continue;
        b->row_labels[n] = b->labels[head][2 * j];
        memcpy(b->rows + n++ * dim, b->outputs[k] + 2 * j * dim,
               dim * sizeof(float));
    }
    memset(b->row_grads, 0, pairs * dim * sizeof(float));
    st = sosie_loss_contrastive(b->rows, b->row_labels, NULL, n, dim,
                                o->temperature, o->weights.colour, b->row_grads,
                                &loss, err);
    if (st)
        return st;
    n = 0;
    for (size_t j = 0; j < pairs; j++)
        if (b->labels[head][2 * j] >= 0) {
            for (size_t d = 0; d < dim; d++)
                b->grads[k][2 * j * dim + d] += b->row_grads[n * dim + d];
            n++;
        }
    t->losses.colour += loss;
    t->losses.total += loss * (double)o->weights.colour;
    return SOSIE_OK;
}

/* Relations between first views in output k are to be those in `like`. */
static enum sosie_status relations_loss(struct sosie_trainer *t, size_t k,
                                        const float *like, size_t like_dim,
                                        float weight, double *sum,
                                        struct sosie_error *err)
{
    struct trainer_batch *b = &t->batch;
    size_t pairs = t->options.batch / 2, dim = b->dims[k];
    double loss;
    enum sosie_status st;
    gather(b->outputs[k], pairs, dim, b->rows);
    memset(b->row_grads, 0, pairs * dim * sizeof(float));
    st = sosie_loss_relations(b->rows, like, pairs, dim, like_dim, weight,
                              b->row_grads, &loss, err);
    if (st)
        return st;
    scatter(b->row_grads, pairs, dim, b->grads[k]);
    *sum += loss;
    t->losses.total += loss * (double)weight;
    return SOSIE_OK;
}

enum sosie_status trainer_losses(struct sosie_trainer *t,
                                 struct sosie_error *err)
{
    const struct sosie_trainer_options *o = &t->options;
    struct trainer_batch *b = &t->batch;
    bool has_colour = o->student.dims[SOSIE_STUDENT_COLOUR] > 0;
    enum sosie_status st;

    for (size_t k = 0; k < b->n_outputs; k++)
        memset(b->grads[k], 0, o->batch * b->dims[k] * sizeof(float));
    head_losses(t);
    st = identity_loss(t, err);
    for (size_t h = 0; h < o->student.n_heads && !st; h++)
        if (has_colour && o->weights.colour > 0 &&
            o->student.heads[h].aspect == SOSIE_STUDENT_COLOUR)
            st = colour_loss(t, h, err);
    if (!st && has_colour && o->weights.histogram > 0)
        st = relations_loss(
            t, sosie_student_output(&o->student, SOSIE_STUDENT_COLOUR),
            b->histograms, SOSIE_COLOUR_DIM, o->weights.histogram,
            &t->losses.histogram, err);
    if (!st && b->teacher && o->weights.teacher > 0)
        st = relations_loss(t, 0, b->teacher, t->teacher_dim,
                            o->weights.teacher, &t->losses.teacher, err);
    return st;
}
