/* onednn_lower_move.c: what only moves elements. Another shape or another order
 * of dimensions is the same buffer, looked at in another way. */
#include "nn/onednn_lowering.h"

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
