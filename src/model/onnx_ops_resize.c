/* onnx_ops_resize.c: reading Resize, whose rules changed with opsets 11, 13, 18
 * and 19. */
#include "model/onnx_private.h"

#include <math.h>
#include <string.h>

/* Refuses what changes the result in ways that we don't have. */
static enum sosie_status refuse_variants(const Onnx__NodeProto *proto,
                                         struct sosie_error *err)
{
    static const char *const policies[] = {"stretch", NULL};
    unsigned policy = 0;
    enum sosie_status st = sosie_onnx_need_int(proto, "antialias", 0, err);
    if (!st)
        st = sosie_onnx_need_int(proto, "exclude_outside", 0, err);
    return st ? st
              : sosie_onnx_word(proto, "keep_aspect_ratio_policy", policies,
                                &policy, err);
}

static enum sosie_status read_modes(const struct sosie_onnx_source *source,
                                    struct sosie_resize *resize,
                                    struct sosie_error *err)
{
    static const char *const modes[] = {"nearest", "linear", NULL};
    /* in the order of enum sosie_resize_coordinates */
    static const char *const coordinates[] = {
        "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric",
        NULL};
    /* in the order of enum sosie_resize_rounding */
    static const char *const roundings[] = {
        "round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
    unsigned mode = 0, rounding = SOSIE_ROUND_PREFER_FLOOR;
    unsigned coordinate =
        source->opset < 11 ? SOSIE_RESIZE_ASYMMETRIC : SOSIE_RESIZE_HALF_PIXEL;
    enum sosie_status st;
    if ((st = sosie_onnx_word(source->proto, "mode", modes, &mode, err)) ||
        (st = sosie_onnx_word(source->proto, "coordinate_transformation_mode",
                              coordinates, &coordinate, err)) ||
        (st = sosie_onnx_word(source->proto, "nearest_mode", roundings,
                              &rounding, err)))
        return st;
    resize->linear = mode == 1;
    resize->coordinates = (enum sosie_resize_coordinates)coordinate;
    resize->rounding = (enum sosie_resize_rounding)rounding;
    return SOSIE_OK;
}

/* Which dimensions the sizes or scales are of: all, or `axes` since opset 18.
 */
static enum sosie_status read_axes(const struct sosie_onnx_source *source,
                                   size_t rank, size_t *axes, size_t *n,
                                   struct sosie_error *err)
{
    const Onnx__AttributeProto *attribute;
    bool seen[SOSIE_MAX_RANK] = {false};
    enum sosie_status st = sosie_onnx_find(
        source->proto, "axes", ONNX_ATTRIBUTE_INTS, &attribute, err);
    if (st)
        return st;
    *n = attribute ? attribute->n_ints : rank;
    if (*n > rank)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%zu axes; the input has %zu dimensions", *n, rank);
    for (size_t i = 0; i < *n; i++) {
        axes[i] = i;
        if (attribute)
            st = sosie_onnx_axis(attribute->ints[i], rank, &axes[i], err);
        if (!st && seen[axes[i]])
            st = sosie_fail(err, SOSIE_BAD_INPUT, "axis %zu is listed twice",
                            axes[i]);
        if (st)
            return st;
        seen[axes[i]] = true;
    }
    return SOSIE_OK;
}

static enum sosie_status from_scales(const float *scales, const size_t *axes,
                                     size_t n, const struct sosie_shape *in,
                                     struct sosie_resize *resize,
                                     struct sosie_error *err)
{
    for (size_t i = 0; i < n; i++) {
        size_t d = axes[i];
        double size = floor((double)in->dims[d] * (double)scales[i]);
        if (!(size >= 1.0) || size > (double)SOSIE_MAX_ELEMENTS)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "dimension %zu of %s, scaled by %g, is no size",
                              d, sosie_shape_text(in).text, (double)scales[i]);
        resize->scales[d] = scales[i];
        resize->sizes[d] = (size_t)size;
    }
    return SOSIE_OK;
}

static enum sosie_status from_sizes(const int64_t *sizes, const size_t *axes,
                                    size_t n, const struct sosie_shape *in,
                                    struct sosie_resize *resize,
                                    struct sosie_error *err)
{
    for (size_t i = 0; i < n; i++) {
        size_t d = axes[i];
        if (sizes[i] < 1 || sizes[i] > (int64_t)SOSIE_MAX_ELEMENTS)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "size %lld of dimension %zu", (long long)sizes[i],
                              d);
        resize->scales[d] = (float)sizes[i] / (float)in->dims[d];
        resize->sizes[d] = (size_t)sizes[i];
    }
    return SOSIE_OK;
}

/* Opset 10 takes the element before when it enlarges, the one after when it
 * makes smaller. */
static enum sosie_status round_as_opset_10(struct sosie_resize *resize,
                                           size_t rank, struct sosie_error *err)
{
    bool smaller = false, larger = false;
    for (size_t d = 0; d < rank; d++) {
        smaller = smaller || resize->scales[d] < 1.0F;
        larger = larger || resize->scales[d] > 1.0F;
    }
    if (smaller && larger && !resize->linear)
        return sosie_fail(err, SOSIE_REFUSED,
                          "opset 10's nearest mode is supported for scales "
                          "that are all at most 1 or all at least 1");
    resize->rounding = smaller ? SOSIE_ROUND_CEIL : SOSIE_ROUND_FLOOR;
    return SOSIE_OK;
}

/* Where scale * size is no whole number, some take the corner of the result
 * that is there and some the one that would be. */
static enum sosie_status check_corners(const struct sosie_resize *resize,
                                       const struct sosie_shape *in,
                                       struct sosie_error *err)
{
    for (size_t d = 0; d < in->rank; d++)
        if (fabs((double)in->dims[d] * (double)resize->scales[d] -
                 (double)resize->sizes[d]) > 1e-3)
            return sosie_fail(err, SOSIE_REFUSED,
                              "align_corners is supported for sizes that are "
                              "whole: not for dimension %zu of %s, scaled by "
                              "%g",
                              d, sosie_shape_text(in).text,
                              (double)resize->scales[d]);
    return SOSIE_OK;
}

/* Inputs: X, scales (opset 10); X, region, scales, sizes (since 11). The region
 * is only for a mode that is refused. */
enum sosie_status sosie_onnx_resize(struct sosie_onnx_source *source,
                                    struct sosie_node *node,
                                    struct sosie_error *err)
{
    const struct sosie_shape *in = &sosie_onnx_input(source, 0)->shape;
    struct sosie_resize *resize = &node->resize;
    size_t axes[SOSIE_MAX_RANK], n, n_scales;
    struct sosie_onnx_ints sizes;
    const float *scales;
    enum sosie_status st;

    memset(resize, 0, sizeof(*resize));
    if ((st = refuse_variants(source->proto, err)) ||
        (st = read_modes(source, resize, err)) ||
        (st = read_axes(source, in->rank, axes, &n, err)) ||
        (st = sosie_onnx_input_floats(source, source->opset < 11 ? 1 : 2,
                                      &scales, &n_scales, err)) ||
        (st = sosie_onnx_input_ints(source, 3, &sizes, err)))
        return st;
    for (size_t d = 0; d < in->rank; d++) {
        resize->scales[d] = 1.0F;
        resize->sizes[d] = in->dims[d];
    }
    if ((n_scales != 0) == (sizes.n != 0) || (n_scales && n_scales != n) ||
        (sizes.n && sizes.n != n))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%zu scales and %zu sizes; expected %zu of one",
                          n_scales, sizes.n, n);
    st = n_scales ? from_scales(scales, axes, n, in, resize, err)
                  : from_sizes(sizes.values, axes, n, in, resize, err);
    if (!st && source->opset < 11)
        st = round_as_opset_10(resize, in->rank, err);
    if (!st && resize->coordinates == SOSIE_RESIZE_ALIGN_CORNERS)
        st = check_corners(resize, in, err);
    node->n_inputs = 1;
    return st;
}
