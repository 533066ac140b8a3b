/* plain_math.c: sums over many elements: matrix products, reductions and
 * normalisations, in plain C. */
#include "nn/plain.h"

#include <math.h>
#include <string.h>

/* ---- matrix products ----------------------------------------------------- */

void sosie_plain_gemm(const struct sosie_graph *graph,
                      const struct sosie_node *node, const float *const *in,
                      float *out)
{
    const struct sosie_shape *a = sosie_plain_input(graph, node, SOSIE_GEMM_A);
    const struct sosie_shape *b = sosie_plain_input(graph, node, SOSIE_GEMM_B);
    const struct sosie_shape *shape = sosie_plain_output(graph, node);
    const struct sosie_gemm *gemm = &node->gemm;
    bool has_c = sosie_node_input(graph, node, SOSIE_GEMM_C) != NULL;
    size_t inner = a->dims[!gemm->trans_a], c_strides[SOSIE_MAX_RANK] = {0};
    /* from one element of a row of A', of a column of B', to the next, and
     * from one row, one column to the next */
    size_t a_step = gemm->trans_a ? a->dims[1] : 1;
    size_t a_row = gemm->trans_a ? 1 : a->dims[1];
    size_t b_step = gemm->trans_b ? 1 : b->dims[1];
    size_t b_column = gemm->trans_b ? b->dims[1] : 1;

    if (has_c)
        sosie_broadcast_strides(sosie_plain_input(graph, node, SOSIE_GEMM_C),
                                shape, c_strides);
    for (size_t m = 0; m < shape->dims[0]; m++)
        for (size_t n = 0; n < shape->dims[1]; n++) {
            float sum = 0.0F, c = 0.0F;
            for (size_t k = 0; k < inner; k++)
                sum += in[SOSIE_GEMM_A][m * a_row + k * a_step] *
                       in[SOSIE_GEMM_B][n * b_column + k * b_step];
            if (has_c)
                c = gemm->beta *
                    in[SOSIE_GEMM_C][m * c_strides[0] + n * c_strides[1]];
            out[m * shape->dims[1] + n] = gemm->alpha * sum + c;
        }
    sosie_plain_posts(node, NULL, out, sosie_shape_count(shape));
}

/* out (m, n) = a (m, k) * b (k, n). */
static void multiply(const float *a, const float *b, float *out, size_t m,
                     size_t k, size_t n)
{
    memset(out, 0, m * n * sizeof(*out));
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < k; j++)
            for (size_t c = 0; c < n; c++)
                out[i * n + c] += a[i * k + j] * b[j * n + c];
}

void sosie_plain_matmul(const struct sosie_graph *graph,
                        const struct sosie_node *node, const float *const *in,
                        float *out)
{
    struct sosie_shape a = *sosie_plain_input(graph, node, 0);
    struct sosie_shape b = *sosie_plain_input(graph, node, 1);
    struct sosie_shape batch = *sosie_plain_output(graph, node);
    size_t m = a.rank > 1 ? a.dims[a.rank - 2] : 1, k = a.dims[a.rank - 1];
    size_t n = b.rank > 1 ? b.dims[b.rank - 1] : 1;
    size_t a_strides[SOSIE_MAX_RANK], b_strides[SOSIE_MAX_RANK];

    batch.rank -= (size_t)(a.rank > 1) + (size_t)(b.rank > 1);
    a.rank = a.rank > 1 ? a.rank - 2 : 0;
    b.rank = b.rank > 1 ? b.rank - 2 : 0;
    sosie_broadcast_strides(&a, &batch, a_strides);
    sosie_broadcast_strides(&b, &batch, b_strides);
    for (size_t i = 0; i < sosie_shape_count(&batch); i++)
        multiply(in[0] + sosie_plain_offset(&batch, i, a_strides) * m * k,
                 in[1] + sosie_plain_offset(&batch, i, b_strides) * k * n,
                 out + i * m * n, m, k, n);
    sosie_plain_posts(node, NULL, out,
                      sosie_shape_count(sosie_plain_output(graph, node)));
}

/* ---- reductions ---------------------------------------------------------- */

/* The sums of x, or of its squares, over the dimensions that `axes` marks, are
 * put where the others count: in out[], one after another. */
static void reduce(const struct sosie_shape *shape, const bool *axes,
                   enum sosie_op op, const float *x, float *out)
{
    struct sosie_shape kept = *shape, gone = *shape;
    size_t strides[SOSIE_MAX_RANK];
    size_t stride = 1;
    for (size_t d = shape->rank; d-- > 0; stride *= shape->dims[d]) {
        strides[d] = stride;
        *(axes[d] ? &kept.dims[d] : &gone.dims[d]) = 1;
    }
    for (size_t i = 0; i < sosie_shape_count(&kept); i++) {
        const float *from = x + sosie_plain_offset(&kept, i, strides);
        size_t n = sosie_shape_count(&gone);
        double sum = 0.0;
        for (size_t k = 0; k < n; k++) {
            double v = (double)from[sosie_plain_offset(&gone, k, strides)];
            sum += op == SOSIE_OP_REDUCE_L2 ? v * v : v;
        }
        if (op == SOSIE_OP_REDUCE_L2)
            sum = sqrt(sum);
        else if (op == SOSIE_OP_REDUCE_MEAN)
            sum /= (double)n;
        out[i] = (float)sum;
    }
}

void sosie_plain_reduce(const struct sosie_graph *graph,
                        const struct sosie_node *node, const float *const *in,
                        float *out)
{
    reduce(sosie_plain_input(graph, node, 0), node->reduce.axes, node->op,
           in[0], out);
}

void sosie_plain_global_pool(const struct sosie_graph *graph,
                             const struct sosie_node *node,
                             const float *const *in, float *out)
{
    const struct sosie_shape *shape = sosie_plain_input(graph, node, 0);
    size_t inner = sosie_shape_product(shape, 2, shape->rank);
    for (size_t i = 0; i < shape->dims[0] * shape->dims[1]; i++) {
        const float *x = in[0] + i * inner;
        double sum = 0.0;
        float most = -INFINITY;
        for (size_t k = 0; k < inner; k++) {
            sum += (double)x[k];
            most = x[k] > most ? x[k] : most;
        }
        out[i] = node->op == SOSIE_OP_GLOBAL_MAX_POOL
                     ? most
                     : (float)(sum / (double)inner);
    }
}

/* ---- normalisations ------------------------------------------------------ */

void sosie_plain_batch_norm(const struct sosie_graph *graph,
                            const struct sosie_node *node,
                            const float *const *in, float *out)
{
    const struct sosie_shape *shape = sosie_plain_output(graph, node);
    size_t channels = shape->dims[1];
    size_t inner = sosie_shape_product(shape, 2, shape->rank);

    for (size_t i = 0; i < shape->dims[0] * channels; i++) {
        size_t c = i % channels;
        float f = in[SOSIE_BN_SCALE][c] /
                  sqrtf(in[SOSIE_BN_VARIANCE][c] + node->epsilon);
        for (size_t k = i * inner; k < (i + 1) * inner; k++)
            out[k] = (in[SOSIE_BN_X][k] - in[SOSIE_BN_MEAN][c]) * f +
                     in[SOSIE_BN_SHIFT][c];
    }
}

void sosie_plain_softmax(const struct sosie_graph *graph,
                         const struct sosie_node *node, const float *const *in,
                         float *out)
{
    struct sosie_softmax_sizes s =
        sosie_softmax_sizes(&node->softmax, sosie_plain_output(graph, node));

    for (size_t i = 0; i < s.outer * s.inner; i++) {
        size_t first = i / s.inner * s.length * s.inner + i % s.inner;
        const float *x = in[0] + first;
        float *y = out + first, most = -INFINITY, sum = 0.0F;
        for (size_t k = 0; k < s.length; k++)
            most = fmaxf(most, x[k * s.inner]);
        for (size_t k = 0; k < s.length; k++) {
            y[k * s.inner] = expf(x[k * s.inner] - most);
            sum += y[k * s.inner];
        }
        for (size_t k = 0; k < s.length; k++)
            y[k * s.inner] /= sum;
    }
}

/* Input k at element i of the dimensions that are normalised, or `otherwise` if
 * it is not given. */
static float parameter(const struct sosie_graph *graph,
                       const struct sosie_node *node, const float *const *in,
                       size_t k, const struct sosie_shape *tail, size_t i,
                       float otherwise)
{
    size_t strides[SOSIE_MAX_RANK];
    if (!sosie_node_input(graph, node, k))
        return otherwise;
    sosie_broadcast_strides(sosie_plain_input(graph, node, k), tail, strides);
    return in[k][sosie_plain_offset(tail, i, strides)];
}

/* J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer Normalization" (2016). */
void sosie_plain_layer_norm(const struct sosie_graph *graph,
                            const struct sosie_node *node,
                            const float *const *in, float *out)
{
    const struct sosie_shape *shape = sosie_plain_output(graph, node);
    size_t axis = (size_t)node->layer_norm.axis;
    struct sosie_shape tail = {shape->rank - axis, {0}};
    size_t n;
    memcpy(tail.dims, shape->dims + axis, tail.rank * sizeof(*tail.dims));
    n = sosie_shape_count(&tail);
    for (size_t i = 0; i < sosie_shape_product(shape, 0, axis); i++) {
        const float *x = in[SOSIE_LN_X] + i * n;
        double mean = 0.0, variance = 0.0, factor;
        for (size_t k = 0; k < n; k++)
            mean += (double)x[k];
        mean /= (double)n;
        for (size_t k = 0; k < n; k++)
            variance += ((double)x[k] - mean) * ((double)x[k] - mean);
        factor =
            1.0 / sqrt(variance / (double)n + (double)node->layer_norm.epsilon);
        for (size_t k = 0; k < n; k++)
            out[i * n + k] =
                (float)(((double)x[k] - mean) * factor) *
                    parameter(graph, node, in, SOSIE_LN_SCALE, &tail, k, 1.0F) +
                parameter(graph, node, in, SOSIE_LN_SHIFT, &tail, k, 0.0F);
    }
}

void sosie_plain_lp_norm(const struct sosie_graph *graph,
                         const struct sosie_node *node, const float *const *in,
                         float *out)
{
    const struct sosie_shape *shape = sosie_plain_output(graph, node);
    size_t axis = (size_t)node->lp_norm.axis, n = shape->dims[axis];
    size_t inner = sosie_shape_product(shape, axis + 1, shape->rank);
    for (size_t i = 0; i < sosie_shape_count(shape) / n; i++) {
        size_t first = i / inner * n * inner + i % inner;
        double sum = 0.0;
        for (size_t k = 0; k < n; k++) {
            double v = (double)in[0][first + k * inner];
            sum += node->lp_norm.p == 2 ? v * v : fabs(v);
        }
        if (node->lp_norm.p == 2)
            sum = sqrt(sum);
        for (size_t k = 0; k < n; k++) /* a vector of zeros stays one */
            out[first + k * inner] =
                sum > 0.0 ? (float)((double)in[0][first + k * inner] / sum)
                          : 0.0F;
    }
}
