/* gradients_math.c: backward through matrix products and reductions. */
#include "nn/gradients_impl.h"
#include "nn/walk.h"

/* ---- matrix products ----------------------------------------------------- */

/* Element (i, j) is at[i * row + j * column]. */
struct matrix {
    const float *at;
    size_t row, column;
};

static struct matrix matrix_of(const float *at, size_t columns)
{
    return (struct matrix){at, columns, 1};
}

static struct matrix transposed(struct matrix m)
{
    return (struct matrix){m.at, m.column, m.row};
}

/* Element (i, j) of a * b, whose inner size is n; both shifted. */
static double product(struct matrix a, struct matrix b, size_t i, size_t j,
                      size_t n)
{
    double sum = 0.0;
    a.at += i * a.row;
    b.at += j * b.column;
    for (size_t k = 0; k < n; k++)
        sum += (double)a.at[k * a.column] * (double)b.at[k * b.row];
    return sum;
}

/* factor * a * b (rows, columns) to `to`, which may lie transposed. */
static void multiply(struct matrix a, struct matrix b, size_t rows,
                     size_t inner, size_t columns, float factor, bool transpose,
                     float *to)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            to[transpose ? j * rows + i : i * columns + j] =
                (float)((double)factor * product(a, b, i, j, inner));
}

static void gemm_by_c(const struct sosie_gradient_call *call)
{
    struct sosie_walk walk = sosie_walk_begin(&call->out_shape);
    size_t n = sosie_shape_count(&call->in_shapes[SOSIE_GEMM_C]), repeats;
    sosie_walk_broadcast(&walk, 0, &call->in_shapes[SOSIE_GEMM_C]);
    sosie_walk_dense(&walk, 1);
    repeats = sosie_walk_repeats_last(&walk, 0);
    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (size_t r = 0; r < repeats; r++, sosie_walk_next(&walk))
            sum += (double)call->output_grad[walk.offsets[1]];
        call->input_grads[SOSIE_GEMM_C][i] =
            (float)((double)call->node->gemm.beta * sum);
    }
}

/* Y = alpha A' B' + beta C, so with G = dL/dY: dL/dA' = alpha G B'^T and
 * dL/dB' = alpha A'^T G. */
void sosie_backward_gemm(const struct sosie_gradient_call *call)
{
    const struct sosie_gemm *gemm = &call->node->gemm;
    size_t m = call->out_shape.dims[0], n = call->out_shape.dims[1];
    size_t k = call->in_shapes[SOSIE_GEMM_A].dims[!gemm->trans_a];
    struct matrix grad = matrix_of(call->output_grad, n);
    struct matrix a = matrix_of(call->inputs[SOSIE_GEMM_A],
                                call->in_shapes[SOSIE_GEMM_A].dims[1]);
    struct matrix b = matrix_of(call->inputs[SOSIE_GEMM_B],
                                call->in_shapes[SOSIE_GEMM_B].dims[1]);
    if (!gemm->trans_a)
        a = transposed(a); /* a, b: what the products below take: A'^T, B'^T */
    if (!gemm->trans_b)
        b = transposed(b);
    if (call->input_grads[SOSIE_GEMM_A])
        multiply(grad, b, m, n, k, gemm->alpha, gemm->trans_a,
                 call->input_grads[SOSIE_GEMM_A]);
    if (call->input_grads[SOSIE_GEMM_B])
        multiply(a, grad, k, m, n, gemm->alpha, gemm->trans_b,
                 call->input_grads[SOSIE_GEMM_B]);
    if (call->node->n_inputs > SOSIE_GEMM_C && call->input_grads[SOSIE_GEMM_C])
        gemm_by_c(call);
}

/* The sizes of a MatMul: at each place of the batch, which may repeat either
 * operand, (m, k) times (k, n). */
struct matmul {
    size_t m, k, n;
    struct sosie_walk batch; /* tensors: A, B, the output; in matrices */
};

static struct matmul matmul_of(const struct sosie_gradient_call *call)
{
    struct sosie_shape a = call->in_shapes[0], b = call->in_shapes[1];
    struct sosie_shape batch = call->out_shape;
    struct matmul mm = {.m = a.rank > 1 ? a.dims[a.rank - 2] : 1,
                        .k = a.dims[a.rank - 1],
                        .n = b.rank > 1 ? b.dims[b.rank - 1] : 1};
    batch.rank -= (size_t)(a.rank > 1) + (size_t)(b.rank > 1);
    a.rank = a.rank > 1 ? a.rank - 2 : 0;
    b.rank = b.rank > 1 ? b.rank - 2 : 0;
    mm.batch = sosie_walk_begin(&batch);
    sosie_walk_broadcast(&mm.batch, 0, &a);
    sosie_walk_broadcast(&mm.batch, 1, &b);
    sosie_walk_dense(&mm.batch, 2);
    return mm;
}

/* Element (i, j) of operand `side`'s gradient, G B^T or A^T G, summed over the
 * `repeats` places from here on. */
static double matmul_by(const struct sosie_gradient_call *call,
                        const struct matmul *mm, size_t side, size_t repeats,
                        size_t i, size_t j)
{
    struct sosie_walk batch = mm->batch;
    double sum = 0.0;
    for (size_t r = 0; r < repeats; r++, sosie_walk_next(&batch)) {
        struct matrix grad = matrix_of(
            call->output_grad + batch.offsets[2] * mm->m * mm->n, mm->n);
        if (side == 0)
            sum += product(
                grad,
                transposed(matrix_of(
                    call->inputs[1] + batch.offsets[1] * mm->k * mm->n, mm->n)),
                i, j, mm->n);
        else
            sum += product(
                transposed(matrix_of(
                    call->inputs[0] + batch.offsets[0] * mm->m * mm->k, mm->k)),
                grad, i, j, mm->m);
    }
    return sum;
}

static void matmul_operand(const struct sosie_gradient_call *call, size_t side)
{
    struct matmul mm = matmul_of(call);
    size_t rows = side ? mm.k : mm.m, columns = side ? mm.n : mm.k;
    size_t n = sosie_shape_count(&call->in_shapes[side]) / (rows * columns);
    size_t repeats = sosie_walk_repeats_last(&mm.batch, side);
    float *to = call->input_grads[side];
    for (size_t p = 0; p < n; p++) {
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < columns; j++)
                *to++ = (float)matmul_by(call, &mm, side, repeats, i, j);
        for (size_t r = 0; r < repeats; r++)
            sosie_walk_next(&mm.batch);
    }
}

void sosie_backward_matmul(const struct sosie_gradient_call *call)
{
    for (size_t side = 0; side < 2; side++)
        if (call->input_grads[side])
            matmul_operand(call, side);
}

/* ---- reductions ---------------------------------------------------------- */

/* Through the input; tensor 0 is the output, which lacks the dimensions that
 * are reduced or has size 1 there. */
static struct sosie_walk walk_reduction(const struct sosie_gradient_call *call)
{
    const struct sosie_shape *in = &call->in_shapes[0];
    struct sosie_walk walk = sosie_walk_begin(in);
    size_t stride = 1;
    for (size_t d = in->rank; d-- > 0;)
        if (!call->node->reduce.axes[d]) {
            walk.strides[0][d] = stride;
            stride *= in->dims[d];
        }
    return walk;
}

/* Each input gets its output's gradient, divided by `divisor`. */
static void spread(const struct sosie_gradient_call *call, double divisor)
{
    struct sosie_walk walk = walk_reduction(call);
    size_t n = sosie_shape_count(&call->in_shapes[0]);
    for (size_t i = 0; call->input_grads[0] && i < n; i++) {
        call->input_grads[0][i] =
            (float)((double)call->output_grad[walk.offsets[0]] / divisor);
        sosie_walk_next(&walk);
    }
}

void sosie_backward_reduce_sum(const struct sosie_gradient_call *call)
{
    spread(call, 1.0);
}

void sosie_backward_reduce_mean(const struct sosie_gradient_call *call)
{
    spread(call, (double)sosie_shape_count(&call->in_shapes[0]) /
                     (double)sosie_shape_count(&call->out_shape));
}

/* y = |x|, dy/dx = x / y; 0 for a vector of zeros. */
void sosie_backward_reduce_l2(const struct sosie_gradient_call *call)
{
    struct sosie_walk walk = walk_reduction(call);
    size_t n = sosie_shape_count(&call->in_shapes[0]);
    for (size_t i = 0; call->input_grads[0] && i < n; i++) {
        double grad = (double)call->output_grad[walk.offsets[0]];
        double y = (double)call->output[walk.offsets[0]];
        call->input_grads[0][i] =
            y > 0.0 ? (float)(grad * (double)call->inputs[0][i] / y) : 0.0F;
        sosie_walk_next(&walk);
    }
}
