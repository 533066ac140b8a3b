/* trainer_whiten.c: a shape that is whitened, by the weights that make it.
 *
 * What shape became while the features were learned varies much in a few
 * directions and little in many, and a cosine sees the few. Whitened
 * (engine/whiten.h) on the photos at hand, the same network finds the same
 * product in another colour for .384 instead of .364 of 349 queries, and what
 * is alike stands out from what is somewhat alike. y = M (W x + b - mean) is
 * linear in x as before, so that W and b alone change. */
#include "engine/whiten.h"
#include "kernels/kernels.h"
#include "train/trainer_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The matrix (dim, in) and the bias (dim) that make the shape; matrix NULL: it
 * is made otherwise. */
struct linear {
    float *matrix, *bias;
    size_t dim, in;
};

/* One that a file gave: what starts here is as it should be. */
static float *find_param(const struct sosie_trainer *t, sosie_value_id value)
{
    for (size_t p = 0; p < t->n_params; p++)
        if (t->param_list[p].value == value &&
            !trainer_is_new(t, &t->param_list[p]))
            return t->params + t->param_list[p].offset;
    return NULL;
}

static struct linear find_shape(const struct sosie_trainer *t)
{
    const struct sosie_graph *graph = sosie_trainable_graph(t->trainable);
    sosie_value_id id = graph->outputs[sosie_student_output(
        &t->options.student, SOSIE_STUDENT_SHAPE)];
    struct linear shape = {.dim = graph->values[id].shape.dims[1],
                           .in = trainer_features_dim(t)};
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct sosie_node *node = &graph->nodes[i];
        if (node->output != id || node->op != SOSIE_OP_GEMM ||
            node->n_inputs != 3 || node->gemm.trans_a || !node->gemm.trans_b ||
            node->inputs[SOSIE_GEMM_A] != graph->outputs[graph->n_outputs - 1])
            continue;
        shape.matrix = find_param(t, node->inputs[SOSIE_GEMM_B]);
        shape.bias = find_param(t, node->inputs[SOSIE_GEMM_C]);
        if (!shape.bias)
            shape.matrix = NULL;
    }
    return shape;
}

/* The factor that makes n numbers as large as random ones. */
static float scale_of(const float *x, size_t n)
{
    double squares = (double)sosie_kernels()->dot_f32(x, x, n);
    return squares > 0 ? (float)sqrt((double)n / squares) : 1;
}

/* W <- scale M W, b <- scale M (b - mean). column, y: (dim) of room. */
static void fold(const struct sosie_whitening *whitening,
                 const struct linear *shape, float scale, float *column,
                 float *offset, float *y)
{
    size_t dim = shape->dim, in = shape->in;
    memset(column, 0, dim * sizeof(*column));
    sosie_whitening_apply(whitening, column, offset); /* - M mean */
    for (size_t d = 0; d < in; d++) {
        for (size_t j = 0; j < dim; j++)
            column[j] = shape->matrix[j * in + d];
        sosie_whitening_apply(whitening, column, y);
        for (size_t j = 0; j < dim; j++)
            shape->matrix[j * in + d] = (y[j] - offset[j]) * scale;
    }
    memcpy(column, shape->bias, dim * sizeof(*column));
    sosie_whitening_apply(whitening, column, y);
    for (size_t j = 0; j < dim; j++)
        shape->bias[j] = y[j] * scale;
}

enum sosie_status trainer_whiten(struct sosie_trainer *t, const float *features,
                                 size_t n, struct sosie_error *err)
{
    struct linear shape = find_shape(t);
    size_t dim = shape.dim, in = shape.in;
    struct sosie_whitening *whitening = NULL;
    float *rows = NULL, *room = NULL;
    enum sosie_status st = SOSIE_OK;
    if (!shape.matrix || n < SOSIE_WHITEN_MIN_PHOTOS)
        return SOSIE_OK;
    rows = malloc(n * dim * sizeof(*rows));
    room = malloc(3 * dim * sizeof(*room));
    if (!rows || !room)
        st = sosie_fail(err, SOSIE_NO_MEMORY, "whitening");
    for (size_t i = 0; i < n && !st; i++)
        for (size_t j = 0; j < dim; j++)
            rows[i * dim + j] =
                sosie_kernels()->dot_f32(shape.matrix + j * in,
                                         features + i * in, in) +
                shape.bias[j];
    if (!st)
        st = sosie_whitening_fit(rows, n, dim, dim, &whitening, err);
    if (!st) {
        for (size_t i = 0; i < n; i++) {
            memcpy(room, rows + i * dim, dim * sizeof(*room));
            sosie_whitening_apply(whitening, room, rows + i * dim);
        }
        fold(whitening, &shape, scale_of(rows, n * dim), room, room + dim,
             room + 2 * dim);
    }
    sosie_whitening_destroy(whitening);
    free(room);
    free(rows);
    return st;
}
