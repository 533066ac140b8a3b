/* augment_colour.c: light, colours, and the sharpness of a lens.
 *
 * All changes of colour together are one matrix and one offset. The matrix is
 * applied by tables: what a level of red, of green, of blue adds to the three
 * channels of the result, in integers with FRACTION bits after the point. */
#include "train/augment_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FRACTION = 14 };

/* Three channels; the last lane is not used. */
typedef int32_t channels __attribute__((vector_size(4 * sizeof(int32_t))));

struct tables {
    channels adds[3][256];
};

/* NTSC's luma and two axes of colour, and back (their inverse). */
static const double luma[3] = {0.299, 0.587, 0.114};
static const double i_axis[3] = {0.595716, -0.274453, -0.321263};
static const double q_axis[3] = {0.211456, -0.522591, 0.311135};
static const double from_i[3] = {0.956296, -0.272122, -1.106990};
static const double from_q[3] = {0.621024, -0.647381, 1.704615};

static double mean_grey(const struct sosie_image *picture)
{
    size_t n = (size_t)picture->width * picture->height;
    uint64_t sums[3] = {0};
    for (const uint8_t *at = picture->rgb, *end = at + n * 3; at < end; at += 3)
        for (size_t c = 0; c < 3; c++)
            sums[c] += at[c];
    return (luma[0] * (double)sums[0] + luma[1] * (double)sums[1] +
            luma[2] * (double)sums[2]) /
           (double)n;
}

/* matrix[out][in] */
static void make_matrix(const struct sosie_recolour *recolour,
                        double matrix[3][3])
{
    const double turn = 6.283185307179586;
    double c = recolour->saturation * cos(recolour->hue * turn);
    double s = recolour->saturation * sin(recolour->hue * turn);
    double light = recolour->brightness * recolour->contrast;
    for (size_t to = 0; to < 3; to++)
        for (size_t from = 0; from < 3; from++) {
            double i = c * i_axis[from] - s * q_axis[from];
            double q = s * i_axis[from] + c * q_axis[from];
            matrix[to][from] =
                light * (luma[from] + from_i[to] * i + from_q[to] * q);
        }
}

/* Levels are within 0..255 after `offset`, half a level and the shift, or are
 * clipped. */
static void make_tables(struct tables *tables, double matrix[3][3],
                        double offset)
{
    const double one = 1 << FRACTION;
    for (size_t from = 0; from < 3; from++) {
        channels weight = {0}, sum = {0};
        for (size_t to = 0; to < 3; to++)
            weight[to] = (int32_t)lround(matrix[to][from] * one);
        if (!from)
            sum += (int32_t)lround((offset + 0.5) * one);
        for (size_t level = 0; level < 256; level++, sum += weight)
            tables->adds[from][level] = sum;
    }
}

void sosie_picture_recolour(struct sosie_image *picture,
                            const struct sosie_recolour *recolour)
{
    size_t n = (size_t)picture->width * picture->height;
    double matrix[3][3], offset = 0;
    struct tables tables;
    if (recolour->brightness == 1 && recolour->contrast == 1 &&
        recolour->saturation == 1 && recolour->hue == 0)
        return;
    if (recolour->contrast != 1)
        offset = (1 - recolour->contrast) * recolour->brightness *
                 mean_grey(picture);
    make_matrix(recolour, matrix);
    make_tables(&tables, matrix, offset);
    for (uint8_t *at = picture->rgb, *end = at + n * 3; at < end; at += 3) {
        channels level = (tables.adds[0][at[0]] + tables.adds[1][at[1]] +
                          tables.adds[2][at[2]]) >>
                         FRACTION;
        level &= level > 0;
        level |= level > 255;
        for (size_t c = 0; c < 3; c++)
            at[c] = (uint8_t)level[c];
    }
}

/* ---- blur ---------------------------------------------------------------- */

enum { MAX_REACH = 4 };

/* Weights of a pixel and of its neighbours 1..reach to either side, of 256 in
 * all: sums of weighed bytes fit 16 bits. */
struct kernel {
    size_t reach;
    uint16_t weights[MAX_REACH + 1];
};

static struct kernel make_kernel(double sigma)
{
    struct kernel kernel = {.reach = (size_t)ceil(2.5 * sigma)};
    double weights[MAX_REACH + 1], sum = 1;
    if (kernel.reach > MAX_REACH)
        kernel.reach = MAX_REACH;
    kernel.weights[0] = 256;
    for (size_t k = 1; k <= kernel.reach; k++) {
        weights[k] = exp(-0.5 * (double)(k * k) / (sigma * sigma));
        sum += 2 * weights[k];
    }
    for (size_t k = 1; k <= kernel.reach; k++) {
        kernel.weights[k] = (uint16_t)lround(256 * weights[k] / sum);
        kernel.weights[0] =
            (uint16_t)(kernel.weights[0] - 2 * kernel.weights[k]);
    }
    return kernel;
}

static void add_pair(uint16_t *restrict sums, const uint8_t *a,
                     const uint8_t *b, uint16_t weight, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sums[i] = (uint16_t)(sums[i] + weight * (uint16_t)(a[i] + b[i]));
}

static void start_sums(uint16_t *restrict sums, const uint8_t *row,
                       uint16_t weight, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sums[i] = (uint16_t)(128 + weight * row[i]);
}

static void take_sums(uint8_t *restrict row, const uint16_t *sums, size_t n)
{
    for (size_t i = 0; i < n; i++)
        row[i] = (uint8_t)(sums[i] >> 8);
}

/* `line` has room for a row with its first and last pixel repeated MAX_REACH
 * times. */
static void blur_across(const uint8_t *from, uint8_t *to, size_t width,
                        const struct kernel *kernel, uint8_t *line,
                        uint16_t *sums)
{
    uint8_t *row = line + 3 * MAX_REACH;
    memcpy(row, from, width * 3);
    for (size_t k = 1; k <= kernel->reach; k++) {
        memcpy(row - 3 * k, from, 3);
        memcpy(row + 3 * (width - 1 + k), from + 3 * (width - 1), 3);
    }
    start_sums(sums, row, kernel->weights[0], width * 3);
    for (size_t k = 1; k <= kernel->reach; k++)
        add_pair(sums, row - 3 * k, row + 3 * k, kernel->weights[k], width * 3);
    take_sums(to, sums, width * 3);
}

static void blur_down(const uint8_t *from, struct sosie_image *to,
                      const struct kernel *kernel, uint16_t *sums)
{
    size_t stride = (size_t)to->width * 3, last = to->height - 1;
    for (size_t y = 0; y <= last; y++) {
        start_sums(sums, from + y * stride, kernel->weights[0], stride);
        for (size_t k = 1; k <= kernel->reach; k++)
            add_pair(sums, from + (y > k ? y - k : 0) * stride,
                     from + (y + k < last ? y + k : last) * stride,
                     kernel->weights[k], stride);
        take_sums(to->rgb + y * stride, sums, stride);
    }
}

enum sosie_status sosie_picture_blur(struct sosie_image *picture, double sigma,
                                     struct sosie_error *err)
{
    size_t width = picture->width, stride = width * 3;
    struct kernel kernel = make_kernel(sigma);
    uint8_t *across = malloc(stride * picture->height);
    uint8_t *line = malloc(stride + (size_t)6 * MAX_REACH);
    uint16_t *sums = malloc(stride * sizeof(*sums));
    enum sosie_status st = SOSIE_OK;
    if (across && line && sums) {
        for (size_t y = 0; y < picture->height; y++)
            blur_across(picture->rgb + y * stride, across + y * stride, width,
                        &kernel, line, sums);
        blur_down(across, picture, &kernel, sums);
    } else {
        st = sosie_fail(err, SOSIE_NO_MEMORY, "blur of %ux%u", picture->width,
                        picture->height);
    }
    free(across);
    free(line);
    free(sums);
    return st;
}
