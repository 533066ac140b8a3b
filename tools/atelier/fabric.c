/* fabric.c: patterns are colours, weaves are light and dark.
 *
 * Everything is a formula over (u, v), so a pattern follows the cloth however
 * it is turned and bent, and costs no memory. Edges are as soft as a pixel. */
#include "fabric.h"

#include <math.h>
#include <stdbool.h>

static const char *const pattern_names[N_PATTERNS] = {
    "plain", "stripes", "checks", "dots", "floral", "knit"};
static const char *const weave_names[N_WEAVES] = {
    "cotton", "linen",   "denim", "wool",   "fine knit", "chunky knit",
    "rib",    "leather", "satin", "canvas", "straw"};

const char *pattern_name(enum pattern pattern)
{
    return pattern_names[pattern];
}

const char *weave_name(enum weave weave)
{
    return weave_names[weave];
}

float weave_gloss(enum weave weave)
{
    return weave == WEAVE_LEATHER ? 0.55f : weave == WEAVE_SATIN ? 0.45f : 0;
}

struct fabric fabric_plain(const struct fabric *fabric, enum weave weave)
{
    struct fabric plain = *fabric;
    plain.pattern = PATTERN_PLAIN;
    plain.weave = weave;
    return plain;
}

struct fabric fabric_dyed(const struct fabric *fabric, struct rgb colour)
{
    struct fabric dyed = fabric_plain(fabric, fabric->weave);
    dyed.base = colour;
    return dyed;
}

/* ---- noise and edges ----------------------------------------------------- */

static float hash01(int32_t x, int32_t y, uint32_t seed)
{
    uint32_t h = (uint32_t)x * 0x9e3779b1u ^ (uint32_t)y * 0x85ebca77u ^ seed;
    h ^= h >> 15;
    h *= 0x2c1b3c6du;
    h ^= h >> 12;
    h *= 0x297a2d39u;
    h ^= h >> 15;
    return (float)(h >> 8) * 0x1p-24f;
}

float fabric_noise(float u, float v, float cell, uint32_t seed)
{
    float x = u / cell, y = v / cell;
    float fx = floorf(x), fy = floorf(y);
    int32_t i = (int32_t)fx, j = (int32_t)fy;
    float a, b;
    x -= fx;
    y -= fy;
    x = x * x * (3 - 2 * x);
    y = y * y * (3 - 2 * y);
    a = hash01(i, j, seed);
    a += (hash01(i + 1, j, seed) - a) * x;
    b = hash01(i, j + 1, seed);
    b += (hash01(i + 1, j + 1, seed) - b) * x;
    return 2 * (a + (b - a) * y) - 1;
}

/* 1 where distance < 0, 0 where it is more than a pixel. */
static float inside(float distance, float pixel)
{
    float x = 0.5f - distance / pixel;
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

static float fraction(float x)
{
    return x - floorf(x);
}

/* 1 within a band of `width` around each multiple of `repeat`. */
static float band(float x, float repeat, float width, float pixel)
{
    float d = fabsf(fraction(x / repeat + 0.5f) - 0.5f) * repeat;
    return inside(d - width / 2, pixel);
}

/* ---- patterns ------------------------------------------------------------ */

static struct rgb stripes(const struct fabric *f, float u, float v, float px)
{
    float r = f->repeat, s;
    switch (f->kind % 4) {
    case 0: /* across, of even weight */
        return rgb_mix(f->base, f->second, band(v, r, r * f->share, px));
    case 1: /* along, thin */
        return rgb_mix(f->base, f->second,
                       band(u, r * 0.8f, r * 0.8f * f->share * 0.45f, px));
    case 2: /* along, broad */
        return rgb_mix(f->base, f->second, band(u, r, r * f->share, px));
    default: /* across, a broad one between two thin ones */
        s = band(v, 2 * r, r * f->share * 1.1f, px);
        if (s < 1) {
            float thin = band(v + 0.72f * r, 2 * r, r * 0.12f, px) +
                         band(v - 0.72f * r, 2 * r, r * 0.12f, px);
            return rgb_mix(rgb_mix(f->base, f->third, thin > 1 ? 1 : thin),
                           f->second, s);
        }
        return f->second;
    }
}

static struct rgb checks(const struct fabric *f, float u, float v, float px)
{
    float r = f->repeat, a, b;
    struct rgb c;
    switch (f->kind % 3) {
    case 0: /* gingham: two stripes, half as strong each */
        a = band(u, r, r / 2, px);
        b = band(v, r, r / 2, px);
        return rgb_mix(f->base, f->second, (a + b) / 2);
    case 1: /* tartan */
        a = band(u, 2 * r, r * 0.9f, px);
        b = band(v, 2 * r, r * 0.9f, px);
        c = rgb_mix(f->base, f->second, (a + b) * 0.42f);
        a = band(u + r, 2 * r, r * 0.12f, px);
        b = band(v + r, 2 * r, r * 0.12f, px);
        return rgb_mix(c, f->third, (a > b ? a : b) * 0.7f);
    default: /* window panes */
        a = band(u, 1.5f * r, r * 0.12f, px);
        b = band(v, 1.5f * r, r * 0.12f, px);
        return rgb_mix(f->base, f->second, (a > b ? a : b) * 0.9f);
    }
}

static struct rgb dots(const struct fabric *f, float u, float v, float px)
{
    float r = f->repeat, row = floorf(v / (r * 0.87f));
    float x = fraction(u / r + ((int)row & 1 ? 0.5f : 0)) - 0.5f;
    float y = v / (r * 0.87f) - row - 0.5f;
    float d = sqrtf(x * x + y * y * 0.757f) * r;
    return rgb_mix(f->base, f->second,
                   inside(d - r * (0.12f + 0.2f * f->share), px));
}

/* A flower of five petals with a heart, at (x, y) from its middle. */
static bool flower(const struct fabric *f, float x, float y, float size,
                   float turn, float px, struct rgb petals, struct rgb *c)
{
    float d = sqrtf(x * x + y * y), angle, edge, in;
    if (d > size + px)
        return false;
    angle = atan2f(y, x) * 2.5f + turn;
    edge = size * (0.62f + 0.38f * fabsf(cosf(angle)));
    in = inside(d - edge, px);
    petals = rgb_mix(rgb_mix(petals, f->base, 0.28f), petals, d / size);
    *c = rgb_mix(*c, petals, in);
    *c = rgb_mix(*c, f->third, inside(d - size * 0.27f, px));
    return in > 0.5f;
}

/* A leaf from (0, 0) along `turn`. */
static void leaf(float x, float y, float length, float turn, float px,
                 struct rgb green, struct rgb *c)
{
    float s = sinf(turn), k = cosf(turn), along = x * k + y * s;
    float across = fabsf(y * k - x * s), t = along / length;
    if (t > 0 && t < 1)
        *c = rgb_mix(*c, green,
                     inside(across - length * 0.75f * t * (1 - t), px));
}

static struct rgb floral(const struct fabric *f, float u, float v, float px)
{
    float r = f->repeat;
    int32_t i = (int32_t)floorf(u / r), j = (int32_t)floorf(v / r);
    float light = rgb_lightness(f->base);
    struct rgb green = light > 0.5f ? (struct rgb){0.31f, 0.45f, 0.32f}
                                    : (struct rgb){0.52f, 0.64f, 0.46f};
    struct rgb c = f->base;
    for (int32_t y = j - 1; y <= j + 1; y++)
        for (int32_t x = i - 1; x <= i + 1; x++) {
            float a = hash01(x, y, f->seed), b = hash01(y, x, f->seed + 7);
            float size = r * (0.24f + 0.2f * hash01(x, y, f->seed + 3));
            float du = u - ((float)x + 0.2f + 0.6f * a) * r;
            float dv = v - ((float)y + 0.2f + 0.6f * b) * r;
            float turn = 6.2832f * hash01(x, y, f->seed + 11);
            if (du * du + dv * dv > 4 * size * size)
                continue;
            leaf(du, dv, size * 1.9f, turn, px, green, &c);
            leaf(du, dv, size * 1.7f, turn + 2.4f, px, green, &c);
            if (flower(f, du, dv, size, turn, px,
                       a + b > 1.25f ? f->third : f->second, &c))
                return c;
        }
    return c;
}

/* Fair isle: bands of little figures, a stitch a cell; plain rows between. */
static struct rgb fair_isle(const struct fabric *f, float u, float v)
{
    static const uint8_t figures[6][7] = {
        {0x08, 0x14, 0x22, 0x41, 0x22, 0x14, 0x08}, /* diamonds, open */
        {0x11, 0x22, 0x44, 0x08, 0x11, 0x22, 0x44}, /* slopes */
        {0x08, 0x1c, 0x3e, 0x7f, 0x3e, 0x1c, 0x08}, /* diamonds */
        {0x49, 0x2a, 0x1c, 0x7f, 0x1c, 0x2a, 0x49}, /* snowflakes */
        {0x00, 0x55, 0x2a, 0x00, 0x55, 0x2a, 0x00}, /* lice */
        {0x41, 0x63, 0x36, 0x1c, 0x36, 0x63, 0x41}, /* crosses */
    };
    float stitch = f->repeat * 0.16f;
    int32_t row = (int32_t)floorf(v / stitch), column, group, line;
    unsigned figure;
    column = (int32_t)floorf(u / stitch) + 7000;
    group = (row + 11000) / 11;
    line = (row + 11000) % 11;
    if (line == 0 || line == 9)
        return f->third;
    if (line < 2 || line > 8)
        return f->base;
    figure = (unsigned)(hash01(group, 0, f->seed) * 6) % 6;
    return figures[figure][line - 2] >> (column % 7) & 1 ? f->second : f->base;
}

static struct rgb colour_at(const struct fabric *f, float u, float v, float px)
{
    switch (f->pattern) {
    case PATTERN_STRIPES:
        return stripes(f, u, v, px);
    case PATTERN_CHECKS:
        return checks(f, u, v, px);
    case PATTERN_DOTS:
        return dots(f, u, v, px);
    case PATTERN_FLORAL:
        return floral(f, u, v, px);
    case PATTERN_KNIT:
        return f->kind % 2 ? fair_isle(f, u, v) : f->base;
    case PATTERN_PLAIN:
    case N_PATTERNS:
        break;
    }
    return f->base;
}

/* ---- weaves -------------------------------------------------------------- */

/* Rows of V: each stitch lies between two others of the row below. */
static float stitches(float u, float v, float w, float h)
{
    float x = fabsf(fraction(u / w) - 0.5f) * 2; /* 1 between columns */
    float y = fraction(v / h + x * 0.55f);
    float loop = 1 - 4 * (y - 0.5f) * (y - 0.5f);
    return (loop - 0.55f) * (1 - 0.35f * x) -
           (x > 0.8f ? (x - 0.8f) * 1.6f : 0);
}

/* Two strands that cross and cross again, between flat purl. */
static float cables(float u, float v, float repeat)
{
    float w = repeat, x = (fraction(u / w + 0.5f) - 0.5f) * w;
    float s = sinf(v * 6.2832f / (w * 0.9f)) * w * 0.16f;
    float a = fabsf(x - s) / (w * 0.15f), b = fabsf(x + s) / (w * 0.15f);
    float high = 0;
    if (a < 1)
        high = 1 - a * a;
    if (b < 1 && 1 - b * b > high)
        high = 1 - b * b;
    if (fabsf(x) > w * 0.36f && fabsf(x) < w * 0.42f)
        return -0.45f;
    return high > 0 ? high * 0.75f - 0.25f : -0.28f;
}

/* Threads of unequal thickness, both ways. */
static float threads(float u, float v, float thickness, uint32_t seed)
{
    int32_t i = (int32_t)floorf(u / thickness);
    int32_t j = (int32_t)floorf(v / thickness);
    return hash01(i, (int32_t)floorf(v * 0.09f), seed) +
           hash01((int32_t)floorf(u * 0.09f), j, seed + 1) - 1;
}

static float weave_at(const struct fabric *f, float u, float v)
{
    switch (f->weave) {
    case WEAVE_COTTON:
        return 0.02f * threads(u, v, 0.3f, f->seed);
    case WEAVE_LINEN:
        return 0.065f * threads(u, v, 0.32f, f->seed);
    case WEAVE_CANVAS:
        return 0.05f * threads(u, v, 0.5f, f->seed);
    case WEAVE_DENIM:
        return 0.05f * (fraction((u + v) / 0.62f) - 0.5f) +
               0.035f * threads(u, v, 0.4f, f->seed) +
               0.05f * fabric_noise(u, v * 0.3f, 5, f->seed);
    case WEAVE_WOOL:
        return 0.06f * (hash01((int32_t)floorf(u * 2.6f),
                               (int32_t)floorf(v * 2.6f), f->seed) -
                        0.5f) +
               0.035f * fabric_noise(u, v, 1.3f, f->seed);
    case WEAVE_FINE_KNIT:
        return 0.1f * stitches(u, v, 0.95f, 0.85f);
    case WEAVE_CHUNKY_KNIT:
        if (f->pattern == PATTERN_KNIT && f->kind % 2 == 0)
            return 0.32f * cables(u, v, f->repeat * 1.6f) +
                   0.07f * stitches(u, v, 1.1f, 1);
        return 0.2f * stitches(u, v, 1.75f, 1.45f);
    case WEAVE_RIB:
        return 0.17f * sinf(u * 6.2832f / 1.15f) - 0.02f;
    case WEAVE_LEATHER:
        return 0.035f * fabric_noise(u, v, 0.5f, f->seed) +
               0.03f * fabric_noise(u, v, 3, f->seed);
    case WEAVE_STRAW:
        return 0.16f * (fabsf(fraction(v / 1.1f) - 0.5f) * 2 - 0.5f) +
               0.1f *
                   (fabsf(fraction(u / 1.3f + 0.5f * floorf(v / 1.1f)) - 0.5f) *
                        2 -
                    0.5f);
    case WEAVE_SATIN:
    case N_WEAVES:
        break;
    }
    return 0;
}

struct rgb fabric_at(const struct fabric *fabric, float u, float v, float pixel,
                     float *relief)
{
    /* From afar threads are too small to be seen, and must not flicker. */
    float near = pixel > 0.4f ? 0.4f / pixel : 1;
    *relief *= 1 + near * weave_at(fabric, u, v);
    return colour_at(fabric, u, v, pixel);
}
