/* onednn_layout.c: arithmetic of strides. */
#include "nn/onednn_lower.h"

#include <string.h>

static void set_dims(struct layout *layout, const struct sosie_shape *shape)
{
    layout->rank = shape->rank ? (int)shape->rank : 1;
    layout->dims[0] = 1;
    for (size_t i = 0; i < shape->rank; i++)
        layout->dims[i] = (int64_t)shape->dims[i];
}

/* Gives the dimensions strides without gaps; the last of `order` is the
 * innermost. */
static void fill_strides(struct layout *layout, const int *order, int n)
{
    int64_t stride = 1;
    for (int i = n; i-- > 0; stride *= layout->dims[order[i]])
        layout->strides[order[i]] = stride;
}

struct layout sosie_layout_rows(const struct sosie_shape *shape,
                                dnnl_data_type_t type)
{
    static const int order[SOSIE_MAX_RANK] = {0, 1, 2, 3, 4, 5};
    struct layout layout = {.type = type};
    set_dims(&layout, shape);
    fill_strides(&layout, order, layout.rank);
    return layout;
}

struct layout sosie_layout_pixels(const struct sosie_shape *shape,
                                  dnnl_data_type_t type)
{
    struct layout layout = {.type = type};
    int order[SOSIE_MAX_RANK] = {0};
    set_dims(&layout, shape);
    for (int i = 1; i + 1 < layout.rank; i++)
        order[i] = i + 1;
    order[layout.rank - 1] = layout.rank > 1 ? 1 : 0;
    fill_strides(&layout, order, layout.rank);
    return layout;
}

int sosie_layout_order(const struct layout *layout, int order[SOSIE_MAX_RANK])
{
    int n = 0;
    for (int d = 0; d < layout->rank; d++) {
        int at = n;
        if (layout->dims[d] == 1)
            continue;
        for (; at > 0 && layout->strides[order[at - 1]] < layout->strides[d];
             at--)
            order[at] = order[at - 1];
        order[at] = d;
        n++;
    }
    return n;
}

struct layout sosie_layout_like(const struct layout *like,
                                const struct sosie_shape *shape)
{
    struct layout layout = {.type = like->type};
    int order[SOSIE_MAX_RANK], all[SOSIE_MAX_RANK], n_all = 0;
    int n = sosie_layout_order(like, order);

    for (int d = 0; d < like->rank; d++) /* where `like` has no order */
        if (like->dims[d] == 1)
            all[n_all++] = d;
    memcpy(all + n_all, order, (size_t)n * sizeof(*all));
    set_dims(&layout, shape);
    fill_strides(&layout, all, layout.rank);
    return layout;
}

struct layout sosie_layout_compact(const struct layout *layout)
{
    struct layout compact = *layout;
    int order[SOSIE_MAX_RANK];
    int n = sosie_layout_order(layout, order);
    for (int d = 0; d < layout->rank; d++)
        compact.strides[d] = 1;
    fill_strides(&compact, order, n);
    return compact;
}

struct layout sosie_layout_transpose(const struct layout *layout,
                                     const size_t *permutation)
{
    struct layout out = *layout;
    for (int d = 0; d < layout->rank; d++) {
        out.dims[d] = layout->dims[permutation[d]];
        out.strides[d] = layout->strides[permutation[d]];
    }
    return out;
}

/* The last dimension after `d` that has more than one element; 0: none. */
static int skip_ones(const struct layout *layout, int d)
{
    while (d > 0 && layout->dims[d - 1] == 1)
        d--;
    return d;
}

/* Both shapes are walked from their last dimension. A run of dimensions of the
 * one that is as many elements as a run of the other must stand evenly. */
bool sosie_layout_reshape(const struct layout *layout,
                          const struct sosie_shape *shape, struct layout *out)
{
    int in = skip_ones(layout, layout->rank), o;
    *out = (struct layout){.type = layout->type};
    set_dims(out, shape);
    for (o = out->rank; in > 0; in = skip_ones(layout, in)) {
        int64_t stride = layout->strides[--in], have = layout->dims[in];
        int64_t need = 1;
        while (need != have) {
            if (need < have) {
                if (o == 0)
                    return false;
                out->strides[--o] = stride * need;
                need *= out->dims[o];
                continue;
            }
            in = skip_ones(layout, in);
            if (in == 0 || layout->strides[in - 1] != stride * have)
                return false;
            have *= layout->dims[--in];
        }
    }
    while (o > 0) /* only ones are left */
        out->strides[--o] = 1;
    return true;
}

bool sosie_layout_same(const struct layout *a, const struct layout *b)
{
    if (a->type != b->type || a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i] ||
            (a->dims[i] > 1 && a->strides[i] != b->strides[i]))
            return false;
    return true;
}

bool sosie_layout_is_dense(const struct layout *layout)
{
    struct layout compact = sosie_layout_compact(layout);
    return sosie_layout_same(layout, &compact);
}

bool sosie_layout_is_rows(const struct layout *layout)
{
    int64_t stride = 1;
    for (int d = layout->rank; d-- > 0; stride *= layout->dims[d])
        if (layout->dims[d] > 1 && layout->strides[d] != stride)
            return false;
    return true;
}

int64_t sosie_layout_count(const struct layout *layout)
{
    int64_t n = 1;
    for (int d = 0; d < layout->rank; d++)
        n *= layout->dims[d];
    return n;
}
