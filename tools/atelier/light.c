/* light.c: relief and light.
 *
 * The mask, blurred, is a cushion: flat inside, falling off at the edges. Folds
 * are added to it as ridges. Its slope and one lamp, from the upper left, say
 * how bright each pixel is; what is near an edge is a little darker as well,
 * since less of the room's light reaches it. */
#include "light.h"

#include <math.h>
#include <string.h>

enum { N_BLURS = 2 };

static int pixels(const struct canvas *canvas, double units)
{
    int n = (int)lround(units * canvas->unit);
    return n < 1 ? 1 : n;
}

int light_margin(const struct canvas *canvas)
{
    return pixels(canvas, 6);
}

/* ---- blur ---------------------------------------------------------------- */

/* The mean over 2 r + 1 pixels of a row; what is beyond its ends is 0. */
static void blur_row(const float *from, float *to, int n, int r)
{
    float sum = 0, scale = 1.0f / (float)(2 * r + 1);
    for (int x = 0; x < r && x < n; x++)
        sum += from[x];
    for (int x = 0; x < n; x++) {
        sum += x + r < n ? from[x + r] : 0;
        sum -= x - r - 1 >= 0 ? from[x - r - 1] : 0;
        to[x] = sum * scale;
    }
}

/* The same for all columns at once. `sums`: room for n floats. */
static void blur_columns(const float *from, float *to, int stride, int n,
                         int rows, int r, float *sums)
{
    float scale = 1.0f / (float)(2 * r + 1);
    memset(sums, 0, (size_t)n * sizeof(*sums));
    for (int y = 0; y < r && y < rows; y++)
        for (int x = 0; x < n; x++)
            sums[x] += from[y * stride + x];
    for (int y = 0; y < rows; y++) {
        const float *in = y + r < rows ? from + (y + r) * stride : NULL;
        const float *out = y - r - 1 >= 0 ? from + (y - r - 1) * stride : NULL;
        for (int x = 0; in && x < n; x++)
            sums[x] += in[x];
        for (int x = 0; out && x < n; x++)
            sums[x] -= out[x];
        for (int x = 0; x < n; x++)
            to[y * stride + x] = sums[x] * scale;
    }
}

enum { MAX_WIDTH = 4096 };

void canvas_blur(struct canvas *canvas, const unsigned char *from, int stride,
                 struct box box, int radius)
{
    int n = box.x1 - box.x0, rows = box.y1 - box.y0, w = canvas->width;
    float *relief = canvas->relief + box.y0 * w + box.x0;
    float *scratch = canvas->scratch + box.y0 * w + box.x0;
    float sums[MAX_WIDTH];
    for (int y = 0; y < rows; y++) {
        const unsigned char *row = from + (box.y0 + y) * stride + box.x0;
        for (int x = 0; x < n; x++)
            sums[x] = (float)row[x] * (1.0f / 255);
        blur_row(sums, scratch + y * w, n, radius);
        blur_row(scratch + y * w, relief + y * w, n, radius);
    }
    for (int i = 0; i < N_BLURS / 2; i++) {
        blur_columns(relief, scratch, w, n, rows, radius, sums);
        blur_columns(scratch, relief, w, n, rows, radius, sums);
    }
}

/* ---- shadow -------------------------------------------------------------- */

/* Darkens what lies below by the blurred mask, moved to the lower right. */
static void shade_below(struct canvas *canvas, double strength, struct box box)
{
    int move = pixels(canvas, 0.7);
    for (int y = box.y0 + move; y < box.y1; y++) {
        const float *high =
            canvas->relief + (y - move) * canvas->width - move / 2;
        unsigned char *to = canvas->layer + y * canvas->layer_stride;
        for (int x = box.x0 + move; x < box.x1; x++) {
            float dark = high[x] * (float)strength;
            unsigned keep;
            if (!to[4 * x + 3] || dark <= 0)
                continue;
            keep = (unsigned)(256 * (1 - dark));
            to[4 * x] = (unsigned char)(to[4 * x] * keep >> 8);
            to[4 * x + 1] = (unsigned char)(to[4 * x + 1] * keep >> 8);
            to[4 * x + 2] = (unsigned char)(to[4 * x + 2] * keep >> 8);
        }
    }
}

/* ---- folds --------------------------------------------------------------- */

/* From 0 at both ends to 1 between them, sooner at the beginning: folds start
 * where cloth is held and run out. */
static float taper(float t)
{
    float in = t * 7, out = (1 - t) * 1.6f;
    in = in > 1 ? 1 : in;
    out = out > 1 ? 1 : out;
    return in * in * (3 - 2 * in) * out * out * (3 - 2 * out);
}

static void raise_fold(struct canvas *canvas, const struct fold *fold,
                       struct box box)
{
    double x0 = fold->x0, y0 = fold->y0, x1 = fold->x1, y1 = fold->y1;
    float length, w = (float)(fold->width * canvas->unit), dx, dy, bend;
    double reach;
    struct box b;
    cairo_user_to_device(canvas->pen, &x0, &y0);
    cairo_user_to_device(canvas->pen, &x1, &y1);
    length = (float)hypot(x1 - x0, y1 - y0);
    if (length < 1 || w < 0.3f)
        return;
    dx = (float)(x1 - x0) / length;
    dy = (float)(y1 - y0) / length;
    bend = (float)(fold->bend * canvas->unit);
    reach = 2.5 * w + fabs((double)bend);
    b.x0 = (int)fmax(box.x0, fmin(x0, x1) - reach);
    b.y0 = (int)fmax(box.y0, fmin(y0, y1) - reach);
    b.x1 = (int)fmin(box.x1, fmax(x0, x1) + reach);
    b.y1 = (int)fmin(box.y1, fmax(y0, y1) + reach);
    for (int y = b.y0; y < b.y1; y++)
        for (int x = b.x0; x < b.x1; x++) {
            float px = (float)(x - x0), py = (float)(y - y0);
            float t = (px * dx + py * dy) / length, across, q;
            if (t <= 0 || t >= 1)
                continue;
            across = (py * dx - px * dy) - bend * 4 * t * (1 - t);
            /* one side is steeper: cloth falls over */
            across /= across < 0 ? w * 0.55f : w;
            q = across * across;
            if (q > 6)
                continue;
            q = 1 - q * (1.0f / 6);
            canvas->relief[y * canvas->width + x] +=
                (float)fold->height * taper(t) * q * q * q * q;
        }
}

/* ---- light --------------------------------------------------------------- */

/* What does not change from pixel to pixel. */
struct lamp {
    float x, y;      /* of the direction to the lamp, z being 1 */
    float slope;     /* of the relief, in units */
    float occlusion; /* how much darker the very edge is */
    float tone, gloss, sheen, pixel;
};

/* 1 on flat cloth that faces us; compressed so that no fold is pitch black. */
static float brightness(const struct lamp *lamp, float gx, float gy,
                        float *shine)
{
    float norm = 1 / sqrtf(1 + gx * gx + gy * gy);
    float lit = (1 - gx * lamp->x - gy * lamp->y) * norm;
    /* Blinn's half vector between the lamp and us, to the 16th. */
    float half = (1 - (gx * lamp->x + gy * lamp->y) * 0.53f) * norm / 1.035f;
    half *= half;
    half *= half;
    half *= half;
    *shine = lamp->gloss > 0 ? half * half * (lit > 1 ? lit - 1 : 0) : 0;
    lit -= 1;
    lit = lit > 0 ? lit / (1 + lit * 1.1f) : lit / (1 - lit * 0.35f);
    return 1 + lit;
}

static unsigned char level(float x)
{
    return x <= 0 ? 0 : x >= 255 ? 255 : (unsigned char)(x + 0.5f);
}

static void put(unsigned char *to, struct rgb c, float light, float add,
                unsigned alpha)
{
    float a = (float)alpha * (1.0f / 255), keep = 1 - a;
    to[2] = level((c.r * light + add) * 255 * a + (float)to[2] * keep);
    to[1] = level((c.g * light + add) * 255 * a + (float)to[1] * keep);
    to[0] = level((c.b * light + add) * 255 * a + (float)to[0] * keep);
    to[3] = level((float)alpha + (float)to[3] * keep);
}

static void wear(unsigned char *worn, unsigned alpha, bool is_worn)
{
    unsigned rest = (unsigned)*worn * (255 - alpha) / 255;
    *worn = (unsigned char)(is_worn ? alpha + rest : rest);
}

/* The fabric's axes as seen from a pixel. */
static void pixel_to_cloth(const struct canvas *canvas,
                           const struct cloth *cloth, cairo_matrix_t *inverse)
{
    cairo_get_matrix(canvas->pen, inverse);
    cairo_matrix_translate(inverse, cloth->x, cloth->y);
    cairo_matrix_rotate(inverse, cloth->angle);
    cairo_matrix_invert(inverse);
}

static struct lamp lamp_for(const struct canvas *canvas,
                            const struct cloth *cloth)
{
    float dark = 1 - rgb_lightness(cloth->fabric->base);
    struct lamp lamp = {
        .x = -0.5f,
        .y = -0.62f,
        .slope = (float)(0.5 * canvas->unit),
        .occlusion = (float)(0.26 * fmin(cloth->puff, 1)),
        .tone = (float)(1 + cloth->tone),
        .gloss = weave_gloss(cloth->fabric->weave),
        .pixel = (float)(1 / canvas->unit),
    };
    /* Black cloth shows its folds by what it throws back. */
    lamp.sheen = 0.03f + 0.1f * dark * dark + 0.08f * lamp.gloss;
    return lamp;
}

static void light_row(struct canvas *canvas, const struct cloth *cloth,
                      const struct lamp *lamp, const cairo_matrix_t *inverse,
                      const float *edge, int y, struct box box)
{
    const unsigned char *mask = canvas->mask + y * canvas->mask_stride;
    const float *high = canvas->relief + y * canvas->width;
    unsigned char *to = canvas->layer + y * canvas->layer_stride;
    unsigned char *worn = canvas->worn + y * canvas->width;
    int w = canvas->width, first = box.x0 ? box.x0 : 1;
    int last = box.x1 < w ? box.x1 : w - 1;
    float bow = (float)cloth->puff * 0.6f;
    for (int x = first; x < last; x++) {
        float gx, gy, light, shine, u, v, rim;
        struct rgb c;
        if (!mask[x])
            continue;
        gx = (high[x + 1] - high[x - 1]) * lamp->slope;
        gy = (high[x + w] - high[x - w]) * lamp->slope;
        light = brightness(lamp, gx, gy, &shine) * lamp->tone;
        rim = edge[x] < 0.9f ? (0.9f - edge[x]) * 1.8f : 0;
        light *= 1 - lamp->occlusion * rim * rim;
        u = (float)(inverse->xx * x + inverse->xy * y + inverse->x0);
        v = (float)(inverse->yx * x + inverse->yy * y + inverse->y0);
        c = fabric_at(cloth->fabric, u + gx * bow, v + gy * bow, lamp->pixel,
                      &light);
        put(to + 4 * x, c, light,
            (light - 1) * lamp->sheen + shine * lamp->gloss, mask[x]);
        wear(&worn[x], mask[x], !cloth->not_worn);
    }
}

/* The cushion, higher for thicker cloth, and what the folds add. */
static void raise_relief(struct canvas *canvas, const struct cloth *cloth,
                         struct box box)
{
    float high = (float)cloth->puff * 2.6f;
    for (int y = box.y0; y < box.y1; y++) {
        float *relief = canvas->relief + y * canvas->width;
        float *edge = canvas->scratch + y * canvas->width;
        for (int x = box.x0; x < box.x1; x++) {
            edge[x] = relief[x];
            relief[x] *= high;
        }
    }
    for (size_t i = 0; i < canvas->n_folds; i++)
        raise_fold(canvas, &canvas->folds[i], box);
}

void light_cloth(struct canvas *canvas, const struct cloth *cloth,
                 struct box box)
{
    struct lamp lamp = lamp_for(canvas, cloth);
    double round = cloth->stroke > 0 ? cloth->stroke * 0.3 : 1.5;
    cairo_matrix_t inverse;
    pixel_to_cloth(canvas, cloth, &inverse);
    canvas_blur(canvas, canvas->mask, canvas->mask_stride, box,
                pixels(canvas, fmin(round, 1.5)));
    if (cloth->shadow > 0)
        shade_below(canvas, cloth->shadow, box);
    raise_relief(canvas, cloth, box);
    for (int y = box.y0 ? box.y0 : 1; y < box.y1 && y < canvas->height - 1; y++)
        light_row(canvas, cloth, &lamp, &inverse,
                  canvas->scratch + y * canvas->width, y, box);
}
