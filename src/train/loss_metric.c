/* loss_metric.c: the losses over the directions of embeddings.
 *
 * Each works on vectors made one long. From the loss's slope by a cosine, u.v,
 * follow its gradients by u and v: the slope times the other. The gradient by
 * the vector itself is then what is across its direction, divided by its length
 * (stretching a vector changes nothing). A vector that is nearly zero has no
 * direction: its cosines are 0 and it has no gradient. */
#include "base/size.h"
#include "kernels/kernels.h"
#include "train/loss_private.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ---- directions ---------------------------------------------------------- */

static const double least_length = 1e-12; /* as PyTorch's normalize */

struct directions {
    size_t n, dim;
    double *lengths; /* (n); 0: nearly zero. Owns the block of all three */
    float *units;    /* (n, dim) */
    float *grads;    /* (n, dim), the loss's by `units` */
};

static void normalise(const float *x, size_t dim, double *length, float *unit)
{
    double square = 0;
    for (size_t k = 0; k < dim; k++)
        square += (double)x[k] * (double)x[k];
    *length = sqrt(square);
    if (*length < least_length) { /* not so if it is NaN, which stays one */
        *length = 0;
        return;
    }
    for (size_t k = 0; k < dim; k++)
        unit[k] = (float)((double)x[k] / *length);
}

/* n > 0. The gradients start at zero. */
static enum sosie_status directions_init(struct directions *d, const float *x,
                                         size_t n, size_t dim,
                                         struct sosie_error *err)
{
    size_t row, bytes;

    if (!sosie_size_mul(dim, 2 * sizeof(float), &row) ||
        !sosie_size_add(row, sizeof(double), &row) ||
        !sosie_size_mul(row, n, &bytes))
        return sosie_fail(err, SOSIE_NO_MEMORY, "%zu directions", n);
    d->lengths = calloc(1, bytes);
    if (!d->lengths)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%zu directions", n);
    d->n = n;
    d->dim = dim;
    d->units = (float *)(d->lengths + n);
    d->grads = d->units + n * dim;
    for (size_t i = 0; i < n; i++)
        normalise(x + i * dim, dim, &d->lengths[i], d->units + i * dim);
    return SOSIE_OK;
}

/* An all-zero one is allowed. */
static void directions_release(struct directions *d)
{
    free(d->lengths);
}

static float cosine(const struct directions *a, size_t i,
                    const struct directions *b, size_t j)
{
    return sosie_kernels()->dot_f32(a->units + i * a->dim,
                                    b->units + j * b->dim, a->dim);
}

/* The loss changes by `slope` with the cosine of i and j. */
static void add_slope(struct directions *a, size_t i, struct directions *b,
                      size_t j, float slope)
{
    const struct sosie_kernels *kernels = sosie_kernels();
    size_t dim = a->dim;
    if (slope == 0)
        return;
    kernels->axpy_f32(slope, b->units + j * dim, a->grads + i * dim, dim);
    kernels->axpy_f32(slope, a->units + i * dim, b->grads + j * dim, dim);
}

/* Adds to `grad` (n, dim) `weight` times the gradient by the vectors that the
 * directions were made of. Ends the use of d->grads. */
static void add_gradients(struct directions *d, float weight, float *grad)
{
    const struct sosie_kernels *kernels = sosie_kernels();
    for (size_t i = 0; i < d->n; i++) {
        const float *unit = d->units + i * d->dim;
        float *by_unit = d->grads + i * d->dim;
        if (d->lengths[i] == 0)
            continue;
        kernels->axpy_f32(-kernels->dot_f32(unit, by_unit, d->dim), unit,
                          by_unit, d->dim);
        kernels->axpy_f32((float)((double)weight / d->lengths[i]), by_unit,
                          grad + i * d->dim, d->dim);
    }
}

/* ---- relational distillation --------------------------------------------- */

enum sosie_status sosie_loss_relations(const float *x, const float *teacher,
                                       size_t n, size_t dim, size_t teacher_dim,
                                       float weight, float *grad, double *loss,
                                       struct sosie_error *err)
{
    double n_pairs = (double)n * ((double)n - 1) / 2, sum = 0;
    struct directions own = {0}, wanted = {0};
    enum sosie_status st;

    if (n < 2) {
        *loss = 0;
        return SOSIE_OK;
    }
    st = directions_init(&own, x, n, dim, err);
    if (st)
        goto out;
    st = directions_init(&wanted, teacher, n, teacher_dim, err);
    if (st)
        goto out;

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            double off = (double)cosine(&own, i, &own, j) -
                         (double)cosine(&wanted, i, &wanted, j);
            sum += off * off;
            add_slope(&own, i, &own, j, (float)(2 * off / n_pairs));
        }
    add_gradients(&own, weight, grad);
    *loss = sum / n_pairs;
out:
    directions_release(&wanted);
    directions_release(&own);
    return st;
}

/* ---- supervised contrastive ---------------------------------------------- */

static bool is_equal_and_known(const int32_t *numbers, size_t i, size_t j)
{
    return numbers && numbers[i] >= 0 && numbers[i] == numbers[j];
}

/* All pairs' cosines (n, n); -INFINITY for the pairs that are in no
 * denominator, an embedding with itself among them. */
static void fill_cosines(const struct directions *d, const int32_t *identities,
                         const int32_t *exclude, float *cosines)
{
    size_t n = d->n;
    for (size_t i = 0; i < n; i++) {
        cosines[i * n + i] = -INFINITY;
        for (size_t j = 0; j < i; j++) {
            bool is_out = is_equal_and_known(exclude, i, j) &&
                          !is_equal_and_known(identities, i, j);
            cosines[i * n + j] = cosines[j * n + i] =
                is_out ? -INFINITY : cosine(d, i, d, j);
        }
    }
}

static size_t count_positives(const int32_t *identities, size_t n, size_t i)
{
    size_t count = 0;
    for (size_t j = 0; j < n; j++)
        count += j != i && is_equal_and_known(identities, i, j);
    return count;
}

static size_t count_anchors(const int32_t *identities, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += count_positives(identities, n, i) > 0;
    return count;
}

/* The loss of anchor i, 0 without positives. Its cosines become the slopes by
 * them of `share` times that. */
static double anchor_loss(float *cosines, const int32_t *identities, size_t n,
                          size_t i, double temperature, double share)
{
    double n_positives = (double)count_positives(identities, n, i);
    double log_sum, sum = 0;

    if (n_positives == 0) {
        memset(cosines, 0, n * sizeof(*cosines));
        return 0;
    }
    log_sum = sosie_log_sum_exp(cosines, n, 1 / temperature);
    for (size_t j = 0; j < n; j++) {
        double log_p = (double)cosines[j] / temperature - log_sum;
        double target = 0;
        if (j != i && is_equal_and_known(identities, i, j)) {
            target = 1 / n_positives;
            sum -= log_p * target;
        }
        cosines[j] = (float)(share * (exp(log_p) - target) / temperature);
    }
    return sum;
}

enum sosie_status sosie_loss_contrastive(const float *x,
                                         const int32_t *identities,
                                         const int32_t *exclude, size_t n,
                                         size_t dim, float temperature,
                                         float weight, float *grad,
                                         double *loss, struct sosie_error *err)
{
    struct directions own = {0};
    float *cosines = NULL;
    size_t n_anchors = count_anchors(identities, n), bytes;
    double sum = 0;
    enum sosie_status st;

    assert(temperature > 0);
    if (n_anchors == 0) {
        *loss = 0;
        return SOSIE_OK;
    }
    st = directions_init(&own, x, n, dim, err);
    if (st)
        goto out;
    if (!sosie_size_mul(n, n, &bytes) ||
        !sosie_size_mul(bytes, sizeof(*cosines), &bytes) ||
        !(cosines = malloc(bytes))) {
        st = sosie_fail(err, SOSIE_NO_MEMORY, "cosines of %zu embeddings", n);
        goto out;
    }
    fill_cosines(&own, identities, exclude, cosines);
    for (size_t i = 0; i < n; i++)
        sum += anchor_loss(cosines + i * n, identities, n, i,
                           (double)temperature, 1 / (double)n_anchors);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            add_slope(&own, i, &own, j,
                      cosines[i * n + j] + cosines[j * n + i]);
    add_gradients(&own, weight, grad);
    *loss = sum / (double)n_anchors;
out:
    free(cosines);
    directions_release(&own);
    return st;
}

/* ---- Proxy-Anchor -------------------------------------------------------- */

/* What a proxy does to some of the photos: pulls those of its label (sign -1),
 * or pushes those of others away (1). */
struct force {
    double sign, alpha, margin;
    double share; /* of the mean */
};

static bool is_under(const struct force *force, int32_t label, size_t proxy)
{
    return label >= 0 && ((size_t)label == proxy) == (force->sign < 0);
}

static double exponent(const struct force *force, float cosine)
{
    return force->alpha * (force->sign * (double)cosine + force->margin);
}

/* force->share of log(1 + the sum over those photos of exp(exponent)). Writes
 * its slopes by their cosines, leaving the slopes of others alone. */
static double force_loss(const struct force *force, size_t proxy,
                         const float *cosines, const int32_t *labels, size_t n,
                         float *slopes)
{
    double most = 0, sum;

    for (size_t i = 0; i < n; i++)
        if (is_under(force, labels[i], proxy))
            most = fmax(most, exponent(force, cosines[i]));
    sum = exp(-most); /* the 1 */
    for (size_t i = 0; i < n; i++)
        if (is_under(force, labels[i], proxy))
            sum += exp(exponent(force, cosines[i]) - most);
    for (size_t i = 0; i < n; i++)
        if (is_under(force, labels[i], proxy))
            slopes[i] = (float)(force->share * force->sign * force->alpha *
                                exp(exponent(force, cosines[i]) - most) / sum);
    return force->share * (most + log(sum));
}

static bool has_label(const int32_t *labels, size_t n, size_t label)
{
    for (size_t i = 0; i < n; i++)
        if (labels[i] >= 0 && (size_t)labels[i] == label)
            return true;
    return false;
}

/* The loss of one proxy; adds its slopes to the directions. `room` has 2 * n
 * floats. */
static double add_proxy(struct directions *own, struct directions *proxies,
                        size_t proxy, const int32_t *labels,
                        const struct force *pull, const struct force *push,
                        float *room)
{
    size_t n = own->n;
    float *cosines = room, *slopes = room + n;
    double loss = 0;

    for (size_t i = 0; i < n; i++) {
        cosines[i] = cosine(own, i, proxies, proxy);
        slopes[i] = 0;
    }
    if (has_label(labels, n, proxy))
        loss += force_loss(pull, proxy, cosines, labels, n, slopes);
    loss += force_loss(push, proxy, cosines, labels, n, slopes);
    for (size_t i = 0; i < n; i++)
        add_slope(own, i, proxies, proxy, slopes[i]);
    return loss;
}

enum sosie_status sosie_loss_proxy_anchor(
    const float *x, const float *proxies, const int32_t *labels, size_t n,
    size_t dim, size_t n_proxies, float alpha, float margin, float weight,
    float *grad, float *proxy_grad, double *loss, struct sosie_error *err)
{
    struct directions own = {0}, all = {0};
    struct force push = {1, (double)alpha, (double)margin,
                         1 / (double)n_proxies};
    struct force pull = push;
    float *room = NULL;
    size_t n_present = 0;
    double sum = 0;
    enum sosie_status st;

    for (size_t i = 0; i < n; i++)
        assert(labels[i] < 0 || (size_t)labels[i] < n_proxies);
    for (size_t p = 0; p < n_proxies; p++)
        n_present += has_label(labels, n, p);
    if (!n_present) {
        *loss = 0;
        return SOSIE_OK;
    }
    st = directions_init(&own, x, n, dim, err);
    if (st)
        goto out;
    st = directions_init(&all, proxies, n_proxies, dim, err);
    if (st)
        goto out;
    room = malloc(2 * n * sizeof(*room)); /* less than `own` has */
    if (!room) {
        st = sosie_fail(err, SOSIE_NO_MEMORY, "cosines of %zu embeddings", n);
        goto out;
    }
    pull.sign = -1;
    pull.share = 1 / (double)n_present;
    for (size_t p = 0; p < n_proxies; p++)
        sum += add_proxy(&own, &all, p, labels, &pull, &push, room);
    add_gradients(&own, weight, grad);
    add_gradients(&all, weight, proxy_grad);
    *loss = sum;
out:
    free(room);
    directions_release(&all);
    directions_release(&own);
    return st;
}

/* ---- ArcFace ------------------------------------------------------------- */

/* cos(angle + margin) of an angle's cosine, and its slope by that. Past pi the
 * cosine would rise again; from there on, as in the authors' code, a constant
 * is taken off instead. */
static double with_margin(double cosine, double margin, double *slope)
{
    /* The slope is without bound where the angle is 0. A cosine in float does
     * not tell sines below about this from each other, either. */
    static const double least_sine = 1e-3;
    double sine;

    sine = sqrt(fmax(1 - cosine * cosine, 0)); /* rounded, it may be over 1 */
    if (cosine <= -cos(margin)) {
        *slope = 1;
        return cosine - margin * sin(margin);
    }
    *slope = cos(margin) + sin(margin) * cosine / fmax(sine, least_sine);
    return cosine * cos(margin) - sine * sin(margin);
}

/* The loss of photo i; adds its slopes, `share` of them, to the directions.
 * `row` has room for a float a centre. */
static double add_arc(struct directions *own, size_t i, struct directions *all,
                      size_t label, double scale, double margin, double share,
                      float *row)
{
    double slope, log_sum;

    for (size_t j = 0; j < all->n; j++)
        row[j] = cosine(own, i, all, j);
    row[label] = (float)with_margin((double)row[label], margin, &slope);
    log_sum = sosie_log_sum_exp(row, all->n, scale);
    for (size_t j = 0; j < all->n; j++) {
        double p = exp(scale * (double)row[j] - log_sum);
        double by_logit = j == label ? (p - 1) * slope : p;
        add_slope(own, i, all, j, (float)(share * scale * by_logit));
    }
    return share * (log_sum - scale * (double)row[label]);
}

enum sosie_status sosie_loss_arcface(const float *x, const float *centres,
                                     const int32_t *labels, size_t n,
                                     size_t dim, size_t n_labels, float scale,
                                     float margin, float weight, float *grad,
                                     float *centre_grad, double *loss,
                                     struct sosie_error *err)
{
    struct directions own = {0}, all = {0};
    float *row = NULL;
    size_t n_labelled = 0;
    double sum = 0;
    enum sosie_status st;

    for (size_t i = 0; i < n; i++) {
        assert(labels[i] < 0 || (size_t)labels[i] < n_labels);
        n_labelled += labels[i] >= 0;
    }
    if (!n_labelled) {
        *loss = 0;
        return SOSIE_OK;
    }
    st = directions_init(&own, x, n, dim, err);
    if (st)
        goto out;
    st = directions_init(&all, centres, n_labels, dim, err);
    if (st)
        goto out;
    row = malloc(n_labels * sizeof(*row)); /* less than `all` has */
    if (!row) {
        st = sosie_fail(err, SOSIE_NO_MEMORY, "cosines of %zu centres",
                        n_labels);
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        if (labels[i] >= 0)
            sum += add_arc(&own, i, &all, (size_t)labels[i], (double)scale,
                           (double)margin, 1 / (double)n_labelled, row);
    add_gradients(&own, weight, grad);
    add_gradients(&all, weight, centre_grad);
    *loss = sum;
out:
    free(row);
    directions_release(&all);
    directions_release(&own);
    return st;
}
