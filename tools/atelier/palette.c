/* palette.c: colours that dyes have: none is as loud as a screen can be. */
#include "palette.h"

#include <math.h>
#include <stdbool.h>

/* The sober ones first. */
static const struct {
    const char *name;
    unsigned hex;
} palette[N_COLOURS] = {
    {"black", 0x25252a},    {"white", 0xf3f1ec},      {"navy", 0x232f55},
    {"blue", 0x3565ad},     {"light blue", 0xa3c0da}, {"maroon", 0x6d2231},
    {"green", 0x34764c},    {"olive", 0x6f6d45},      {"beige", 0xd9c7a8},
    {"brown", 0x6a4935},    {"tan", 0xb58a5e},        {"grey", 0x8b8d91},
    {"charcoal", 0x4a4c52}, {"cream", 0xefe4c9},      {"teal", 0x24747a},
    {"red", 0xb92d33},      {"pink", 0xe0a1b1},       {"purple", 0x67498a},
    {"lavender", 0xb5a6cf}, {"yellow", 0xe0bb4d},     {"orange", 0xd47436},
    {"mint", 0xa9d2bf},
};

/* Words of one family are never two variants of one design. */
static const char kin[][2][12] = {
    {"black", "charcoal"},  {"white", "cream"},         {"beige", "cream"},
    {"beige", "tan"},       {"charcoal", "grey"},       {"navy", "black"},
    {"red", "maroon"},      {"brown", "tan"},           {"maroon", "brown"},
    {"charcoal", "navy"},   {"purple", "lavender"},     {"olive", "brown"},
    {"tan", "orange"},      {"tan", "olive"},           {"pink", "lavender"},
    {"light blue", "mint"}, {"light blue", "lavender"},
};

const char *palette_name(size_t colour)
{
    return palette[colour].name;
}

static struct rgb from_hex(unsigned hex)
{
    return (struct rgb){(float)(hex >> 16 & 255) / 255,
                        (float)(hex >> 8 & 255) / 255,
                        (float)(hex & 255) / 255};
}

static float clamped(float x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

struct rgb palette_dye(size_t colour, struct sosie_random *random)
{
    struct rgb c = from_hex(palette[colour].hex);
    float light = (float)sosie_random_normal(random) * 0.018f;
    float warm = (float)sosie_random_normal(random) * 0.012f;
    return (struct rgb){clamped(c.r + light + warm), clamped(c.g + light),
                        clamped(c.b + light - warm)};
}

float rgb_lightness(struct rgb c)
{
    return sqrtf(0.3f * c.r * c.r + 0.59f * c.g * c.g + 0.11f * c.b * c.b);
}

struct rgb rgb_mix(struct rgb a, struct rgb b, float at)
{
    return (struct rgb){a.r + (b.r - a.r) * at, a.g + (b.g - a.g) * at,
                        a.b + (b.b - a.b) * at};
}

static bool same_word(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        continue;
    return *a == *b;
}

static bool are_kin(size_t a, size_t b)
{
    for (size_t i = 0; i < sizeof(kin) / sizeof(*kin); i++)
        if ((same_word(kin[i][0], palette[a].name) &&
             same_word(kin[i][1], palette[b].name)) ||
            (same_word(kin[i][1], palette[a].name) &&
             same_word(kin[i][0], palette[b].name)))
            return true;
    return false;
}

static bool fits(size_t colour, const size_t *chosen, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (are_kin(colour, chosen[i]))
            return false;
    return true;
}

void palette_pick(struct sosie_random *random, bool sober, size_t n,
                  size_t *colours)
{
    size_t all = sober ? N_SOBER : N_COLOURS, left = all, found = 0;
    size_t deck[N_COLOURS];
    for (size_t i = 0; i < all; i++)
        deck[i] = i;
    for (size_t i = all - 1; i > 0; i--) {
        size_t j = (size_t)sosie_random_below(random, i + 1), c = deck[i];
        deck[i] = deck[j];
        deck[j] = c;
    }
    /* First those without kin among the chosen, then, if many are asked for,
     * whatever is left. */
    for (int pass = 0; pass < 2 && found < n; pass++)
        for (size_t i = 0, kept = 0, end = left; i < end; i++) {
            if (found < n && (pass || fits(deck[i], colours, found))) {
                colours[found++] = deck[i];
                left--;
            } else {
                deck[kept++] = deck[i];
            }
        }
}
