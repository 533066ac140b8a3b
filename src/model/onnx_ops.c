/* onnx_ops.c: one reader for each op: which inputs and attributes it has, what
 * they default to, and what changed between opsets. */
#include "model/onnx_ops.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- attributes ---------------------------------------------------------- */

/* The attribute, or NULL if it is not there. BAD_INPUT if it is of another
 * type than the format says. */
static enum sosie_status find(const Onnx__NodeProto *proto, const char *name,
                              int32_t type, const Onnx__AttributeProto **out,
                              struct sosie_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < proto->n_attribute && !*out; i++) {
        const Onnx__AttributeProto *attribute = proto->attribute[i];
        if (attribute->name && !strcmp(attribute->name, name))
            *out = attribute;
    }
    if (*out && (*out)->type != type)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "attribute '%s' is of type %d; expected %d", name,
                          (int)(*out)->type, (int)type);
    return SOSIE_OK;
}

/* Each leaves *value, the default, alone if the attribute is not there. */
static enum sosie_status read_int(const Onnx__NodeProto *proto,
                                  const char *name, int64_t *value,
                                  struct sosie_error *err)
{
    const Onnx__AttributeProto *attribute;
    enum sosie_status st =
        find(proto, name, ONNX_ATTRIBUTE_INT, &attribute, err);
    if (!st && attribute)
        *value = attribute->i;
    return st;
}

static enum sosie_status read_float(const Onnx__NodeProto *proto,
                                    const char *name, float *value,
                                    struct sosie_error *err)
{
    const Onnx__AttributeProto *attribute;
    enum sosie_status st =
        find(proto, name, ONNX_ATTRIBUTE_FLOAT, &attribute, err);
    if (!st && attribute)
        *value = attribute->f;
    return st;
}

static enum sosie_status read_flag(const Onnx__NodeProto *proto,
                                   const char *name, bool *value,
                                   struct sosie_error *err)
{
    int64_t number = *value;
    enum sosie_status st = read_int(proto, name, &number, err);
    *value = number != 0;
    return st;
}

/* Exactly n sizes. */
static enum sosie_status read_sizes(const Onnx__NodeProto *proto,
                                    const char *name, size_t n, size_t *sizes,
                                    struct sosie_error *err)
{
    const Onnx__AttributeProto *attribute;
    enum sosie_status st =
        find(proto, name, ONNX_ATTRIBUTE_INTS, &attribute, err);
    if (st || !attribute)
        return st;
    if (attribute->n_ints != n)
        return sosie_fail(err, SOSIE_REFUSED,
                          "attribute '%s' has %zu numbers; %zu are supported",
                          name, attribute->n_ints, n);
    for (size_t i = 0; i < n; i++) {
        if (attribute->ints[i] < 0)
            return sosie_fail(err, SOSIE_REFUSED,
                              "attribute '%s' holds %lld; numbers from 0 on "
                              "are supported",
                              name, (long long)attribute->ints[i]);
        sizes[i] = (size_t)attribute->ints[i];
    }
    return SOSIE_OK;
}

/* Refuses an attribute that has any but its usual value. */
static enum sosie_status need_int(const Onnx__NodeProto *proto,
                                  const char *name, int64_t usual,
                                  struct sosie_error *err)
{
    int64_t value = usual;
    enum sosie_status st = read_int(proto, name, &value, err);
    if (!st && value != usual)
        return sosie_fail(err, SOSIE_REFUSED,
                          "attribute '%s' is %lld; %lld is supported", name,
                          (long long)value, (long long)usual);
    return st;
}

/* ---- ops ----------------------------------------------------------------- */

struct source {
    const Onnx__NodeProto *proto;
    int64_t opset;
    const struct sosie_graph *graph;
};

static enum sosie_status nothing(const struct source *source,
                                 struct sosie_node *node,
                                 struct sosie_error *err)
{
    (void)source, (void)node, (void)err;
    return SOSIE_OK;
}

static enum sosie_status batch_norm(const struct source *source,
                                    struct sosie_node *node,
                                    struct sosie_error *err)
{
    enum sosie_status st = need_int(source->proto, "training_mode", 0, err);
    if (!st)
        st = need_int(source->proto, "spatial", 1, err);
    node->epsilon = 1e-5F;
    return st ? st : read_float(source->proto, "epsilon", &node->epsilon, err);
}

/* A bound that is an input since opset 11: one constant number. */
static enum sosie_status read_bound(const struct source *source,
                                    const struct sosie_node *node, size_t k,
                                    float *bound, struct sosie_error *err)
{
    const struct sosie_value *value = sosie_node_input(source->graph, node, k);
    if (!value)
        return SOSIE_OK;
    if (!value->data || value->dtype != SOSIE_F32)
        return sosie_fail(err, SOSIE_REFUSED,
                          "input '%.80s' is not a constant float32; only such "
                          "bounds are supported",
                          value->name);
    if (sosie_shape_count(&value->shape) != 1)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "input '%.80s' is %s; expected one number",
                          value->name, sosie_shape_text(&value->shape).text);
    *bound = *(const float *)value->data;
    return SOSIE_OK;
}

static enum sosie_status clip(const struct source *source,
                              struct sosie_node *node, struct sosie_error *err)
{
    enum sosie_status st;
    bool as_inputs = source->opset >= 11;
    if (as_inputs ? source->proto->n_attribute : node->n_inputs > 1)
        return sosie_fail(
            err, SOSIE_BAD_INPUT, "min and max are %s in opset %lld",
            as_inputs ? "inputs" : "attributes", (long long)source->opset);
    node->act = (struct sosie_act){-INFINITY, INFINITY};
    if (!as_inputs) {
        st = read_float(source->proto, "min", &node->act.a, err);
        return st ? st : read_float(source->proto, "max", &node->act.b, err);
    }
    st = read_bound(source, node, 1, &node->act.a, err);
    if (!st)
        st = read_bound(source, node, 2, &node->act.b, err);
    node->n_inputs = 1;
    return st;
}

static enum sosie_status read_auto_pad(const Onnx__NodeProto *proto,
                                       enum sosie_auto_pad *auto_pad,
                                       struct sosie_error *err)
{
    static const struct {
        const char *name;
        enum sosie_auto_pad value;
    } names[] = {{"NOTSET", SOSIE_PAD_EXPLICIT},
                 {"VALID", SOSIE_PAD_VALID},
                 {"SAME_UPPER", SOSIE_PAD_SAME_UPPER},
                 {"SAME_LOWER", SOSIE_PAD_SAME_LOWER}};
    const Onnx__AttributeProto *attribute;
    enum sosie_status st =
        find(proto, "auto_pad", ONNX_ATTRIBUTE_STRING, &attribute, err);
    if (st || !attribute)
        return st;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (attribute->s.len == strlen(names[i].name) &&
            !memcmp(attribute->s.data, names[i].name, attribute->s.len)) {
            *auto_pad = names[i].value;
            return SOSIE_OK;
        }
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "attribute 'auto_pad' is none of NOTSET, VALID, "
                      "SAME_UPPER, SAME_LOWER");
}

static enum sosie_status conv(const struct source *source,
                              struct sosie_node *node, struct sosie_error *err)
{
    const Onnx__NodeProto *proto = source->proto;
    struct sosie_window *c = &node->conv.window;
    int64_t group = 1;
    enum sosie_status st;

    *c = (struct sosie_window){.strides = {1, 1}, .dilations = {1, 1}};
    if ((st = read_int(proto, "group", &group, err)) ||
        (st = read_sizes(proto, "kernel_shape", 2, c->kernel, err)) ||
        (st = read_sizes(proto, "strides", 2, c->strides, err)) ||
        (st = read_sizes(proto, "dilations", 2, c->dilations, err)) ||
        (st = read_sizes(proto, "pads", 4, c->pads, err)) ||
        (st = read_auto_pad(proto, &c->auto_pad, err)))
        return st;
    node->conv.group = group > 0 ? (size_t)group : 0;
    return SOSIE_OK;
}

static enum sosie_status flatten(const struct source *source,
                                 struct sosie_node *node,
                                 struct sosie_error *err)
{
    node->axis = 1;
    return read_int(source->proto, "axis", &node->axis, err);
}

static enum sosie_status gemm(const struct source *source,
                              struct sosie_node *node, struct sosie_error *err)
{
    const Onnx__NodeProto *proto = source->proto;
    struct sosie_gemm *g = &node->gemm;
    enum sosie_status st;

    *g = (struct sosie_gemm){.alpha = 1.0F, .beta = 1.0F};
    if ((st = read_float(proto, "alpha", &g->alpha, err)) ||
        (st = read_float(proto, "beta", &g->beta, err)) ||
        (st = read_flag(proto, "transA", &g->trans_a, err)))
        return st;
    return read_flag(proto, "transB", &g->trans_b, err);
}

static enum sosie_status reshape(const struct source *source,
                                 struct sosie_node *node,
                                 struct sosie_error *err)
{
    const struct sosie_value *shape = sosie_node_input(source->graph, node, 1);
    struct sosie_reshape *r = &node->reshape;
    size_t rank = sosie_shape_count(&shape->shape);

    if (!shape->data || shape->dtype != SOSIE_I64)
        return sosie_fail(err, SOSIE_REFUSED,
                          "shape '%.80s' is not a constant int64; only such "
                          "shapes are supported",
                          shape->name);
    if (shape->shape.rank != 1 || rank > SOSIE_MAX_RANK)
        return sosie_fail(err, SOSIE_REFUSED,
                          "shape '%.80s' is %s; up to %d numbers are supported",
                          shape->name, sosie_shape_text(&shape->shape).text,
                          SOSIE_MAX_RANK);
    *r = (struct sosie_reshape){.rank = rank};
    memcpy(r->dims, shape->data, rank * sizeof(*r->dims));
    node->n_inputs = 1;
    return read_flag(source->proto, "allowzero", &r->allow_zero, err);
}

static enum sosie_status softmax(const struct source *source,
                                 struct sosie_node *node,
                                 struct sosie_error *err)
{
    node->softmax.flatten = source->opset < 13;
    node->softmax.axis = node->softmax.flatten ? 1 : -1;
    return read_int(source->proto, "axis", &node->softmax.axis, err);
}

struct op {
    size_t min_inputs, max_inputs;
    const char *attributes; /* those that are read, separated by spaces */
    enum sosie_status (*read)(const struct source *source,
                              struct sosie_node *node, struct sosie_error *err);
};

static const struct op ops[SOSIE_N_OPS] = {
    [SOSIE_OP_ADD] = {2, 2, "", nothing},
    [SOSIE_OP_BATCH_NORM] = {5, 5, "epsilon momentum spatial training_mode",
                             batch_norm},
    [SOSIE_OP_CLIP] = {1, 3, "max min", clip},
    [SOSIE_OP_CONV] = {2, 3,
                       "auto_pad dilations group kernel_shape pads strides",
                       conv},
    [SOSIE_OP_FLATTEN] = {1, 1, "axis", flatten},
    [SOSIE_OP_GEMM] = {2, 3, "alpha beta transA transB", gemm},
    [SOSIE_OP_GLOBAL_AVERAGE_POOL] = {1, 1, "", nothing},
    [SOSIE_OP_IDENTITY] = {1, 1, "", nothing},
    [SOSIE_OP_RELU] = {1, 1, "", nothing},
    [SOSIE_OP_RESHAPE] = {2, 2, "allowzero", reshape},
    [SOSIE_OP_SOFTMAX] = {1, 1, "axis", softmax},
};

/* ---- any node ------------------------------------------------------------ */

/* "Add, BatchNormalization, ...", for messages. */
struct op_names {
    char text[1024];
};

static struct op_names supported_ops(void)
{
    struct op_names names = {"Constant"};
    size_t used = strlen(names.text);
    for (unsigned op = 0; op < SOSIE_N_OPS && used < sizeof(names.text); op++) {
        int n = 0;
        if (ops[op].read)
            n = snprintf(names.text + used, sizeof(names.text) - used, ", %s",
                         sosie_op_name((enum sosie_op)op));
        used += n > 0 ? (size_t)n : 0;
    }
    return names;
}

static enum sosie_status find_op(const Onnx__NodeProto *proto,
                                 enum sosie_op *found, struct sosie_error *err)
{
    const char *type = proto->op_type ? proto->op_type : "";
    const char *domain = proto->domain ? proto->domain : "";
    if (*domain && strcmp(domain, "ai.onnx"))
        return sosie_fail(err, SOSIE_REFUSED,
                          "ops of domain '%.80s' are not supported; those of "
                          "ONNX itself are",
                          domain);
    for (unsigned op = 0; op < SOSIE_N_OPS; op++)
        if (ops[op].read && !strcmp(type, sosie_op_name((enum sosie_op)op))) {
            *found = (enum sosie_op)op;
            return SOSIE_OK;
        }
    return sosie_fail(err, SOSIE_REFUSED,
                      "this op is not supported; supported: %s",
                      supported_ops().text);
}

/* True if `name` is one of the words of `list`. */
static bool is_listed(const char *name, const char *list)
{
    size_t n = strlen(name);
    for (const char *word = list; *word; word += strspn(word, " ")) {
        size_t length = strcspn(word, " ");
        if (length == n && !memcmp(word, name, n))
            return true;
        word += length;
    }
    return false;
}

static enum sosie_status check_attributes(const Onnx__NodeProto *proto,
                                          const char *list,
                                          struct sosie_error *err)
{
    for (size_t i = 0; i < proto->n_attribute; i++) {
        const char *name = proto->attribute[i]->name;
        if (!name || !is_listed(name, list))
            return sosie_fail(err, SOSIE_REFUSED,
                              "attribute '%.80s' is not supported; supported: "
                              "%s",
                              name ? name : "", *list ? list : "none");
    }
    return SOSIE_OK;
}

static enum sosie_status check_inputs(const struct op *op,
                                      const struct sosie_node *node,
                                      struct sosie_error *err)
{
    size_t given = 0;
    while (given < node->n_inputs && node->inputs[given] != SOSIE_NO_VALUE)
        given++;
    if (given >= op->min_inputs && node->n_inputs <= op->max_inputs)
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "%zu inputs, the first %zu of them given; expected %zu "
                      "to %zu",
                      node->n_inputs, given, op->min_inputs, op->max_inputs);
}

enum sosie_status sosie_onnx_op(const Onnx__NodeProto *proto, int64_t opset,
                                const struct sosie_graph *graph,
                                struct sosie_node *node,
                                struct sosie_error *err)
{
    struct source source = {proto, opset, graph};
    const struct op *op;
    enum sosie_status st = find_op(proto, &node->op, err);
    if (st)
        return st;
    op = &ops[node->op];
    st = check_attributes(proto, op->attributes, err);
    if (!st)
        st = check_inputs(op, node, err);
    return st ? st : op->read(&source, node, err);
}
