/* onednn.h: what lowering to oneDNN (onednn_lower.c) leaves for running on it
 * (ops_onednn.c). */
#ifndef SOSIE_NN_ONEDNN_H
#define SOSIE_NN_ONEDNN_H

#include "nn/dnnl.h"
#include "nn/net_impl.h"

/* net->backend */
struct sosie_onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream; /* for packing weights */
    struct sosie_mds mds; /* all that steps and packings hold */
};

/* step->code of the steps that are a primitive. */
struct sosie_onednn_code {
    dnnl_primitive_t primitive;
    struct {
        int id; /* DNNL_ARG_SRC, ... */
        sosie_md md;
    } args[SOSIE_MAX_ARGS]; /* parallel to step->args */
};

/* buffer->packing */
struct sosie_onednn_packing {
    sosie_md from, to;
    bool same; /* the elements stay where they are */
};

/* Adds steps and buffers for the whole graph; net->backend is there. */
SOSIE_MUST_CHECK enum sosie_status sosie_onednn_lower(struct sosie_net *net,
                                                      struct sosie_error *err);

/* How a window slides, as oneDNN has it. False where one may lie wholly in the
 * padding, which not all of oneDNN's kernels foresee. */
bool sosie_onednn_window(const struct sosie_window *from,
                         struct sosie_conv_window *window);

/* Their status as ours; `what` was being done. */
enum sosie_status sosie_onednn_fail(struct sosie_error *err,
                                    dnnl_status_t status, const char *what);

#endif
