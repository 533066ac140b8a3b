/* onnx_ops_layers.c: reading convolutions, pools and normalisations. */
#include "model/onnx_private.h"

/* ---- windows ------------------------------------------------------------- */

static enum sosie_status read_window(const Onnx__NodeProto *proto,
                                     struct sosie_window *w,
                                     struct sosie_error *err)
{
    /* in the order of enum sosie_auto_pad */
    static const char *const words[] = {"NOTSET", "VALID", "SAME_UPPER",
                                        "SAME_LOWER", NULL};
    unsigned auto_pad = SOSIE_PAD_EXPLICIT;
    enum sosie_status st;

    *w = (struct sosie_window){.strides = {1, 1}, .dilations = {1, 1}};
    if ((st = sosie_onnx_sizes(proto, "kernel_shape", 2, w->kernel, err)) ||
        (st = sosie_onnx_sizes(proto, "strides", 2, w->strides, err)) ||
        (st = sosie_onnx_sizes(proto, "dilations", 2, w->dilations, err)) ||
        (st = sosie_onnx_sizes(proto, "pads", 4, w->pads, err)))
        return st;
    st = sosie_onnx_word(proto, "auto_pad", words, &auto_pad, err);
    w->auto_pad = (enum sosie_auto_pad)auto_pad;
    return st;
}

enum sosie_status sosie_onnx_conv(struct sosie_onnx_source *source,
                                  struct sosie_node *node,
                                  struct sosie_error *err)
{
    int64_t group = 1;
    enum sosie_status st = read_window(source->proto, &node->conv.window, err);
    if (!st)
        st = sosie_onnx_int(source->proto, "group", &group, err);
    node->conv.group = group > 0 ? (size_t)group : 0;
    return st;
}

static enum sosie_status read_pool(const struct sosie_onnx_source *source,
                                   struct sosie_node *node,
                                   struct sosie_error *err)
{
    enum sosie_status st = read_window(source->proto, &node->pool.window, err);
    if (!st && (!node->pool.window.kernel[0] || !node->pool.window.kernel[1]))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "attribute 'kernel_shape' is missing or holds 0");
    return st ? st
              : sosie_onnx_flag(source->proto, "ceil_mode",
                                &node->pool.ceil_mode, err);
}

/* storage_order is about the indices, which we don't give. */
enum sosie_status sosie_onnx_max_pool(struct sosie_onnx_source *source,
                                      struct sosie_node *node,
                                      struct sosie_error *err)
{
    return read_pool(source, node, err);
}

enum sosie_status sosie_onnx_average_pool(struct sosie_onnx_source *source,
                                          struct sosie_node *node,
                                          struct sosie_error *err)
{
    enum sosie_status st = read_pool(source, node, err);
    return st ? st
              : sosie_onnx_flag(source->proto, "count_include_pad",
                                &node->pool.counts_padding, err);
}

/* ---- normalisations ------------------------------------------------------ */

enum sosie_status sosie_onnx_batch_norm(struct sosie_onnx_source *source,
                                        struct sosie_node *node,
                                        struct sosie_error *err)
{
    enum sosie_status st =
        sosie_onnx_need_int(source->proto, "training_mode", 0, err);
    if (!st)
        st = sosie_onnx_need_int(source->proto, "spatial", 1, err);
    node->epsilon = 1e-5F;
    return st ? st
              : sosie_onnx_float(source->proto, "epsilon", &node->epsilon, err);
}

enum sosie_status sosie_onnx_layer_norm(struct sosie_onnx_source *source,
                                        struct sosie_node *node,
                                        struct sosie_error *err)
{
    enum sosie_status st =
        sosie_onnx_need_int(source->proto, "stash_type", ONNX_FLOAT, err);
    node->layer_norm = (struct sosie_layer_norm){-1, 1e-5F};
    if (!st)
        st = sosie_onnx_int(source->proto, "axis", &node->layer_norm.axis, err);
    return st ? st
              : sosie_onnx_float(source->proto, "epsilon",
                                 &node->layer_norm.epsilon, err);
}

enum sosie_status sosie_onnx_lp_norm(struct sosie_onnx_source *source,
                                     struct sosie_node *node,
                                     struct sosie_error *err)
{
    int64_t p = 2;
    enum sosie_status st = sosie_onnx_int(source->proto, "p", &p, err);
    if (!st && p != 1 && p != 2)
        return sosie_fail(err, SOSIE_REFUSED,
                          "attribute 'p' is %lld; 1 and 2 are supported",
                          (long long)p);
    node->lp_norm = (struct sosie_lp_norm){-1, (int)p};
    return st ? st
              : sosie_onnx_int(source->proto, "axis", &node->lp_norm.axis, err);
}
