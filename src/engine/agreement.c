/* agreement.c: cosines, nearest neighbours, and what those are. */
#include "engine/agreement.h"

#include "kernels/kernels.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The nearest photos of one, best first. */
struct nearest {
    size_t n;
    size_t photos[SOSIE_AGREEMENT_K];
    float scores[SOSIE_AGREEMENT_K];
};

static void normalise(float *x, size_t n, size_t dim)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (size_t k = 0; k < dim; k++)
            sum += (double)x[i * dim + k] * (double)x[i * dim + k];
        for (size_t k = 0; k < dim && sum > 0.0; k++)
            x[i * dim + k] = (float)((double)x[i * dim + k] / sqrt(sum));
    }
}

double sosie_cosine_mean(const float *before, const float *after, size_t n,
                         size_t dim)
{
    sosie_dot_f32 *dot = sosie_kernels()->dot_f32;
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        const float *a = before + i * dim, *b = after + i * dim;
        double lengths = sqrt((double)dot(a, a, dim) * (double)dot(b, b, dim));
        sum += lengths > 0.0 ? (double)dot(a, b, dim) / lengths : 0.0;
    }
    return n ? sum / (double)n : 0.0;
}

/* ---- cosines ------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static enum sosie_status
measure_cosines(const struct sosie_agreement_photos *photos,
                struct sosie_agreement *agreement, struct sosie_error *err)
{
    size_t n = photos->n, dim = photos->dim;
    float *cosines = calloc(n + 1, sizeof(*cosines));
    double sum = 0.0;
    if (!cosines)
        return sosie_fail(err, SOSIE_NO_MEMORY, "cosines of %zu photos", n);
    for (size_t i = 0; i < n; i++) {
        cosines[i] = sosie_kernels()->dot_f32(photos->before + i * dim,
                                              photos->after + i * dim, dim);
        sum += (double)cosines[i];
    }
    qsort(cosines, n, sizeof(*cosines), by_value);
    agreement->cosine_mean = n ? sum / (double)n : 0.0;
    agreement->cosine_p1 = (double)cosines[n / 100];
    agreement->cosine_min = (double)cosines[0];
    free(cosines);
    return SOSIE_OK;
}

/* ---- neighbours ---------------------------------------------------------- */

static void insert(struct nearest *nearest, size_t photo, float score)
{
    size_t at = nearest->n;
    if (at == SOSIE_AGREEMENT_K) {
        if (!(score > nearest->scores[at - 1]))
            return;
        at--;
    } else {
        nearest->n++;
    }
    for (; at && score > nearest->scores[at - 1]; at--) {
        nearest->photos[at] = nearest->photos[at - 1];
        nearest->scores[at] = nearest->scores[at - 1];
    }
    nearest->photos[at] = photo;
    nearest->scores[at] = score;
}

static bool may_be_hit(const struct sosie_agreement_photos *photos,
                       size_t query, size_t i)
{
    return i != query && (photos->groups[i] < 0 ||
                          photos->groups[i] != photos->groups[query]);
}

static struct nearest find_nearest(const struct sosie_agreement_photos *photos,
                                   const float *embeddings, size_t query)
{
    struct nearest nearest = {0};
    size_t dim = photos->dim;
    for (size_t i = 0; i < photos->n; i++)
        if (may_be_hit(photos, query, i))
            insert(&nearest, i,
                   sosie_kernels()->dot_f32(embeddings + query * dim,
                                            embeddings + i * dim, dim));
    return nearest;
}

static bool is_same(const struct sosie_agreement_photos *photos, size_t label,
                    size_t a, size_t b)
{
    if (label < photos->n_labels)
        return photos->labels[label][a] == photos->labels[label][b];
    for (size_t l = 0; l < photos->n_labels; l++)
        if (!is_same(photos, l, a, b))
            return false;
    return true;
}

/* Is there anything to find: a label of its own, or all of them? */
static bool has_label(const struct sosie_agreement_photos *photos, size_t label,
                      size_t i)
{
    if (label < photos->n_labels)
        return photos->labels[label][i] >= 0;
    for (size_t l = 0; l < photos->n_labels; l++)
        if (!has_label(photos, l, i))
            return false;
    return true;
}

static double share_of(const struct sosie_agreement_photos *photos,
                       const struct nearest *nearest, size_t label,
                       size_t query)
{
    size_t n = 0;
    for (size_t k = 0; k < nearest->n; k++)
        n += is_same(photos, label, query, nearest->photos[k]);
    return nearest->n ? (double)n / (double)nearest->n : 0.0;
}

static size_t n_shared(const struct nearest *a, const struct nearest *b)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        for (size_t k = 0; k < b->n; k++)
            n += a->photos[i] == b->photos[k];
    return n;
}

static enum sosie_status
measure_hits(const struct sosie_agreement_photos *photos,
             struct sosie_agreement *agreement, struct sosie_error *err)
{
    size_t n_labels = photos->n_labels + 1, n_hits = 0, n_same = 0;
    size_t *n_queries = calloc(n_labels, sizeof(*n_queries));
    if (!n_queries)
        return sosie_fail(err, SOSIE_NO_MEMORY, "counts of labels");
    memset(agreement->precision, 0, n_labels * sizeof(*agreement->precision));
    for (size_t i = 0; i < photos->n; i++) {
        struct nearest before = find_nearest(photos, photos->before, i);
        struct nearest after = find_nearest(photos, photos->after, i);
        n_hits += before.n;
        n_same += n_shared(&before, &after);
        for (size_t l = 0; l < n_labels; l++) {
            if (!has_label(photos, l, i))
                continue;
            n_queries[l]++;
            agreement->precision[l][0] += share_of(photos, &before, l, i);
            agreement->precision[l][1] += share_of(photos, &after, l, i);
        }
    }
    for (size_t l = 0; l < n_labels; l++)
        for (size_t s = 0; s < 2 && n_queries[l]; s++)
            agreement->precision[l][s] /= (double)n_queries[l];
    agreement->same_hits = n_hits ? (double)n_same / (double)n_hits : 0.0;
    free(n_queries);
    return SOSIE_OK;
}

enum sosie_status
sosie_agreement_measure(const struct sosie_agreement_photos *photos,
                        struct sosie_agreement *agreement,
                        struct sosie_error *err)
{
    enum sosie_status st;
    normalise(photos->before, photos->n, photos->dim);
    normalise(photos->after, photos->n, photos->dim);
    st = measure_cosines(photos, agreement, err);
    return st ? st : measure_hits(photos, agreement, err);
}
