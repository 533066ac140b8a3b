/* backdrop.c: paper, plaster, linen and wood, lit from the upper left.
 *
 * A surface is its colour times a texture times the light's falloff. Textures
 * are looked up in one small table of noise, in steps that are relative to the
 * picture's width, so that a larger picture shows the same surface. */
#include "backdrop.h"

#include "palette.h"

#include <math.h>
#include <pthread.h>

enum surface { PAPER, PLASTER, LINEN, WOOD };
enum { TABLE = 256 };

static float table[TABLE][TABLE]; /* -1 .. 1 */
static pthread_once_t table_made = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    struct sosie_random random;
    sosie_random_seed(&random, 20);
    for (int y = 0; y < TABLE; y++)
        for (int x = 0; x < TABLE; x++)
            table[y][x] = (float)(2 * sosie_random_unit(&random) - 1);
}

/* Smooth in y, stepped in x. */
static float grain(float x, float y)
{
    float floor_y = floorf(y), t = y - floor_y;
    int i = (int)floorf(x) & (TABLE - 1), j = (int)floor_y & (TABLE - 1);
    float a = table[j][i], b = table[(j + 1) & (TABLE - 1)][i];
    return a + (b - a) * t * t * (3 - 2 * t);
}

/* Smooth both ways. */
static float cloud(float x, float y)
{
    float t = x - floorf(x), a = grain(x, y), b = grain(x + 1, y);
    return a + (b - a) * t * t * (3 - 2 * t);
}

struct setting {
    enum surface surface;
    struct rgb colour;
    bool across;                   /* planks lie across */
    float plank, shift_x, shift_y; /* of a width of 100 */
    float fall_x, fall_y, vignette;
};

static struct setting choose(struct sosie_random *random, bool wall)
{
    static const struct rgb papers[] = {
        {0.975f, 0.97f, 0.965f}, {0.965f, 0.965f, 0.97f},
        {0.93f, 0.92f, 0.905f},  {0.9f, 0.905f, 0.905f},
        {0.955f, 0.93f, 0.9f},   {0.885f, 0.9f, 0.89f},
        {0.93f, 0.9f, 0.89f},    {0.87f, 0.865f, 0.86f},
    };
    static const struct rgb woods[] = {
        {0.87f, 0.8f, 0.71f}, {0.89f, 0.86f, 0.82f}, {0.8f, 0.73f, 0.65f}};
    static const struct rgb linens[] = {
        {0.9f, 0.87f, 0.82f}, {0.93f, 0.925f, 0.91f}, {0.82f, 0.81f, 0.79f}};
    struct setting s = {0};
    double kind = sosie_random_unit(random);
    s.surface = kind < 0.5    ? PAPER
                : kind < 0.68 ? PLASTER
                : kind < 0.84 ? LINEN
                              : WOOD;
    if (wall && s.surface > PLASTER)
        s.surface = PLASTER;
    s.colour = s.surface == WOOD    ? woods[sosie_random_below(random, 3)]
               : s.surface == LINEN ? linens[sosie_random_below(random, 3)]
                                    : papers[sosie_random_below(random, 8)];
    s.across = sosie_random_unit(random) < 0.4;
    s.plank = (float)(17 + 12 * sosie_random_unit(random));
    s.shift_x = (float)(100 * sosie_random_unit(random));
    s.shift_y = (float)(100 * sosie_random_unit(random));
    s.fall_x = (float)(0.02 + 0.05 * sosie_random_unit(random));
    s.fall_y = (float)(0.02 + 0.06 * sosie_random_unit(random));
    s.vignette = (float)(0.02 + 0.05 * sosie_random_unit(random));
    return s;
}

static float wood(const struct setting *s, float x, float y)
{
    float across = s->across ? y : x, along = s->across ? x : y;
    float plank = floorf(across / s->plank), at = across / s->plank - plank;
    float edge = fminf(at, 1 - at) * s->plank;
    float own = table[((int)plank + 9) & 255][(int)s->shift_x];
    float wave = cloud(across * 0.12f + own * 40, along * 0.025f) * 2.2f;
    float lines = grain((across + wave) * 2.6f + own * 90, along * 0.06f);
    float fine = grain(across * 6 + own * 50, along * 0.2f);
    float shade = 1 + 0.035f * own + 0.035f * lines + 0.018f * fine;
    return edge < 0.28f ? shade * (0.72f + edge) : shade;
}

static float texture(const struct setting *s, float x, float y)
{
    switch (s->surface) {
    case PAPER:
        return 1 + 0.006f * grain(x * 3, y * 3);
    case PLASTER:
        return 1 + 0.016f * cloud(x * 0.11f, y * 0.11f) +
               0.012f * cloud(x * 0.5f, y * 0.5f) +
               0.008f * grain(x * 4, y * 4);
    case LINEN:
        return 1 + 0.028f * grain(x * 3.1f, y * 0.13f) +
               0.028f * grain(y * 3.1f, x * 0.13f) +
               0.012f * cloud(x * 0.07f, y * 0.07f);
    case WOOD:
        return wood(s, x, y);
    }
    return 1;
}

static uint8_t level(float x)
{
    return x <= 0 ? 0 : x >= 1 ? 255 : (uint8_t)(x * 255 + 0.5f);
}

void backdrop_fill(struct sosie_random *random, bool wall, int width,
                   int height, uint8_t *rgb)
{
    struct setting s = choose(random, wall);
    float step = 100.0f / (float)width;
    pthread_once(&table_made, make_table);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, rgb += 3) {
            float fx = (float)x * step, fy = (float)y * step;
            float dx = fx / 50 - 1, dy = fy / 60 - 1;
            float light = texture(&s, fx + s.shift_x, fy + s.shift_y);
            light *= 1 - s.fall_x * dx - s.fall_y * dy -
                     s.vignette * (dx * dx + dy * dy);
            rgb[0] = level(s.colour.r * light);
            rgb[1] = level(s.colour.g * light);
            rgb[2] = level(s.colour.b * light);
        }
}
