/* onnx_attr.c: what a node of an ONNX file says beside its tensors: attributes,
 * and inputs that are parameters in truth, which must be constants. */
#include "model/onnx_private.h"

#include <string.h>

/* ---- attributes ---------------------------------------------------------- */

enum sosie_status sosie_onnx_find(const Onnx__NodeProto *proto,
                                  const char *name, int32_t type,
                                  const Onnx__AttributeProto **out,
                                  struct sosie_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < proto->n_attribute && !*out; i++)
        if (!strcmp(sosie_onnx_text(proto->attribute[i]->name), name))
            *out = proto->attribute[i];
    if (*out && (*out)->type != type)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "attribute '%s' is of type %d; expected %d", name,
                          (int)(*out)->type, (int)type);
    return SOSIE_OK;
}

enum sosie_status sosie_onnx_int(const Onnx__NodeProto *proto, const char *name,
                                 int64_t *value, struct sosie_error *err)
{
    const Onnx__AttributeProto *attribute;
    enum sosie_status st =
        sosie_onnx_find(proto, name, ONNX_ATTRIBUTE_INT, &attribute, err);
    if (!st && attribute)
        *value = attribute->i;
    return st;
}

enum sosie_status sosie_onnx_float(const Onnx__NodeProto *proto,
                                   const char *name, float *value,
                                   struct sosie_error *err)
{
    const Onnx__AttributeProto *attribute;
    enum sosie_status st =
        sosie_onnx_find(proto, name, ONNX_ATTRIBUTE_FLOAT, &attribute, err);
    if (!st && attribute)
        *value = attribute->f;
    return st;
}

enum sosie_status sosie_onnx_flag(const Onnx__NodeProto *proto,
                                  const char *name, bool *value,
                                  struct sosie_error *err)
{
    int64_t number = *value;
    enum sosie_status st = sosie_onnx_int(proto, name, &number, err);
    *value = number != 0;
    return st;
}

enum sosie_status sosie_onnx_sizes(const Onnx__NodeProto *proto,
                                   const char *name, size_t n, size_t *sizes,
                                   struct sosie_error *err)
{
    const Onnx__AttributeProto *attribute;
    enum sosie_status st =
        sosie_onnx_find(proto, name, ONNX_ATTRIBUTE_INTS, &attribute, err);
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

/* "a, b, c", for messages. */
struct words {
    char text[160];
};

static struct words listed(const char *const *words)
{
    struct words list = {""};
    for (size_t used = 0; *words; words++) {
        size_t length = strlen(*words);
        if (used + length + 3 > sizeof(list.text))
            break;
        if (used) {
            memcpy(list.text + used, ", ", 2);
            used += 2;
        }
        memcpy(list.text + used, *words, length + 1);
        used += length;
    }
    return list;
}

enum sosie_status sosie_onnx_word(const Onnx__NodeProto *proto,
                                  const char *name, const char *const *words,
                                  unsigned *place, struct sosie_error *err)
{
    const Onnx__AttributeProto *attribute;
    enum sosie_status st =
        sosie_onnx_find(proto, name, ONNX_ATTRIBUTE_STRING, &attribute, err);
    if (st || !attribute)
        return st;
    for (unsigned i = 0; words[i]; i++)
        if (attribute->s.len == strlen(words[i]) &&
            !memcmp(attribute->s.data, words[i], attribute->s.len)) {
            *place = i;
            return SOSIE_OK;
        }
    return sosie_fail(err, SOSIE_REFUSED,
                      "attribute '%s' is \"%.*s\"; supported: %s", name,
                      attribute->s.len < 40 ? (int)attribute->s.len : 40,
                      attribute->s.data ? (const char *)attribute->s.data : "",
                      listed(words).text);
}

enum sosie_status sosie_onnx_need_int(const Onnx__NodeProto *proto,
                                      const char *name, int64_t usual,
                                      struct sosie_error *err)
{
    int64_t value = usual;
    enum sosie_status st = sosie_onnx_int(proto, name, &value, err);
    if (!st && value != usual)
        return sosie_fail(err, SOSIE_REFUSED,
                          "attribute '%s' is %lld; %lld is supported", name,
                          (long long)value, (long long)usual);
    return st;
}

/* ---- inputs that are parameters ------------------------------------------ */

const struct sosie_value *
sosie_onnx_input(const struct sosie_onnx_source *source, size_t k)
{
    if (k >= source->n_inputs || source->inputs[k] == SOSIE_NO_VALUE)
        return NULL;
    return &source->graph->values[source->inputs[k]];
}

enum sosie_status sosie_onnx_input_ints(const struct sosie_onnx_source *source,
                                        size_t k, struct sosie_onnx_ints *ints,
                                        struct sosie_error *err)
{
    const struct sosie_value *value = sosie_onnx_input(source, k);
    *ints = (struct sosie_onnx_ints){0};
    if (!value)
        return SOSIE_OK;
    if (!value->data || value->dtype != SOSIE_I64)
        return sosie_fail(err, SOSIE_REFUSED,
                          "input '%.80s' is not a constant of whole numbers; "
                          "only such are supported here",
                          value->name);
    *ints = (struct sosie_onnx_ints){true, sosie_shape_count(&value->shape),
                                     value->data, value->shape};
    return SOSIE_OK;
}

enum sosie_status
sosie_onnx_input_floats(const struct sosie_onnx_source *source, size_t k,
                        const float **values, size_t *n,
                        struct sosie_error *err)
{
    const struct sosie_value *value = sosie_onnx_input(source, k);
    *values = NULL;
    *n = 0;
    if (!value)
        return SOSIE_OK;
    if (!value->data || value->dtype != SOSIE_F32)
        return sosie_fail(err, SOSIE_REFUSED,
                          "input '%.80s' is not a constant float32; only such "
                          "are supported here",
                          value->name);
    *values = value->data;
    *n = sosie_shape_count(&value->shape);
    return SOSIE_OK;
}

enum sosie_status sosie_onnx_list(const struct sosie_onnx_source *source,
                                  const char *name, size_t k, int64_t since,
                                  struct sosie_onnx_ints *ints,
                                  struct sosie_error *err)
{
    const Onnx__AttributeProto *attribute;
    bool is_input = source->opset >= since;
    enum sosie_status st = sosie_onnx_find(
        source->proto, name, ONNX_ATTRIBUTE_INTS, &attribute, err);
    *ints = (struct sosie_onnx_ints){0};
    if (st)
        return st;
    if (is_input ? attribute != NULL : source->n_inputs > k)
        return sosie_fail(err, SOSIE_BAD_INPUT, "%s is an %s in opset %lld",
                          name, is_input ? "input" : "attribute",
                          (long long)source->opset);
    if (is_input)
        return sosie_onnx_input_ints(source, k, ints, err);
    if (attribute)
        *ints = (struct sosie_onnx_ints){
            true, attribute->n_ints, attribute->ints, {1, {attribute->n_ints}}};
    return SOSIE_OK;
}

enum sosie_status sosie_onnx_axis(int64_t axis, size_t rank, size_t *out,
                                  struct sosie_error *err)
{
    int64_t n = (int64_t)rank;
    if (axis < -n || axis >= n)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "axis is %lld but the input has %zu dimensions",
                          (long long)axis, rank);
    *out = (size_t)(axis < 0 ? axis + n : axis);
    return SOSIE_OK;
}
