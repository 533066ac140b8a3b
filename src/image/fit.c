/* fit.c: antialiased resize to the network's input.
 *
 * A separable triangle filter whose support grows with the reduction, as in
 * Pillow's BILINEAR. Rows are mixed first, in float, for one row of the result
 * at a time; then its columns. Mixing rows runs over whole rows and is left to
 * the compiler's vectors. */
#include "image/image.h"

#include "base/size.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* How one side is resized: result i is the sum of weights[i * taps + k] times
 * source first[i] + k, k < n[i]. */
struct filter {
    size_t taps;
    uint32_t *first, *n;
    float *weights;
};

static void filter_release(struct filter *filter)
{
    free(filter->first);
    free(filter->n);
    free(filter->weights);
}

/* Of the part of a side of `from` pixels that begins at `start` and is `length`
 * long. At the part's ends the filter reaches over them, up to the side's own.
 */
static bool filter_make(struct filter *filter, uint32_t from, double start,
                        double length, uint32_t to)
{
    double scale = length / to, support = scale > 1 ? scale : 1;
    size_t n_weights;
    *filter = (struct filter){.taps = (size_t)(2 * ceil(support) + 1)};
    if (!sosie_size_mul(filter->taps, to, &n_weights))
        return false;
    filter->first = calloc(to, sizeof(*filter->first));
    filter->n = calloc(to, sizeof(*filter->n));
    filter->weights = calloc(n_weights, sizeof(*filter->weights));
    if (!filter->first || !filter->n || !filter->weights)
        return false;
    for (uint32_t i = 0; i < to; i++) {
        double centre = start + (i + 0.5) * scale, sum = 0;
        double low = fmax(0, floor(centre - support + 0.5));
        double high = fmin(from, floor(centre + support + 0.5));
        float *weights = filter->weights + i * filter->taps;
        filter->first[i] = (uint32_t)low;
        filter->n[i] = (uint32_t)(high - low);
        for (uint32_t k = 0; k < filter->n[i]; k++) {
            double distance = fabs((low + k + 0.5 - centre) / support);
            double weight = distance < 1 ? 1 - distance : 0;
            weights[k] = (float)weight;
            sum += weight;
        }
        for (uint32_t k = 0; k < filter->n[i]; k++)
            weights[k] = (float)((double)weights[k] / sum);
    }
    return true;
}

static void add_row(float *restrict mixed, const uint8_t *restrict row,
                    float weight, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mixed[i] += weight * (float)row[i];
}

/* A pixel's red, green and blue, and in the last lane the next pixel's red,
 * which goes along and is dropped. */
typedef float pixel __attribute__((vector_size(4 * sizeof(float))));

/* `mixed` begins with the first pixel that the filter needs. Reads one float
 * after the last. */
static void mix_columns(const float *mixed, const struct filter *columns,
                        uint32_t width, uint8_t *to)
{
    for (uint32_t x = 0; x < width; x++, to += 3) {
        const float *from =
            mixed + (size_t)(columns->first[x] - columns->first[0]) * 3;
        const float *weights = columns->weights + x * columns->taps;
        pixel sum = {0.5F, 0.5F, 0.5F}; /* to round a mean of levels */
        for (uint32_t k = 0; k < columns->n[x]; k++, from += 3) {
            pixel next;
            memcpy(&next, from, sizeof(next));
            sum += weights[k] * next;
        }
        for (size_t c = 0; c < 3; c++)
            to[c] = (uint8_t)sum[c];
    }
}

/* Into a part of a picture whose rows are `stride` bytes apart. */
static bool resize(const struct sosie_image *image,
                   const struct sosie_crop *part, uint32_t width,
                   uint32_t height, uint8_t *to, size_t stride)
{
    size_t row_size = (size_t)image->width * 3, left = 0, n = 0;
    struct filter rows = {0}, columns = {0};
    float *mixed = calloc(row_size + 1, sizeof(*mixed));
    bool ok = mixed &&
              filter_make(&rows, image->height, part->y * image->height,
                          part->h * image->height, height) &&
              filter_make(&columns, image->width, part->x * image->width,
                          part->w * image->width, width);
    if (ok) {
        left = (size_t)columns.first[0] * 3;
        n = ((size_t)columns.first[width - 1] + columns.n[width - 1]) * 3 -
            left;
    }
    for (uint32_t y = 0; ok && y < height; y++, to += stride) {
        memset(mixed, 0, n * sizeof(*mixed));
        for (uint32_t k = 0; k < rows.n[y]; k++)
            if (rows.weights[y * rows.taps + k] > 0)
                add_row(mixed,
                        image->rgb + (rows.first[y] + k) * row_size + left,
                        rows.weights[y * rows.taps + k], n);
        mix_columns(mixed, &columns, width, to);
    }
    filter_release(&rows);
    filter_release(&columns);
    free(mixed);
    return ok;
}

static enum sosie_status no_room(uint32_t width, uint32_t height,
                                 struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "resize to %ux%u", width, height);
}

enum sosie_status sosie_image_resize(const struct sosie_image *image,
                                     const struct sosie_crop *part,
                                     uint32_t width, uint32_t height,
                                     uint8_t *rgb, struct sosie_error *err)
{
    if (!resize(image, part, width, height, rgb, (size_t)width * 3))
        return no_room(width, height, err);
    return SOSIE_OK;
}

static uint32_t scaled(double side, double by)
{
    uint32_t n = (uint32_t)lround(side * by);
    return n ? n : 1;
}

struct sosie_place sosie_image_place(double from_width, double from_height,
                                     enum sosie_fit fit, uint32_t width,
                                     uint32_t height)
{
    double by = fmin(width / from_width, height / from_height);
    struct sosie_place place = {0, 0, width, height};
    if (fit == SOSIE_FIT_SQUASH)
        return place;
    place.width = scaled(from_width, by);
    place.height = scaled(from_height, by);
    place.x = (width - place.width) / 2;
    place.y = (height - place.height) / 2;
    return place;
}

enum sosie_status sosie_image_fit(const struct sosie_image *image,
                                  enum sosie_fit fit, uint32_t width,
                                  uint32_t height, uint8_t *rgb,
                                  struct sosie_error *err)
{
    static const struct sosie_crop whole = {0, 0, 1, 1};
    size_t stride = (size_t)width * 3;
    struct sosie_place place =
        sosie_image_place(image->width, image->height, fit, width, height);
    if (fit == SOSIE_FIT_LETTERBOX)
        memset(rgb, 255, stride * height);
    rgb += place.y * stride + (size_t)place.x * 3;
    if (!resize(image, &whole, place.width, place.height, rgb, stride))
        return no_room(width, height, err);
    return SOSIE_OK;
}
