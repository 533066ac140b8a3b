/* colour.c: photo -> 32 x 32 cells -> CIELAB -> weights -> soft histogram.
 *
 * The constants were chosen on the validation photos of a fashion catalog by
 * how many of the 12 nearest share the query's colour; README has the figures.
 */
#include "image/colour.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
    GRID = 32, /* cells a side */
    N_CELLS = GRID * GRID,
    BORDER = 2, /* cells of the rim that are taken for background */
    N_BORDER = N_CELLS - (GRID - 2 * BORDER) * (GRID - 2 * BORDER),
    N_GREYS = 8,
    N_HUES = 14,
    N_LIGHTNESSES = 4
};
_Static_assert(N_GREYS + N_HUES * N_LIGHTNESSES == SOSIE_COLOUR_DIM, "bins");

/* Chroma from which a pixel begins to have a hue, and has one fully. */
static const float GREY_CHROMA = 2, FULL_CHROMA = 10;
/* How far from the background's colour counts as another, CIE76 units. */
static const float BACKGROUND_SPREAD = 7;
/* How far from the middle still counts, as a part of half a side. */
static const float CENTRE_SPREAD = 0.55F;
/* What a pixel of the background still counts: a white shirt on white is all
 * background, and white. */
static const float BACKGROUND_SHARE = 0.02F;

struct lab {
    float l, a, b;
};

/* ---- pixels to cells ----------------------------------------------------- */

/* The mean of each cell's pixels; a photo smaller than the grid lends a pixel
 * to several cells. */
static void average_cells(const struct sosie_image *image,
                          float cells[N_CELLS][3])
{
    for (size_t cy = 0; cy < GRID; cy++) {
        size_t top = cy * image->height / GRID;
        size_t bottom = (cy + 1) * image->height / GRID;
        bottom = bottom > top ? bottom : top + 1;
        for (size_t cx = 0; cx < GRID; cx++) {
            size_t left = cx * image->width / GRID;
            size_t right = (cx + 1) * image->width / GRID;
            uint64_t sums[3] = {0};
            float n;
            right = right > left ? right : left + 1;
            for (size_t y = top; y < bottom; y++) {
                const uint8_t *p = image->rgb + (y * image->width + left) * 3;
                uint32_t r = 0, g = 0, b = 0; /* a row of a cell: < 2^24 */
                for (size_t x = left; x < right; x++, p += 3) {
                    r += p[0];
                    g += p[1];
                    b += p[2];
                }
                sums[0] += r;
                sums[1] += g;
                sums[2] += b;
            }
            n = (float)((bottom - top) * (right - left));
            for (size_t c = 0; c < 3; c++)
                cells[cy * GRID + cx][c] = (float)sums[c] / n;
        }
    }
}

static float linear(float level)
{
    float x = level / 255;
    return x <= 0.04045F ? x / 12.92F : powf((x + 0.055F) / 1.055F, 2.4F);
}

static float lab_curve(float t)
{
    return t > 216.0F / 24389 ? cbrtf(t) : t * (841.0F / 108) + 4.0F / 29;
}

static struct lab lab_of(const float rgb[3])
{
    float r = linear(rgb[0]), g = linear(rgb[1]), b = linear(rgb[2]);
    float x = 0.4124564F * r + 0.3575761F * g + 0.1804375F * b;
    float y = 0.2126729F * r + 0.7151522F * g + 0.0721750F * b;
    float z = 0.0193339F * r + 0.1191920F * g + 0.9503041F * b;
    x = lab_curve(x / 0.95047F);
    y = lab_curve(y);
    z = lab_curve(z / 1.08883F);
    return (struct lab){116 * y - 16, 500 * (x - y), 200 * (y - z)};
}

/* ---- what counts --------------------------------------------------------- */

static bool on_border(size_t cell)
{
    size_t x = cell % GRID, y = cell / GRID;
    return x < BORDER || x >= GRID - BORDER || y < BORDER || y >= GRID - BORDER;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static float median(float *values, size_t n)
{
    qsort(values, n, sizeof(*values), by_value);
    return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

static struct lab background_of(const struct lab cells[N_CELLS])
{
    float l[N_BORDER], a[N_BORDER], b[N_BORDER];
    size_t n = 0;
    for (size_t i = 0; i < N_CELLS; i++) {
        if (!on_border(i))
            continue;
        l[n] = cells[i].l;
        a[n] = cells[i].a;
        b[n++] = cells[i].b;
    }
    return (struct lab){median(l, n), median(a, n), median(b, n)};
}

static float weight_of(size_t cell, struct lab colour, struct lab background)
{
    float half = (float)GRID / 2.0F;
    float x = ((float)(cell % GRID) + 0.5F - half) / half;
    float y = ((float)(cell / GRID) + 0.5F - half) / half;
    float dl = colour.l - background.l, da = colour.a - background.a,
          db = colour.b - background.b;
    float centre = expf(-(x * x + y * y) / (2 * CENTRE_SPREAD * CENTRE_SPREAD));
    float other = 1 - expf(-(dl * dl + da * da + db * db) /
                           (2 * BACKGROUND_SPREAD * BACKGROUND_SPREAD));
    return centre * (BACKGROUND_SHARE + (1 - BACKGROUND_SHARE) * other);
}

/* ---- the histogram ------------------------------------------------------- */

/* A place between bin `low` and the next: `high` of it belongs to that. */
struct place {
    size_t low;
    float high;
};

/* Lightness 0..100 among n bins; the ends belong to the outer bins whole. */
static struct place lightness_place(float l, size_t n)
{
    float at = l / 100 * (float)n - 0.5F;
    size_t low;
    at = fminf(fmaxf(at, 0), (float)(n - 1));
    low = (size_t)at < n - 2 ? (size_t)at : n - 2;
    return (struct place){low, at - (float)low};
}

static struct place hue_place(float a, float b)
{
    float at =
        atan2f(b, a) * (float)((double)N_HUES / (2 * M_PI)) + (float)N_HUES;
    size_t low = (size_t)at;
    return (struct place){low % N_HUES, at - (float)low};
}

static void add(float *bins, struct lab colour, float weight)
{
    float chroma = hypotf(colour.a, colour.b);
    float hued = (chroma - GREY_CHROMA) / (FULL_CHROMA - GREY_CHROMA);
    struct place grey = lightness_place(colour.l, N_GREYS);
    struct place light = lightness_place(colour.l, N_LIGHTNESSES);
    struct place hue = hue_place(colour.a, colour.b);
    float *low = bins + N_GREYS + light.low * N_HUES, *high = low + N_HUES;
    size_t next = (hue.low + 1) % N_HUES;

    hued = fminf(fmaxf(hued, 0), 1) * weight;
    weight -= hued;
    bins[grey.low] += weight * (1 - grey.high);
    bins[grey.low + 1] += weight * grey.high;
    low[hue.low] += hued * (1 - light.high) * (1 - hue.high);
    low[next] += hued * (1 - light.high) * hue.high;
    high[hue.low] += hued * light.high * (1 - hue.high);
    high[next] += hued * light.high * hue.high;
}

void sosie_colour_histogram(const struct sosie_image *image,
                            float histogram[SOSIE_COLOUR_DIM])
{
    float means[N_CELLS][3], sum = 0;
    struct lab cells[N_CELLS], background;

    average_cells(image, means);
    for (size_t i = 0; i < N_CELLS; i++)
        cells[i] = lab_of(means[i]);
    background = background_of(cells);
    for (size_t j = 0; j < SOSIE_COLOUR_DIM; j++)
        histogram[j] = 0;
    for (size_t i = 0; i < N_CELLS; i++)
        add(histogram, cells[i], weight_of(i, cells[i], background));
    for (size_t j = 0; j < SOSIE_COLOUR_DIM; j++)
        sum += histogram[j];
    for (size_t j = 0; j < SOSIE_COLOUR_DIM; j++)
        histogram[j] = sqrtf(histogram[j] / sum);
}
