/* onednn_lower.c: from nodes to oneDNN's primitives.
 *
 * The nodes are walked in order. For each value it is known in which buffer and
 * layout it stands. Convolutions choose the layout they are fastest in ("any");
 * the other ops take their input as it comes. Where the two differ, a reorder
 * is put in between; constants are packed once, at load. The network's input
 * takes the layout that its first convolution wants, if strides can say it, so
 * that most networks need no reorder at all.
 *
 * What oneDNN does not have runs in plain C, between two reorders.
 *
 * Here are that walk, and what the ops (onednn_lower_*.c) are made of: layouts,
 * tensors and steps. */
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

struct sosie_shape sosie_lowering_widened(const struct sosie_shape *shape,
                                          size_t rank)
{
    struct sosie_shape wide = {rank, {0}};
    for (size_t i = 0; i < rank; i++)
        wide.dims[i] =
            i + shape->rank < rank ? 1 : shape->dims[i + shape->rank - rank];
    return wide;
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

/* ---- primitives, or plain C instead -------------------------------------- */

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

bool sosie_lowering_is_reference(const struct sosie_lowering *lo)
{
    return !strncmp(sosie_pd_implementation(lo->pd), "ref", 3);
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
