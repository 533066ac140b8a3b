/* onednn_lower.c: from nodes to oneDNN's primitives.
 *
 * The nodes are walked in order. For each value it is known in which buffer and
 * layout it stands. Convolutions choose the layout they are fastest in ("any");
 * the other ops take their input as it comes. Where the two differ, a reorder
 * is put in between; constants are packed once, at load. The network's input
 * takes the layout that its first convolution wants, if strides can say it, so
 * that most networks need no reorder at all.
 *
 * What oneDNN does not have runs in plain C, between two reorders. */
#include "nn/onednn_lowering.h"

#include "nn/int8.h"

#include <string.h>

/* ---- layouts ------------------------------------------------------------- */

int sosie_lowering_dims_of(const struct sosie_shape *shape, dnnl_dims_t dims)
{
    dims[0] = 1;
    for (size_t i = 0; i < shape->rank; i++)
        dims[i] = (int64_t)shape->dims[i];
    return shape->rank ? (int)shape->rank : 1;
}

dnnl_status_t sosie_lowering_dense_md(struct sosie_mds *mds, int rank,
                                      const dnnl_dims_t dims, sosie_md *md)
{
    dnnl_dims_t strides;
    int64_t stride = 1;
    for (int i = rank; i-- > 0; stride *= dims[i])
        strides[i] = stride;
    return sosie_md_strided(mds, rank, dims, strides, md);
}

dnnl_status_t sosie_lowering_plain_md(struct sosie_mds *mds,
                                      const struct sosie_shape *shape,
                                      sosie_md *md)
{
    dnnl_dims_t dims;
    int rank = sosie_lowering_dims_of(shape, dims);
    return sosie_lowering_dense_md(mds, rank, dims, md);
}

dnnl_status_t sosie_lowering_any_md(struct sosie_mds *mds,
                                    const struct sosie_shape *shape,
                                    dnnl_data_type_t type, sosie_md *md)
{
    dnnl_dims_t dims;
    int rank = sosie_lowering_dims_of(shape, dims);
    return sosie_md_any(mds, rank, dims, type, md);
}

/* True if the elements stand in the same places: strides along dimensions of
 * size 1 do not matter. */
static bool same_places(sosie_md a, sosie_md b)
{
    dnnl_dims_t a_dims, a_strides, b_dims, b_strides;
    int a_rank, b_rank;

    if (sosie_md_equal(a, b))
        return true;
    if (sosie_md_type(a) != sosie_md_type(b))
        return false;
    if (!sosie_md_strides(a, &a_rank, a_dims, a_strides) ||
        !sosie_md_strides(b, &b_rank, b_dims, b_strides) || a_rank != b_rank)
        return false;
    for (int i = 0; i < a_rank; i++)
        if (a_dims[i] != b_dims[i] ||
            (a_dims[i] > 1 && a_strides[i] != b_strides[i]))
            return false;
    return true;
}

/* ---- tensors and steps --------------------------------------------------- */

enum sosie_status
sosie_lowering_new_tensor(struct sosie_lowering *lo, sosie_md md,
                          struct sosie_lowering_tensor *tensor,
                          struct sosie_error *err)
{
    tensor->md = md;
    return sosie_net_add_buffer(lo->net, sosie_md_size(md), SOSIE_NO_VALUE,
                                NULL, &tensor->buffer, err);
}

/* Whole numbers become floats, for ops in plain C. */
static enum sosie_status fill_floats(const void *packing, const void *data,
                                     void *memory, struct sosie_error *err)
{
    struct sosie_value value = *(const struct sosie_value *)packing;
    (void)err;
    value.data = data;
    sosie_plain_floats(&value, memory);
    return SOSIE_OK;
}

static enum sosie_status packed_floats(struct sosie_lowering *lo,
                                       sosie_value_id id, sosie_md md,
                                       struct sosie_lowering_tensor *tensor,
                                       struct sosie_error *err)
{
    struct sosie_value *kept = sosie_arena_alloc(lo->arena, 1, sizeof(*kept));
    enum sosie_status st;
    if (!kept)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's weights");
    *kept = lo->net->graph.values[id];
    tensor->md = md;
    st = sosie_net_add_buffer(lo->net, sosie_md_size(md), id, kept,
                              &tensor->buffer, err);
    if (!st)
        lo->net->buffers[tensor->buffer].fill = fill_floats;
    return st;
}

enum sosie_status sosie_lowering_packed(struct sosie_lowering *lo,
                                        sosie_value_id id, sosie_md from,
                                        sosie_md to,
                                        struct sosie_lowering_tensor *tensor,
                                        struct sosie_error *err)
{
    struct sosie_onednn_packing *packing =
        sosie_arena_alloc(lo->arena, 1, sizeof(*packing));
    if (!packing)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's weights");
    *packing = (struct sosie_onednn_packing){from, to, same_places(from, to)};
    tensor->md = to;
    return sosie_net_add_buffer(lo->net, sosie_md_size(to), id, packing,
                                &tensor->buffer, err);
}

enum sosie_status sosie_lowering_emit(struct sosie_lowering *lo,
                                      const_dnnl_primitive_desc_t pd,
                                      const struct sosie_lowering_arg *args,
                                      size_t n_args, struct sosie_error *err)
{
    struct sosie_step step = {.node = lo->node, .n_args = n_args};
    struct sosie_onednn_code *code =
        sosie_arena_alloc(lo->arena, 1, sizeof(*code));
    struct sosie_lowering_arg scratch = {.id = DNNL_ARG_SCRATCHPAD};
    dnnl_status_t dnn = dnnl_out_of_memory;
    enum sosie_status st = SOSIE_OK;

    step.implementation =
        sosie_arena_strdup(lo->arena, sosie_pd_implementation(pd));
    if (code && step.implementation)
        dnn = sosie_pd_md(lo->mds, pd, dnnl_query_scratchpad_md,
                          &scratch.tensor.md);
    if (!dnn)
        dnn = dnnl_primitive_create(&code->primitive, pd);
    if (dnn)
        return sosie_onednn_fail(err, dnn, "making a primitive");

    for (size_t i = 0; i < n_args; i++) {
        step.args[i] = args[i].tensor.buffer;
        code->args[i].id = args[i].id;
        code->args[i].md = args[i].tensor.md;
    }
    if (sosie_md_size(scratch.tensor.md)) {
        st = sosie_lowering_new_tensor(lo, scratch.tensor.md, &scratch.tensor,
                                       err);
        step.args[step.n_args] = scratch.tensor.buffer;
        code->args[step.n_args].id = scratch.id;
        code->args[step.n_args++].md = scratch.tensor.md;
    }
    step.code = code;
    if (!st)
        st = sosie_net_add_step(lo->net, &step, err);
    if (st)
        dnnl_primitive_destroy(code->primitive);
    return st;
}

static enum sosie_status reorder(struct sosie_lowering *lo,
                                 struct sosie_lowering_tensor from, sosie_md md,
                                 struct sosie_lowering_tensor *to,
                                 struct sosie_error *err)
{
    dnnl_primitive_desc_t pd;
    enum sosie_status st;
    dnnl_status_t dnn =
        sosie_reorder_pd(lo->engine, from.md, md, lo->attr, &pd);
    if (dnn)
        return sosie_onednn_fail(err, dnn, "reorder");
    st = sosie_lowering_new_tensor(lo, md, to, err);
    if (!st) {
        struct sosie_lowering_arg args[] = {{DNNL_ARG_FROM, from},
                                            {DNNL_ARG_TO, *to}};
        st = sosie_lowering_emit(lo, pd, args, 2, err);
    }
    dnnl_primitive_desc_destroy(pd);
    return st;
}

/* If the value is an input of the network that nothing has read yet, and
 * strides can say `md`, the caller is asked to fill it in that layout. */
static bool adopt_layout(struct sosie_lowering *lo, sosie_value_id id,
                         sosie_md md)
{
    struct sosie_net *net = lo->net;
    struct sosie_lowering_tensor *tensor = &lo->tensors[id];
    dnnl_dims_t dims, strides;
    int rank;
    for (size_t k = 0; k < net->graph.n_inputs; k++) {
        if (net->graph.inputs[k] != id || tensor->is_read ||
            sosie_md_size(md) != sosie_md_size(tensor->md) ||
            !sosie_md_strides(md, &rank, dims, strides))
            continue;
        tensor->md = md;
        for (size_t d = 0; d < sosie_lowering_shape(lo, id)->rank; d++)
            net->input_strides[k][d] = (size_t)strides[d];
        return true;
    }
    return false;
}

enum sosie_status sosie_lowering_in_layout(struct sosie_lowering *lo,
                                           sosie_value_id id, sosie_md md,
                                           struct sosie_lowering_tensor *tensor,
                                           struct sosie_error *err)
{
    const struct sosie_value *value = &lo->net->graph.values[id];
    bool stays;
    if (value->data) {
        sosie_md plain;
        dnnl_status_t dnn =
            sosie_lowering_plain_md(lo->mds, &value->shape, &plain);
        if (dnn)
            return sosie_onednn_fail(err, dnn, "a constant's layout");
        return value->dtype == SOSIE_F32
                   ? sosie_lowering_packed(lo, id, plain, md, tensor, err)
                   : packed_floats(lo, id, md, tensor, err);
    }
    stays = same_places(lo->tensors[id].md, md) || adopt_layout(lo, id, md);
    lo->tensors[id].is_read = true;
    if (!stays)
        return reorder(lo, lo->tensors[id], md, tensor, err);
    *tensor = (struct sosie_lowering_tensor){.buffer = lo->tensors[id].buffer,
                                             .md = md};
    return SOSIE_OK;
}

enum sosie_status sosie_lowering_in_plain(struct sosie_lowering *lo,
                                          sosie_value_id id,
                                          struct sosie_lowering_tensor *tensor,
                                          struct sosie_error *err)
{
    sosie_md md;
    dnnl_status_t dnn =
        sosie_lowering_plain_md(lo->mds, sosie_lowering_shape(lo, id), &md);
    return dnn ? sosie_onednn_fail(err, dnn, "a tensor's layout")
               : sosie_lowering_in_layout(lo, id, md, tensor, err);
}

enum sosie_status sosie_lowering_in_plain_as(
    struct sosie_lowering *lo, sosie_value_id id, dnnl_data_type_t type,
    struct sosie_lowering_tensor *tensor, struct sosie_error *err)
{
    sosie_md md;
    dnnl_status_t dnn =
        sosie_lowering_plain_md(lo->mds, sosie_lowering_shape(lo, id), &md);
    if (!dnn)
        dnn = sosie_md_as(lo->mds, md, type, &md);
    return dnn ? sosie_onednn_fail(err, dnn, "a tensor's layout")
               : sosie_lowering_in_layout(lo, id, md, tensor, err);
}

enum sosie_status sosie_lowering_as_it_is(struct sosie_lowering *lo,
                                          sosie_value_id id,
                                          struct sosie_lowering_tensor *tensor,
                                          struct sosie_error *err)
{
    if (!lo->tensors[id].md)
        return sosie_lowering_in_plain(lo, id, tensor, err); /* a constant */
    lo->tensors[id].is_read = true;
    *tensor = lo->tensors[id];
    return SOSIE_OK;
}

/* ---- ops ----------------------------------------------------------------- */

enum sosie_status sosie_onednn_lower_plain(struct sosie_lowering *lo,
                                           const struct sosie_node *node,
                                           struct sosie_error *err)
{
    struct sosie_step step = {
        .node = lo->node, .implementation = "plain", .run = sosie_plain_step};
    struct sosie_lowering_tensor *out = &lo->tensors[node->output];
    enum sosie_status st = SOSIE_OK;
    sosie_md md;
    dnnl_status_t dnn = sosie_lowering_plain_md(
        lo->mds, sosie_lowering_shape(lo, node->output), &md);

    for (size_t k = 0; k < node->n_inputs && !st; k++) {
        struct sosie_lowering_tensor tensor = {.buffer = SOSIE_NO_BUFFER};
        if (node->inputs[k] != SOSIE_NO_VALUE)
            st = sosie_lowering_in_plain(lo, node->inputs[k], &tensor, err);
        step.args[step.n_args++] = tensor.buffer;
    }
    if (dnn)
        return sosie_onednn_fail(err, dnn, "a tensor's layout");
    if (!st)
        st = sosie_lowering_new_tensor(lo, md, out, err);
    step.args[step.n_args++] = out->buffer;
    return st ? st : sosie_net_add_step(lo->net, &step, err);
}

enum sosie_status sosie_lowering_without_pd(struct sosie_lowering *lo,
                                            const struct sosie_node *node,
                                            dnnl_status_t dnn,
                                            struct sosie_error *err)
{
    if (dnn == dnnl_unimplemented || dnn == dnnl_invalid_arguments)
        return sosie_onednn_lower_plain(lo, node, err);
    return sosie_onednn_fail(err, dnn, "making a primitive descriptor");
}

/* The input's elements in another shape. */
enum sosie_status sosie_onednn_lower_view(struct sosie_lowering *lo,
                                          const struct sosie_node *node,
                                          struct sosie_error *err)
{
    struct sosie_lowering_tensor in;
    enum sosie_status st =
        sosie_lowering_in_plain(lo, node->inputs[0], &in, err);
    dnnl_status_t dnn;
    if (st)
        return st;
    lo->tensors[node->output].buffer = in.buffer;
    dnn =
        sosie_lowering_plain_md(lo->mds, sosie_lowering_shape(lo, node->output),
                                &lo->tensors[node->output].md);
    return dnn ? sosie_onednn_fail(err, dnn, "a tensor's layout") : SOSIE_OK;
}

enum sosie_status sosie_lowering_unary(struct sosie_lowering *lo,
                                       const struct sosie_node *node,
                                       struct sosie_lowering_tensor in,
                                       sosie_md md, struct sosie_error *err)
{
    struct sosie_lowering_tensor *out = &lo->tensors[node->output];
    enum sosie_status st = sosie_lowering_new_tensor(lo, md, out, err);
    struct sosie_lowering_arg args[] = {{DNNL_ARG_SRC, in},
                                        {DNNL_ARG_DST, *out}};
    return st ? st : sosie_lowering_emit(lo, lo->pd, args, 2, err);
}

/* A function of one number as oneDNN names it, which may be followed by a clip
 * to 0..1. */
struct function {
    dnnl_alg_kind_t kind;
    float a, b;
    bool is_clipped;
};

static bool find_function(enum sosie_op op, struct sosie_act act,
                          struct function *f)
{
    *f = (struct function){dnnl_eltwise_relu, act.a, act.b, false};
    switch ((int)op) {
    case SOSIE_OP_RELU:
    case SOSIE_OP_LEAKY_RELU:
        f->a = op == SOSIE_OP_RELU ? 0.0F : act.a;
        return true;
    case SOSIE_OP_CLIP:
        f->kind = dnnl_eltwise_clip;
        return true;
    case SOSIE_OP_ELU:
        f->kind = dnnl_eltwise_elu;
        return true;
    case SOSIE_OP_EXP:
        f->kind = dnnl_eltwise_exp;
        return true;
    case SOSIE_OP_GELU:
        f->kind = act.a > 0.0F ? dnnl_eltwise_gelu_tanh : dnnl_eltwise_gelu_erf;
        return true;
    case SOSIE_OP_HARD_SIGMOID:
        f->kind = dnnl_eltwise_linear;
        f->is_clipped = true;
        return true;
    case SOSIE_OP_HARD_SWISH:
        f->kind = dnnl_eltwise_hardswish;
        return true;
    case SOSIE_OP_SIGMOID:
        f->kind = dnnl_eltwise_logistic;
        return true;
    case SOSIE_OP_SQRT:
        f->kind = dnnl_eltwise_sqrt;
        return true;
    case SOSIE_OP_SWISH:
        f->kind = dnnl_eltwise_swish;
        f->a = 1.0F;
        return true;
    case SOSIE_OP_TANH:
        f->kind = dnnl_eltwise_tanh;
        return true;
    default:
        return false;
    }
}

dnnl_status_t sosie_lowering_post_function(dnnl_post_ops_t posts,
                                           const struct sosie_post *post)
{
    struct function f;
    dnnl_status_t dnn = dnnl_unimplemented;
    if (find_function(post->op, post->act, &f))
        dnn = sosie_post_function(posts, f.kind, f.a, f.b);
    if (!dnn && f.is_clipped)
        dnn = sosie_post_function(posts, dnnl_eltwise_clip, 0.0F, 1.0F);
    return dnn;
}

/* Clips the output of the node to 0..1, in place. */
static enum sosie_status clip_output(struct sosie_lowering *lo,
                                     const struct sosie_node *node,
                                     struct sosie_error *err)
{
    struct sosie_lowering_tensor out = lo->tensors[node->output];
    struct sosie_lowering_arg args[] = {{DNNL_ARG_SRC, out},
                                        {DNNL_ARG_DST, out}};
    dnnl_primitive_desc_t pd;
    dnnl_status_t dnn = sosie_eltwise_pd(lo->engine, dnnl_eltwise_clip, out.md,
                                         0.0F, 1.0F, lo->attr, &pd);
    enum sosie_status st;
    if (dnn)
        return sosie_onednn_fail(err, dnn, "a clip");
    st = sosie_lowering_emit(lo, pd, args, 2, err);
    dnnl_primitive_desc_destroy(pd);
    return st;
}

enum sosie_status sosie_onednn_lower_act(struct sosie_lowering *lo,
                                         const struct sosie_node *node,
                                         struct sosie_error *err)
{
    struct function f;
    struct sosie_lowering_tensor in;
    dnnl_status_t dnn;
    enum sosie_status st;
    if (!find_function(node->op, node->act, &f))
        return sosie_onednn_lower_plain(lo, node, err);
    st = sosie_lowering_as_it_is(lo, node->inputs[0], &in, err);
    if (st)
        return st;
    dnn = sosie_eltwise_pd(lo->engine, f.kind, in.md, f.a, f.b, lo->attr,
                           &lo->pd);
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    st = sosie_lowering_unary(lo, node, in, in.md, err);
    return st || !f.is_clipped ? st : clip_output(lo, node, err);
}

bool sosie_lowering_is_reference(const struct sosie_lowering *lo)
{
    return !strncmp(sosie_pd_implementation(lo->pd), "ref", 3);
}

/* A pool whose output takes the layout of its input. */
static enum sosie_status
lower_window(struct sosie_lowering *lo, const struct sosie_node *node,
             dnnl_alg_kind_t kind, const dnnl_dims_t kernel,
             const struct sosie_conv_window *window, struct sosie_error *err)
{
    struct sosie_lowering_tensor in;
    sosie_md md;
    dnnl_status_t dnn;
    enum sosie_status st =
        sosie_lowering_as_it_is(lo, node->inputs[0], &in, err);
    if (st)
        return st;
    dnn = sosie_lowering_any_md(lo->mds, sosie_lowering_shape(lo, node->output),
                                sosie_md_type(in.md), &md);
    if (!dnn)
        dnn = sosie_pool_pd(lo->engine, kind, in.md, md, kernel, window,
                            lo->attr, &lo->pd);
    if (!dnn && sosie_lowering_is_reference(lo))
        dnn = dnnl_unimplemented;
    if (!dnn)
        dnn = sosie_pd_md(lo->mds, lo->pd, dnnl_query_dst_md, &md);
    return dnn ? sosie_lowering_without_pd(lo, node, dnn, err)
               : sosie_lowering_unary(lo, node, in, md, err);
}

enum sosie_status sosie_onednn_lower_global_pool(struct sosie_lowering *lo,
                                                 const struct sosie_node *node,
                                                 struct sosie_error *err)
{
    const struct sosie_shape *shape = sosie_lowering_shape(lo, node->inputs[0]);
    struct sosie_conv_window window;
    memset(&window, 0, sizeof window);
    dnnl_dims_t kernel;
    if (shape->rank != 4)
        return sosie_onednn_lower_plain(lo, node, err);
    for (size_t i = 0; i < 2; i++)
        kernel[i] = window.strides[i] = (int64_t)shape->dims[2 + i];
    return lower_window(lo, node,
                        node->op == SOSIE_OP_GLOBAL_MAX_POOL
                            ? dnnl_pooling_max
                            : dnnl_pooling_avg_exclude_padding,
                        kernel, &window, err);
}

/* What an output beyond the padding needs is added to it. */
enum sosie_status sosie_onednn_lower_pool(struct sosie_lowering *lo,
                                          const struct sosie_node *node,
                                          struct sosie_error *err)
{
    const struct sosie_shape *in = sosie_lowering_shape(lo, node->inputs[0]);
    const struct sosie_shape *out = sosie_lowering_shape(lo, node->output);
    const struct sosie_window *w = &node->pool.window;
    struct sosie_conv_window window;
    memset(&window, 0, sizeof window);
    dnnl_dims_t kernel;
    bool is_max = node->op == SOSIE_OP_MAX_POOL;
    for (size_t i = 0; i < 2; i++) {
        size_t reach = (out->dims[2 + i] - 1) * w->strides[i] + w->kernel[i];
        size_t have = in->dims[2 + i] + w->pads[i];
        kernel[i] = (int64_t)w->kernel[i];
        window.strides[i] = (int64_t)w->strides[i];
        window.pads_begin[i] = (int64_t)w->pads[i];
        window.pads_end[i] = (int64_t)(reach > have ? reach - have : 0);
        if (w->dilations[i] != 1 ||
            (node->pool.counts_padding &&
             (size_t)window.pads_end[i] > w->pads[i + 2]))
            return sosie_onednn_lower_plain(lo, node, err);
    }
    return lower_window(lo, node,
                        is_max ? dnnl_pooling_max
                        : node->pool.counts_padding
                            ? dnnl_pooling_avg_include_padding
                            : dnnl_pooling_avg_exclude_padding,
                        kernel, &window, err);
}

enum sosie_status sosie_onednn_lower_softmax(struct sosie_lowering *lo,
                                             const struct sosie_node *node,
                                             struct sosie_error *err)
{
    struct sosie_softmax_sizes s = sosie_softmax_sizes(
        &node->softmax, sosie_lowering_shape(lo, node->output));
    dnnl_dims_t dims = {(int64_t)s.outer, (int64_t)s.length, (int64_t)s.inner};
    struct sosie_lowering_tensor in;
    sosie_md md, plain;
    enum sosie_status st =
        sosie_lowering_in_plain(lo, node->inputs[0], &in, err);
    dnnl_status_t dnn;
    if (st)
        return st;
    plain = in.md;
    dnn = sosie_lowering_dense_md(lo->mds, 3, dims, &md);
    if (!dnn)
        dnn = sosie_softmax_pd(lo->engine, md, 1, lo->attr, &lo->pd);
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    in.md = md;
    st = sosie_lowering_unary(lo, node, in, md, err);
    lo->tensors[node->output].md = plain;
    return st;
}

enum sosie_status sosie_onednn_lower_batch_norm(struct sosie_lowering *lo,
                                                const struct sosie_node *node,
                                                struct sosie_error *err)
{
    static const int ids[] = {DNNL_ARG_SRC, DNNL_ARG_SCALE, DNNL_ARG_SHIFT,
                              DNNL_ARG_MEAN, DNNL_ARG_VARIANCE};
    struct sosie_lowering_tensor *out = &lo->tensors[node->output];
    struct sosie_lowering_arg args[6];
    enum sosie_status st = SOSIE_OK;
    dnnl_status_t dnn;

    for (size_t k = 0; k < 5 && !st; k++) {
        args[k].id = ids[k];
        st = sosie_lowering_as_it_is(lo, node->inputs[k], &args[k].tensor, err);
    }
    if (st)
        return st;
    dnn = sosie_batch_norm_pd(lo->engine, args[0].tensor.md, node->epsilon,
                              lo->attr, &lo->pd);
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    st = sosie_lowering_new_tensor(lo, args[0].tensor.md, out, err);
    args[5] = (struct sosie_lowering_arg){DNNL_ARG_DST, *out};
    return st ? st : sosie_lowering_emit(lo, lo->pd, args, 6, err);
}

/* oneDNN repeats only its second operand. If the first has the sum's shape,
 * and the second fewer dimensions, that one gets leading ones. */
static bool find_binary(enum sosie_op op, dnnl_alg_kind_t *kind)
{
    switch ((int)op) {
    case SOSIE_OP_ADD:
        *kind = dnnl_binary_add;
        return true;
    case SOSIE_OP_SUB:
        *kind = dnnl_binary_sub;
        return true;
    case SOSIE_OP_MUL:
        *kind = dnnl_binary_mul;
        return true;
    case SOSIE_OP_DIV:
        *kind = dnnl_binary_div;
        return true;
    case SOSIE_OP_MAX:
        *kind = dnnl_binary_max;
        return true;
    case SOSIE_OP_MIN:
        *kind = dnnl_binary_min;
        return true;
    default:
        return false;
    }
}

struct sosie_shape sosie_lowering_widened(const struct sosie_shape *shape,
                                          size_t rank)
{
    struct sosie_shape wide = {rank, {0}};
    for (size_t i = 0; i < rank; i++)
        wide.dims[i] =
            i + shape->rank < rank ? 1 : shape->dims[i + shape->rank - rank];
    return wide;
}

/* The second of two inputs, for a result that stands as `like`: in that layout
 * if it is as large or one number a channel, otherwise row-major with as many
 * dimensions. */
static enum sosie_status
second_input(struct sosie_lowering *lo, sosie_value_id id,
             const struct sosie_shape *shape, sosie_md like,
             struct sosie_lowering_tensor *b, struct sosie_error *err)
{
    const struct sosie_shape *small = sosie_lowering_shape(lo, id);
    struct sosie_shape wide = sosie_lowering_widened(small, shape->rank);
    sosie_md md;
    dnnl_dims_t dims;
    enum sosie_status st;
    dnnl_status_t dnn;
    if (sosie_shape_equal(small, shape))
        return sosie_lowering_in_layout(lo, id, like, b, err);
    if (small->rank == 4 && shape->rank == 4 &&
        sosie_shape_count(small) == shape->dims[1] &&
        small->dims[1] == shape->dims[1]) {
        (void)sosie_lowering_dims_of(small, dims);
        if (sosie_md_channels_like(lo->mds, like, dims, &md))
            return sosie_lowering_in_layout(lo, id, md, b, err);
    }
    st = sosie_lowering_in_plain(lo, id, b, err);
    dnn = sosie_lowering_plain_md(lo->mds, &wide, &b->md);
    if (!st && dnn)
        return sosie_onednn_fail(err, dnn, "a tensor's layout");
    return st;
}

/* True for arithmetic with one constant number: alpha * x + beta. */
static bool is_line(const struct sosie_lowering *lo,
                    const struct sosie_node *node, bool swap, float *alpha,
                    float *beta)
{
    const struct sosie_value *c = &lo->net->graph.values[node->inputs[!swap]];
    float v;
    if (!c->data || c->dtype != SOSIE_F32 ||
        sosie_shape_count(&c->shape) != 1 ||
        !sosie_shape_equal(sosie_lowering_shape(lo, node->inputs[swap]),
                           sosie_lowering_shape(lo, node->output)))
        return false;
    v = *(const float *)c->data;
    *alpha = node->op == SOSIE_OP_MUL   ? v
             : node->op == SOSIE_OP_DIV ? 1.0F / v
                                        : 1.0F;
    *beta = node->op == SOSIE_OP_ADD ? v : node->op == SOSIE_OP_SUB ? -v : 0.0F;
    return node->op == SOSIE_OP_MUL || node->op == SOSIE_OP_ADD ||
           (!swap && (node->op == SOSIE_OP_SUB || node->op == SOSIE_OP_DIV));
}

static enum sosie_status lower_line(struct sosie_lowering *lo,
                                    const struct sosie_node *node,
                                    sosie_value_id x, float alpha, float beta,
                                    struct sosie_error *err)
{
    struct sosie_lowering_tensor in;
    enum sosie_status st = sosie_lowering_as_it_is(lo, x, &in, err);
    dnnl_status_t dnn;
    if (st)
        return st;
    dnn = sosie_eltwise_pd(lo->engine, dnnl_eltwise_linear, in.md, alpha, beta,
                           lo->attr, &lo->pd);
    return dnn ? sosie_lowering_without_pd(lo, node, dnn, err)
               : sosie_lowering_unary(lo, node, in, in.md, err);
}

/* Makes lo->pd for `second`, which is made to fit `a`. */
static enum sosie_status
choose_binary(struct sosie_lowering *lo, dnnl_alg_kind_t kind,
              struct sosie_lowering_tensor a, sosie_value_id second,
              const struct sosie_shape *shape, struct sosie_lowering_tensor *b,
              dnnl_status_t *dnn, struct sosie_error *err)
{
    enum sosie_status st = second_input(lo, second, shape, a.md, b, err);
    if (!st)
        *dnn = sosie_binary_pd(lo->engine, kind, a.md, b->md, a.md, lo->attr,
                               &lo->pd);
    return st;
}

enum sosie_status sosie_onednn_lower_binary(struct sosie_lowering *lo,
                                            const struct sosie_node *node,
                                            struct sosie_error *err)
{
    const struct sosie_shape *shape = sosie_lowering_shape(lo, node->output);
    bool swap =
        !sosie_shape_equal(sosie_lowering_shape(lo, node->inputs[0]), shape);
    sosie_value_id first = node->inputs[swap], second = node->inputs[!swap];
    struct sosie_lowering_tensor a, b, *out = &lo->tensors[node->output];
    dnnl_alg_kind_t kind;
    float alpha, beta;
    enum sosie_status st;
    dnnl_status_t dnn = dnnl_success;

    if (is_line(lo, node, swap, &alpha, &beta))
        return lower_line(lo, node, first, alpha, beta, err);
    if (!find_binary(node->op, &kind) ||
        !sosie_shape_equal(sosie_lowering_shape(lo, first), shape) ||
        (swap && (node->op == SOSIE_OP_SUB || node->op == SOSIE_OP_DIV)))
        return sosie_onednn_lower_plain(lo, node, err);
    st = sosie_lowering_as_it_is(lo, first, &a, err);
    if (!st)
        st = choose_binary(lo, kind, a, second, shape, &b, &dnn, err);
    if (!st && !dnn &&
        sosie_lowering_is_reference(lo)) { /* slow: row-major is worth moving */
        dnnl_primitive_desc_destroy(lo->pd);
        lo->pd = NULL;
        st = sosie_lowering_in_plain(lo, first, &a, err);
        if (!st)
            st = choose_binary(lo, kind, a, second, shape, &b, &dnn, err);
    }
    if (st)
        return st;
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    st = sosie_lowering_new_tensor(lo, a.md, out, err);
    if (!st) {
        struct sosie_lowering_arg args[] = {
            {DNNL_ARG_SRC_0, a}, {DNNL_ARG_SRC_1, b}, {DNNL_ARG_DST, *out}};
        st = sosie_lowering_emit(lo, lo->pd, args, 3, err);
    }
    return st;
}

static bool is_one(float x)
{
    return !(x < 1.0F || x > 1.0F);
}

/* True if it is x * W + bias with constant W and one bias a column, as the
 * passes leave most Gemms. */
static bool is_inner_product(const struct sosie_graph *graph,
                             const struct sosie_node *node)
{
    const struct sosie_value *b = sosie_node_input(graph, node, SOSIE_GEMM_B);
    const struct sosie_value *c = sosie_node_input(graph, node, SOSIE_GEMM_C);
    return !node->gemm.trans_a && b->data && is_one(node->gemm.alpha) &&
           (!c || (c->data && c->shape.rank == 1 && is_one(node->gemm.beta)));
}

/* x * W + bias with constant W: rows x inner times inner x columns. */
struct product {
    sosie_value_id x, w, bias; /* bias may be SOSIE_NO_VALUE */
    int64_t rows, inner, columns;
    bool is_transposed; /* W is given as columns x inner */
};

/* Where the matrices stand: W as given and as packed. */
struct product_layouts {
    sosie_md src, given, weights, dst;
};

/* Makes lo->pd for sizes and strides of the three in `rank` dimensions. */
static dnnl_status_t product_layouts(struct sosie_lowering *lo, int rank,
                                     const dnnl_dims_t sizes[3],
                                     const dnnl_dims_t strides[3],
                                     struct product_layouts *layouts)
{
    dnnl_status_t dnn;
    if ((dnn = sosie_md_strided(lo->mds, rank, sizes[0], strides[0],
                                &layouts->src)) ||
        (dnn = sosie_md_as(lo->mds, layouts->src, lo->type, &layouts->src)) ||
        (dnn = sosie_md_strided(lo->mds, rank, sizes[1], strides[1],
                                &layouts->given)) ||
        (dnn = sosie_md_any(lo->mds, rank, sizes[1], lo->type,
                            &layouts->weights)))
        return dnn;
    return sosie_md_strided(lo->mds, rank, sizes[2], strides[2], &layouts->dst);
}

static dnnl_status_t as_inner_product(struct sosie_lowering *lo,
                                      const struct product *p, sosie_md bias,
                                      struct product_layouts *layouts)
{
    const dnnl_dims_t sizes[3] = {
        {p->rows, p->inner}, {p->columns, p->inner}, {p->rows, p->columns}};
    const dnnl_dims_t strides[3] = {
        {p->inner, 1},
        {p->is_transposed ? p->inner : 1, p->is_transposed ? 1 : p->columns},
        {p->columns, 1}};
    dnnl_status_t dnn = product_layouts(lo, 2, sizes, strides, layouts);
    return dnn ? dnn
               : sosie_inner_product_pd(lo->engine, layouts->src,
                                        layouts->weights, bias, layouts->dst,
                                        lo->attr, &lo->pd);
}

/* The rows as the pixels of a picture whose channels are the columns. */
static dnnl_status_t as_convolution(struct sosie_lowering *lo,
                                    const struct product *p, sosie_md bias,
                                    struct product_layouts *layouts)
{
    const struct sosie_conv_window window = {.strides = {1, 1},
                                             .dilations = {1, 1}};
    const dnnl_dims_t sizes[3] = {{1, p->inner, p->rows, 1},
                                  {p->columns, p->inner, 1, 1},
                                  {1, p->columns, p->rows, 1}};
    const dnnl_dims_t strides[3] = {
        {p->rows * p->inner, 1, p->inner, p->inner},
        {p->is_transposed ? p->inner : 1, p->is_transposed ? 1 : p->columns, 1,
         1},
        {p->rows * p->columns, 1, p->columns, p->columns}};
    dnnl_status_t dnn = product_layouts(lo, 4, sizes, strides, layouts);
    return dnn ? dnn
               : sosie_conv_pd(lo->engine, layouts->src, layouts->weights, bias,
                               layouts->dst, &window, lo->attr, &lo->pd);
}

/* Without AVX-512, oneDNN's inner product is a gemm that packs the weights in
 * each pass; its convolutions have them packed before. */
static dnnl_status_t choose_product(struct sosie_lowering *lo,
                                    const struct product *p, sosie_md bias,
                                    struct product_layouts *layouts)
{
    dnnl_status_t dnn = as_inner_product(lo, p, bias, layouts);
    if (!dnn && p->rows > 1 &&
        strstr(sosie_pd_implementation(lo->pd), "gemm:jit")) {
        dnnl_primitive_desc_t gemm = lo->pd;
        struct product_layouts better;
        lo->pd = NULL;
        if (as_convolution(lo, p, bias, &better) ||
            sosie_lowering_is_reference(lo) ||
            strstr(sosie_pd_implementation(lo->pd), "gemm")) {
            dnnl_primitive_desc_destroy(lo->pd);
            lo->pd = gemm;
        } else {
            dnnl_primitive_desc_destroy(gemm);
            *layouts = better;
        }
    }
    return dnn ? dnn
               : sosie_pd_md(lo->mds, lo->pd, dnnl_query_weights_md,
                             &layouts->weights);
}

static enum sosie_status lower_product(struct sosie_lowering *lo,
                                       const struct sosie_node *node,
                                       const struct product *p,
                                       struct sosie_error *err)
{
    struct sosie_lowering_tensor x, w, bias = {0},
                                       *out = &lo->tensors[node->output];
    bool has_bias = p->bias != SOSIE_NO_VALUE;
    struct product_layouts layouts;
    enum sosie_status st =
        sosie_lowering_in_plain_as(lo, p->x, lo->type, &x, err);
    dnnl_status_t dnn;
    if (!st && has_bias)
        st = sosie_lowering_in_plain(lo, p->bias, &bias, err);
    if (st)
        return st;
    dnn = choose_product(lo, p, bias.md, &layouts);
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    x.md = layouts.src;
    st = sosie_lowering_packed(lo, p->w, layouts.given, layouts.weights, &w,
                               err);
    if (!st)
        st = sosie_lowering_new_tensor(lo, layouts.dst, out, err);
    if (!st) {
        struct sosie_lowering_arg args[] = {{DNNL_ARG_SRC, x},
                                            {DNNL_ARG_WEIGHTS, w},
                                            {DNNL_ARG_DST, *out},
                                            {DNNL_ARG_BIAS, bias}};
        st = sosie_lowering_emit(lo, lo->pd, args, has_bias ? 4 : 3, err);
    }
    dnn = sosie_lowering_plain_md(
        lo->mds, sosie_lowering_shape(lo, node->output), &out->md);
    return st || !dnn ? st : sosie_onednn_fail(err, dnn, "a tensor's layout");
}

enum sosie_status sosie_onednn_lower_gemm(struct sosie_lowering *lo,
                                          const struct sosie_node *node,
                                          struct sosie_error *err)
{
    const struct sosie_graph *graph = &lo->net->graph;
    const struct sosie_shape *x =
        sosie_lowering_shape(lo, node->inputs[SOSIE_GEMM_A]);
    struct product p = {.x = node->inputs[SOSIE_GEMM_A],
                        .w = node->inputs[SOSIE_GEMM_B],
                        .bias = SOSIE_NO_VALUE,
                        .is_transposed = node->gemm.trans_b};
    if (!is_inner_product(graph, node))
        return sosie_onednn_lower_plain(lo, node, err);
    if (sosie_node_input(graph, node, SOSIE_GEMM_C))
        p.bias = node->inputs[SOSIE_GEMM_C];
    p.rows = (int64_t)x->dims[0];
    p.inner = (int64_t)x->dims[1];
    p.columns = (int64_t)sosie_lowering_shape(lo, node->output)->dims[1];
    return lower_product(lo, node, &p, err);
}

/* ---- MatMul -------------------------------------------------------------- */

/* Rows times a constant matrix: the rows of all batches are one matrix. */
static enum sosie_status lower_matmul_constant(struct sosie_lowering *lo,
                                               const struct sosie_node *node,
                                               struct sosie_error *err)
{
    const struct sosie_shape *b = sosie_lowering_shape(lo, node->inputs[1]);
    size_t n = sosie_shape_count(sosie_lowering_shape(lo, node->output));
    struct product p = {.x = node->inputs[0],
                        .w = node->inputs[1],
                        .bias = SOSIE_NO_VALUE,
                        .rows = (int64_t)(n / b->dims[1]),
                        .inner = (int64_t)b->dims[0],
                        .columns = (int64_t)b->dims[1]};
    return lower_product(lo, node, &p, err);
}

enum sosie_status sosie_onednn_lower_matmul(struct sosie_lowering *lo,
                                            const struct sosie_node *node,
                                            struct sosie_error *err)
{
    const struct sosie_shape *shape = sosie_lowering_shape(lo, node->output);
    const struct sosie_value *b = &lo->net->graph.values[node->inputs[1]];
    struct sosie_shape wide[2];
    struct sosie_lowering_tensor in[2], *out = &lo->tensors[node->output];
    sosie_md dst;
    enum sosie_status st = SOSIE_OK;
    dnnl_status_t dnn;
    if (sosie_lowering_shape(lo, node->inputs[0])->rank < 2 ||
        b->shape.rank < 2)
        return sosie_onednn_lower_plain(lo, node, err);
    if (b->data && b->shape.rank == 2)
        return lower_matmul_constant(lo, node, err);
    dnn = sosie_lowering_plain_md(lo->mds, shape, &dst);
    for (size_t k = 0; k < 2 && !st && !dnn; k++) {
        st = sosie_lowering_in_plain(lo, node->inputs[k], &in[k], err);
        wide[k] = sosie_lowering_widened(
            sosie_lowering_shape(lo, node->inputs[k]), shape->rank);
        dnn = sosie_lowering_plain_md(lo->mds, &wide[k], &in[k].md);
    }
    if (st)
        return st;
    if (!dnn)
        dnn = sosie_matmul_pd(lo->engine, in[0].md, in[1].md, NULL, dst,
                              lo->attr, &lo->pd);
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    st = sosie_lowering_new_tensor(lo, dst, out, err);
    if (!st) {
        struct sosie_lowering_arg args[] = {{DNNL_ARG_SRC, in[0]},
                                            {DNNL_ARG_WEIGHTS, in[1]},
                                            {DNNL_ARG_DST, *out}};
        st = sosie_lowering_emit(lo, lo->pd, args, 3, err);
    }
    return st;
}

/* ---- LayerNormalization, Transpose, Concat ------------------------------- */

enum sosie_status sosie_onednn_lower_layer_norm(struct sosie_lowering *lo,
                                                const struct sosie_node *node,
                                                struct sosie_error *err)
{
    static const int ids[] = {DNNL_ARG_SRC, DNNL_ARG_SCALE, DNNL_ARG_SHIFT};
    const struct sosie_shape *shape = sosie_lowering_shape(lo, node->output);
    struct sosie_lowering_tensor *out = &lo->tensors[node->output];
    struct sosie_lowering_arg args[4];
    enum sosie_status st = SOSIE_OK;
    dnnl_status_t dnn;
    if (node->n_inputs < 3 || shape->rank < 2 ||
        (size_t)node->layer_norm.axis + 1 != shape->rank)
        return sosie_onednn_lower_plain(lo, node, err);
    for (size_t k = 0; k < 3 && !st; k++) {
        if (k && (node->inputs[k] == SOSIE_NO_VALUE ||
                  sosie_lowering_shape(lo, node->inputs[k])->rank != 1 ||
                  sosie_lowering_shape(lo, node->inputs[k])->dims[0] !=
                      shape->dims[shape->rank - 1]))
            return sosie_onednn_lower_plain(lo, node, err);
        args[k].id = ids[k];
        st = sosie_lowering_in_plain(lo, node->inputs[k], &args[k].tensor, err);
    }
    if (st)
        return st;
    dnn = sosie_layer_norm_pd(lo->engine, args[0].tensor.md,
                              node->layer_norm.epsilon, lo->attr, &lo->pd);
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    st = sosie_lowering_new_tensor(lo, args[0].tensor.md, out, err);
    args[3] = (struct sosie_lowering_arg){DNNL_ARG_DST, *out};
    return st ? st : sosie_lowering_emit(lo, lo->pd, args, 4, err);
}

/* The input, looked at with its dimensions in another order. */
enum sosie_status sosie_onednn_lower_transpose(struct sosie_lowering *lo,
                                               const struct sosie_node *node,
                                               struct sosie_error *err)
{
    const struct sosie_shape *shape = sosie_lowering_shape(lo, node->output);
    dnnl_dims_t from_dims, from, dims, strides;
    struct sosie_lowering_tensor in;
    sosie_md md;
    int rank;
    enum sosie_status st =
        sosie_lowering_as_it_is(lo, node->inputs[0], &in, err);
    dnnl_status_t dnn;
    if (!st && !sosie_md_strides(in.md, &rank, from_dims, from)) {
        st = sosie_lowering_in_plain(lo, node->inputs[0], &in, err);
        if (!st && !sosie_md_strides(in.md, &rank, from_dims, from))
            return sosie_onednn_lower_plain(lo, node, err);
    }
    if (st)
        return st;
    for (size_t d = 0; d < shape->rank; d++) {
        dims[d] = (int64_t)shape->dims[d];
        strides[d] = from[node->permutation[d]];
    }
    dnn = sosie_md_strided(lo->mds, rank, dims, strides, &md);
    if (!dnn)
        dnn = sosie_md_as(lo->mds, md, sosie_md_type(in.md), &md);
    if (dnn)
        return sosie_onednn_fail(err, dnn, "a tensor's layout");
    lo->tensors[node->output] =
        (struct sosie_lowering_tensor){.buffer = in.buffer, .md = md};
    return SOSIE_OK;
}

enum sosie_status sosie_onednn_lower_concat(struct sosie_lowering *lo,
                                            const struct sosie_node *node,
                                            struct sosie_error *err)
{
    sosie_md parts[SOSIE_MAX_INPUTS];
    struct sosie_lowering_arg args[SOSIE_MAX_INPUTS + 1];
    struct sosie_lowering_tensor *out = &lo->tensors[node->output];
    sosie_md md;
    enum sosie_status st = SOSIE_OK;
    dnnl_status_t dnn;
    for (size_t k = 0; k < node->n_inputs && !st; k++) {
        args[k].id = DNNL_ARG_MULTIPLE_SRC + (int)k;
        st = sosie_lowering_as_it_is(lo, node->inputs[k], &args[k].tensor, err);
        if (!st)
            parts[k] = args[k].tensor.md;
    }
    if (st)
        return st;
    dnn = sosie_lowering_any_md(lo->mds, sosie_lowering_shape(lo, node->output),
                                sosie_md_type(args[0].tensor.md), &md);
    if (!dnn)
        dnn = sosie_concat_pd(lo->engine, md, (int)node->n_inputs,
                              (int)node->axis, parts, lo->attr, &lo->pd);
    if (!dnn)
        dnn = sosie_pd_md(lo->mds, lo->pd, dnnl_query_dst_md, &md);
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    st = sosie_lowering_new_tensor(lo, md, out, err);
    args[node->n_inputs] = (struct sosie_lowering_arg){DNNL_ARG_DST, *out};
    return st ? st
              : sosie_lowering_emit(lo, lo->pd, args, node->n_inputs + 1, err);
}

/* ---- Conv ---------------------------------------------------------------- */

/* Fills lo->conv_attr from the node's post-ops. */
static dnnl_status_t conv_posts(struct sosie_lowering *lo,
                                const struct sosie_node *node)
{
    dnnl_status_t dnn = dnnl_primitive_attr_clone(&lo->conv_attr, lo->attr);
    if (!dnn)
        dnn = dnnl_post_ops_create(&lo->posts);
    for (size_t p = 0; p < node->n_posts && !dnn; p++) {
        const struct sosie_post *post = &node->posts[p];
        if (post->op == SOSIE_OP_ADD)
            dnn = sosie_post_sum(lo->posts);
        else
            dnn = sosie_lowering_post_function(lo->posts, post);
    }
    return dnn ? dnn
               : dnnl_primitive_attr_set_post_ops(lo->conv_attr, lo->posts);
}

/* False where a window may lie wholly in the padding, which not all of
 * oneDNN's kernels foresee. */
static bool conv_window(const struct sosie_window *conv,
                        struct sosie_conv_window *window)
{
    for (size_t i = 0; i < 2; i++) {
        size_t reach = (conv->kernel[i] - 1) * conv->dilations[i] + 1;
        window->strides[i] = (int64_t)conv->strides[i];
        window->dilations[i] = (int64_t)conv->dilations[i];
        window->pads_begin[i] = (int64_t)conv->pads[i];
        window->pads_end[i] = (int64_t)conv->pads[i + 2];
        if (conv->pads[i] >= reach || conv->pads[i + 2] >= reach)
            return false;
    }
    return true;
}

/* The layouts of a convolution: as given for weights, as chosen for all. */
struct conv_layouts {
    sosie_md given, src, weights, dst;
};

/* Makes lo->pd with free choice of layouts and tells what it chose. Weights of
 * groups have a dimension more in oneDNN: group, filters / group, ... */
static dnnl_status_t choose_conv(struct sosie_lowering *lo,
                                 const struct sosie_node *node, sosie_md bias,
                                 const struct sosie_conv_window *window,
                                 struct conv_layouts *layouts)
{
    const struct sosie_shape *w =
        sosie_lowering_shape(lo, node->inputs[SOSIE_CONV_W]);
    const struct sosie_shape *x =
        sosie_lowering_shape(lo, node->inputs[SOSIE_CONV_X]);
    int64_t group = (int64_t)node->conv.group;
    dnnl_dims_t dims = {0};
    int rank = 0;
    sosie_md src, weights, dst;
    dnnl_status_t dnn;

    if (group > 1)
        dims[rank++] = group;
    for (size_t i = 0; i < 4; i++)
        dims[rank++] = (int64_t)w->dims[i];
    dims[rank - 4] /= group;
    if ((dnn = sosie_lowering_dense_md(lo->mds, rank, dims, &layouts->given)) ||
        (dnn = sosie_md_any(lo->mds, rank, dims, lo->type, &weights)) ||
        (dnn = sosie_lowering_any_md(lo->mds, x, lo->type, &src)) ||
        (dnn = sosie_lowering_any_md(lo->mds,
                                     sosie_lowering_shape(lo, node->output),
                                     lo->type, &dst)) ||
        (dnn = conv_posts(lo, node)) ||
        (dnn = sosie_conv_pd(lo->engine, src, weights, bias, dst, window,
                             lo->conv_attr, &lo->pd)))
        return dnn;
    if ((dnn =
             sosie_pd_md(lo->mds, lo->pd, dnnl_query_src_md, &layouts->src)) ||
        (dnn = sosie_pd_md(lo->mds, lo->pd, dnnl_query_weights_md,
                           &layouts->weights)))
        return dnn;
    return sosie_pd_md(lo->mds, lo->pd, dnnl_query_dst_md, &layouts->dst);
}

/* A sum is written over the residual, so the output takes its buffer (or that
 * of its copy in the right layout); otherwise it gets a new one. */
static enum sosie_status conv_output(struct sosie_lowering *lo,
                                     const struct sosie_node *node, sosie_md md,
                                     struct sosie_error *err)
{
    struct sosie_lowering_tensor *out = &lo->tensors[node->output];
    if (node->n_inputs > SOSIE_CONV_RESIDUAL)
        return sosie_lowering_in_layout(lo, node->inputs[SOSIE_CONV_RESIDUAL],
                                        md, out, err);
    return sosie_lowering_new_tensor(lo, md, out, err);
}

enum sosie_status sosie_onednn_lower_conv(struct sosie_lowering *lo,
                                          const struct sosie_node *node,
                                          struct sosie_error *err)
{
    const struct sosie_graph *graph = &lo->net->graph;
    bool has_bias = sosie_node_input(graph, node, SOSIE_CONV_B) != NULL;
    struct sosie_conv_window window;
    struct conv_layouts layouts;
    struct sosie_lowering_tensor x, w, bias = {0};
    enum sosie_status st = SOSIE_OK;
    dnnl_status_t dnn;

    if (!conv_window(&node->conv.window, &window))
        return sosie_onednn_lower_plain(lo, node, err);
    if (has_bias)
        st =
            sosie_lowering_in_plain(lo, node->inputs[SOSIE_CONV_B], &bias, err);
    if (st)
        return st;
    dnn = choose_conv(lo, node, bias.md, &window, &layouts);
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    st = sosie_lowering_in_layout(lo, node->inputs[SOSIE_CONV_X], layouts.src,
                                  &x, err);
    if (!st)
        st = sosie_lowering_packed(lo, node->inputs[SOSIE_CONV_W],
                                   layouts.given, layouts.weights, &w, err);
    if (!st)
        st = conv_output(lo, node, layouts.dst, err);
    if (!st) {
        struct sosie_lowering_arg args[] = {
            {DNNL_ARG_SRC, x},
            {DNNL_ARG_WEIGHTS, w},
            {DNNL_ARG_DST, lo->tensors[node->output]},
            {DNNL_ARG_BIAS, bias}};
        st = sosie_lowering_emit(lo, lo->pd, args, has_bias ? 4 : 3, err);
    }
    return st;
}

/* ---- where int8 begins and ends ------------------------------------------ */

/* True if the bytes' side can walk over floats with these strides: pictures
 * anyhow; other tensors if their last dimension is dense and all before it are
 * as one. */
static bool can_be_walked(const struct sosie_shape *shape,
                          const dnnl_dims_t strides)
{
    size_t last = shape->rank ? shape->rank - 1 : 0;
    if (sosie_is_picture(shape) || !shape->rank)
        return true;
    if (strides[last] != 1 && shape->dims[last] != 1)
        return false;
    for (size_t d = 0; d + 1 < last; d++)
        if (strides[d] != (int64_t)shape->dims[d + 1] * strides[d + 1])
            return false;
    return true;
}

/* sosie_int8_sides.floats_in */
static enum sosie_status int8_in(void *data, sosie_value_id id,
                                 const size_t wish[SOSIE_MAX_RANK],
                                 uint32_t *buffer,
                                 size_t strides[SOSIE_MAX_RANK],
                                 struct sosie_error *err)
{
    struct sosie_lowering *lo = data;
    const struct sosie_shape *shape = sosie_lowering_shape(lo, id);
    struct sosie_lowering_tensor tensor;
    dnnl_dims_t dims, md_strides;
    int rank;
    enum sosie_status st;
    for (size_t k = 0; k < lo->net->graph.n_inputs; k++)
        if (lo->net->graph.inputs[k] == id && !lo->tensors[id].is_read) {
            sosie_md md;
            size_t last = 0;
            rank = sosie_lowering_dims_of(shape, dims);
            for (int i = 0; i < rank; i++)
                md_strides[i] = (int64_t)wish[i];
            if (sosie_md_strided(lo->mds, rank, dims, md_strides, &md))
                break;
            lo->tensors[id].md = md;
            for (size_t d = 0; d < shape->rank; d++) {
                lo->net->input_strides[k][d] = wish[d];
                if (wish[d] * shape->dims[d] > last)
                    last = wish[d] * shape->dims[d];
            }
            lo->net->buffers[lo->tensors[id].buffer].extent.size =
                last * sizeof(float);
            break;
        }
    st = sosie_lowering_as_it_is(lo, id, &tensor, err);
    if (!st && (!sosie_md_strides(tensor.md, &rank, dims, md_strides) ||
                !can_be_walked(shape, md_strides))) {
        st = sosie_lowering_in_plain(lo, id, &tensor, err);
        if (!st)
            (void)sosie_md_strides(tensor.md, &rank, dims, md_strides);
    }
    if (st)
        return st;
    *buffer = tensor.buffer;
    for (size_t d = 0; d < shape->rank; d++)
        strides[d] = (size_t)md_strides[d];
    return SOSIE_OK;
}

/* sosie_int8_sides.floats_through */
static enum sosie_status int8_through(void *data, sosie_value_id in,
                                      sosie_value_id out, uint32_t buffers[2],
                                      size_t *n, struct sosie_error *err)
{
    struct sosie_lowering *lo = data;
    struct sosie_lowering_tensor tensor;
    enum sosie_status st = sosie_lowering_as_it_is(lo, in, &tensor, err);
    if (!st)
        st = sosie_lowering_new_tensor(lo, tensor.md, &lo->tensors[out], err);
    if (st)
        return st;
    buffers[0] = tensor.buffer;
    buffers[1] = lo->tensors[out].buffer;
    *n = sosie_md_size(tensor.md) / sizeof(float);
    return SOSIE_OK;
}

/* sosie_int8_sides.floats_out */
static enum sosie_status int8_out(void *data, sosie_value_id id,
                                  const size_t strides[SOSIE_MAX_RANK],
                                  uint32_t *buffer, struct sosie_error *err)
{
    struct sosie_lowering *lo = data;
    dnnl_dims_t dims, md_strides;
    sosie_md md;
    enum sosie_status st;
    int rank = sosie_lowering_dims_of(sosie_lowering_shape(lo, id), dims);
    for (int i = 0; i < rank; i++)
        md_strides[i] = (int64_t)strides[i];
    if (sosie_md_strided(lo->mds, rank, dims, md_strides, &md))
        return sosie_fail(err, SOSIE_REFUSED,
                          "a layout that oneDNN does not know");
    st = sosie_lowering_new_tensor(lo, md, &lo->tensors[id], err);
    *buffer = lo->tensors[id].buffer;
    return st;
}

/* ---- lowering ------------------------------------------------------------ */

static enum sosie_status lower_node(struct sosie_lowering *lo,
                                    struct sosie_error *err)
{
    static sosie_onednn_lower_op *const ops[SOSIE_N_OPS] = {
        [SOSIE_OP_ADD] = sosie_onednn_lower_binary,
        [SOSIE_OP_AVERAGE_POOL] = sosie_onednn_lower_pool,
        [SOSIE_OP_BATCH_NORM] = sosie_onednn_lower_batch_norm,
        [SOSIE_OP_CONCAT] = sosie_onednn_lower_concat,
        [SOSIE_OP_CONV] = sosie_onednn_lower_conv,
        [SOSIE_OP_DIV] = sosie_onednn_lower_binary,
        [SOSIE_OP_FLATTEN] = sosie_onednn_lower_view,
        [SOSIE_OP_GEMM] = sosie_onednn_lower_gemm,
        [SOSIE_OP_GLOBAL_AVERAGE_POOL] = sosie_onednn_lower_global_pool,
        [SOSIE_OP_GLOBAL_MAX_POOL] = sosie_onednn_lower_global_pool,
        [SOSIE_OP_IDENTITY] = sosie_onednn_lower_view,
        [SOSIE_OP_LAYER_NORM] = sosie_onednn_lower_layer_norm,
        [SOSIE_OP_MATMUL] = sosie_onednn_lower_matmul,
        [SOSIE_OP_MAX] = sosie_onednn_lower_binary,
        [SOSIE_OP_MAX_POOL] = sosie_onednn_lower_pool,
        [SOSIE_OP_MIN] = sosie_onednn_lower_binary,
        [SOSIE_OP_MUL] = sosie_onednn_lower_binary,
        [SOSIE_OP_RESHAPE] = sosie_onednn_lower_view,
        [SOSIE_OP_SOFTMAX] = sosie_onednn_lower_softmax,
        [SOSIE_OP_SUB] = sosie_onednn_lower_binary,
        [SOSIE_OP_TRANSPOSE] = sosie_onednn_lower_transpose,
    };
    const struct sosie_node *node = &lo->net->graph.nodes[lo->node];
    enum sosie_status st;
    if (lo->net->options.precision == SOSIE_PRECISION_INT8 &&
        sosie_int8_node(&lo->net->graph, node))
        st = sosie_int8_lower(lo->int8, lo->node, err);
    else
        st = (ops[node->op] ? ops[node->op]
              : sosie_op_is_act(node->op)
                  ? sosie_onednn_lower_act
                  : sosie_onednn_lower_plain)(lo, node, err);
    if (st)
        sosie_error_prefix(err, "node '%.80s' (%s)", node->name,
                           sosie_op_name(node->op));
    dnnl_primitive_desc_destroy(lo->pd);
    dnnl_primitive_attr_destroy(lo->conv_attr);
    dnnl_post_ops_destroy(lo->posts);
    lo->pd = NULL;
    lo->conv_attr = NULL;
    lo->posts = NULL;
    return st;
}

static enum sosie_status lower_inputs(struct sosie_lowering *lo,
                                      struct sosie_error *err)
{
    struct sosie_net *net = lo->net;
    enum sosie_status st = SOSIE_OK;
    for (size_t k = 0; k < net->graph.n_inputs && !st; k++) {
        sosie_value_id id = net->graph.inputs[k];
        const struct sosie_shape *shape = sosie_lowering_shape(lo, id);
        sosie_md md;
        dnnl_status_t dnn = sosie_lowering_plain_md(lo->mds, shape, &md);
        if (dnn)
            return sosie_onednn_fail(err, dnn, "the input's layout");
        st = sosie_lowering_new_tensor(lo, md, &lo->tensors[id], err);
        net->inputs[k] = lo->tensors[id].buffer;
        for (size_t d = 0; d < shape->rank; d++)
            net->input_strides[k][d] =
                sosie_shape_product(shape, d + 1, shape->rank);
    }
    return st;
}

/* Callers read outputs row-major. */
static enum sosie_status lower_outputs(struct sosie_lowering *lo,
                                       struct sosie_error *err)
{
    const struct sosie_graph *graph = &lo->net->graph;
    enum sosie_status st = SOSIE_OK;
    for (size_t k = 0; k < graph->n_outputs && !st; k++) {
        struct sosie_lowering_tensor tensor = {0};
        for (size_t i = 0; i < graph->n_nodes; i++)
            if (graph->nodes[i].output == graph->outputs[k])
                lo->node = i; /* a reorder belongs to what made the output */
        st = sosie_lowering_in_plain(lo, graph->outputs[k], &tensor, err);
        lo->net->outputs[k] = tensor.buffer;
    }
    return st;
}

enum sosie_status sosie_onednn_lower(struct sosie_net *net,
                                     struct sosie_error *err)
{
    struct sosie_onednn *backend = net->backend;
    struct sosie_lowering lo = {
        .net = net,
        .arena = &net->graph.arena,
        .mds = &backend->mds,
        .engine = backend->engine,
        .type = net->options.precision == SOSIE_PRECISION_BF16 ? dnnl_bf16
                                                               : dnnl_f32};
    enum sosie_status st = SOSIE_OK;
    dnnl_status_t dnn = dnnl_out_of_memory;

    lo.tensors =
        sosie_arena_alloc(lo.arena, net->graph.n_values, sizeof(*lo.tensors));
    if (lo.tensors)
        dnn = dnnl_primitive_attr_create(&lo.attr);
    if (!dnn)
        dnn = dnnl_primitive_attr_set_scratchpad_mode(
            lo.attr, dnnl_scratchpad_mode_user);
    st = dnn ? sosie_onednn_fail(err, dnn, "starting") : lower_inputs(&lo, err);
    struct sosie_int8_sides sides = {&lo, int8_in, int8_through, int8_out};
    if (!st)
        st = sosie_int8_start(net, &sides, &lo.int8, err);
    for (; lo.node < net->graph.n_nodes && !st; lo.node++)
        st = lower_node(&lo, err);
    if (!st)
        st = lower_outputs(&lo, err);
    dnnl_primitive_attr_destroy(lo.attr);
    return st;
}
