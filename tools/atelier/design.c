/* design.c: from a number to a design. What is possible for a class stands in
 * one table; the rest is drawn from the seed. */
#include "design.h"

#include "garments.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define BIT(x) (1u << (x))

enum {
    ANY_PATTERN = BIT(PATTERN_PLAIN) | BIT(PATTERN_STRIPES) |
                  BIT(PATTERN_CHECKS) | BIT(PATTERN_DOTS) | BIT(PATTERN_FLORAL),
    QUIET = BIT(PATTERN_PLAIN),
    LINES = BIT(PATTERN_PLAIN) | BIT(PATTERN_STRIPES) | BIT(PATTERN_CHECKS),
    KNITS = BIT(PATTERN_PLAIN) | BIT(PATTERN_STRIPES) | BIT(PATTERN_KNIT),
    SHIRTINGS = BIT(WEAVE_COTTON) | BIT(WEAVE_LINEN),
    PRINTS = BIT(PRINT_NONE) | BIT(PRINT_SUN) | BIT(PRINT_HILLS) |
             BIT(PRINT_ARCS) | BIT(PRINT_WAVES),
    NO_SLEEVE = BIT(SLEEVE_NONE),
    ALL_SLEEVES = BIT(SLEEVE_NONE) | BIT(SLEEVE_SHORT) | BIT(SLEEVE_MIDDLE) |
                  BIT(SLEEVE_LONG),
    LONG = BIT(SLEEVE_LONG),
    CAN_HANG = 1,
    ALONG = 2,  /* stripes run from the top to the bottom, */
    ACROSS = 4, /* or from side to side */
    SOBER = 8,  /* comes in colours that are worn every day */
    PRINTED = 16,
};

static const struct class_entry {
    const char *name, *path;
    draw_garment *draw;
    unsigned patterns, weaves, sleeves, necks, closings;
    unsigned ways;
    unsigned cheapest, dearest; /* whole euros */
} classes[] = {
    {"coat", "Apparel > Outerwear > coat", draw_coat,
     QUIET | BIT(PATTERN_CHECKS), BIT(WEAVE_WOOL), LONG,
     BIT(NECK_LAPEL) | BIT(NECK_STAND) | BIT(NECK_HOOD),
     BIT(CLOSE_BUTTONS) | BIT(CLOSE_DOUBLE), CAN_HANG | SOBER, 119, 349},
    {"dress", "Apparel > Dresses > dress", draw_dress, ANY_PATTERN,
     SHIRTINGS | BIT(WEAVE_SATIN), ALL_SLEEVES,
     BIT(NECK_CREW) | BIT(NECK_V) | BIT(NECK_SCOOP) | BIT(NECK_BOAT) |
         BIT(NECK_SQUARE) | BIT(NECK_COLLAR),
     BIT(CLOSE_NONE), CAN_HANG, 39, 159},
    {"hood", "Apparel > Tops > hood", draw_hood, QUIET, BIT(WEAVE_COTTON), LONG,
     BIT(NECK_HOOD), BIT(CLOSE_NONE) | BIT(CLOSE_ZIP), PRINTED, 35, 89},
    {"jumper", "Apparel > Knitwear > jumper", draw_jumper,
     BIT(PATTERN_PLAIN) | BIT(PATTERN_KNIT), BIT(WEAVE_CHUNKY_KNIT), LONG,
     BIT(NECK_CREW) | BIT(NECK_ROLL), BIT(CLOSE_NONE), ACROSS, 45, 139},
    {"shirt", "Apparel > Tops > shirt", draw_shirt,
     LINES | BIT(PATTERN_DOTS) | BIT(PATTERN_FLORAL), SHIRTINGS,
     LONG | BIT(SLEEVE_SHORT), BIT(NECK_COLLAR) | BIT(NECK_STAND),
     BIT(CLOSE_BUTTONS), CAN_HANG | ALONG, 29, 89},
    {"sweater", "Apparel > Knitwear > sweater", draw_sweater,
     BIT(PATTERN_PLAIN) | BIT(PATTERN_STRIPES), BIT(WEAVE_FINE_KNIT), LONG,
     BIT(NECK_V) | BIT(NECK_CREW) | BIT(NECK_BOAT), BIT(CLOSE_NONE), ACROSS, 39,
     119},
    {"t-shirt", "Apparel > Tops > t-shirt", draw_tee,
     BIT(PATTERN_PLAIN) | BIT(PATTERN_STRIPES) | BIT(PATTERN_DOTS),
     BIT(WEAVE_COTTON), BIT(SLEEVE_SHORT),
     BIT(NECK_CREW) | BIT(NECK_V) | BIT(NECK_SCOOP), BIT(CLOSE_NONE),
     CAN_HANG | ACROSS | PRINTED, 12, 39},
    {"blouse", "Apparel > Tops > blouse", draw_blouse,
     BIT(PATTERN_PLAIN) | BIT(PATTERN_DOTS) | BIT(PATTERN_FLORAL) |
         BIT(PATTERN_STRIPES),
     BIT(WEAVE_SATIN) | BIT(WEAVE_COTTON), BIT(SLEEVE_MIDDLE) | LONG,
     BIT(NECK_V) | BIT(NECK_BOAT) | BIT(NECK_STAND) | BIT(NECK_SQUARE),
     BIT(CLOSE_NONE) | BIT(CLOSE_HALF), CAN_HANG | ALONG, 29, 89},
    {"cardigan", "Apparel > Knitwear > cardigan", draw_cardigan, KNITS,
     BIT(WEAVE_FINE_KNIT) | BIT(WEAVE_CHUNKY_KNIT), LONG, BIT(NECK_V),
     BIT(CLOSE_BUTTONS), ACROSS, 39, 129},
    {"jacket", "Apparel > Outerwear > jacket", draw_jacket, QUIET,
     BIT(WEAVE_DENIM) | BIT(WEAVE_LEATHER) | BIT(WEAVE_CANVAS), LONG,
     BIT(NECK_STAND) | BIT(NECK_COLLAR), BIT(CLOSE_ZIP) | BIT(CLOSE_BUTTONS),
     CAN_HANG | SOBER, 69, 259},
    {"waistcoat", "Apparel > Outerwear > waistcoat", draw_waistcoat, LINES,
     BIT(WEAVE_WOOL) | BIT(WEAVE_LINEN), NO_SLEEVE, BIT(NECK_V),
     BIT(CLOSE_BUTTONS), CAN_HANG | ALONG | SOBER, 39, 99},
    {"trousers", "Apparel > Bottoms > trousers", draw_trousers, LINES,
     BIT(WEAVE_WOOL) | BIT(WEAVE_COTTON) | BIT(WEAVE_LINEN), 0, 0,
     BIT(CLOSE_NONE), CAN_HANG | ALONG | SOBER, 35, 119},
    {"jeans", "Apparel > Bottoms > jeans", draw_jeans, QUIET, BIT(WEAVE_DENIM),
     0, 0, BIT(CLOSE_NONE), SOBER, 39, 129},
    {"shorts", "Apparel > Bottoms > shorts", draw_shorts, ANY_PATTERN,
     SHIRTINGS | BIT(WEAVE_CANVAS), 0, 0, BIT(CLOSE_NONE), 0, 19, 59},
    {"skirt", "Apparel > Bottoms > skirt", draw_skirt, ANY_PATTERN,
     SHIRTINGS | BIT(WEAVE_WOOL) | BIT(WEAVE_SATIN), 0, 0, BIT(CLOSE_NONE),
     CAN_HANG, 25, 99},
    {"shoes", "Apparel > Footwear > shoes", draw_shoes, QUIET,
     BIT(WEAVE_CANVAS) | BIT(WEAVE_LEATHER), 0, 0, BIT(CLOSE_NONE), SOBER, 45,
     149},
    {"boots", "Apparel > Footwear > boots", draw_boots, QUIET,
     BIT(WEAVE_LEATHER), 0, 0, BIT(CLOSE_NONE), SOBER, 79, 219},
    {"socks", "Apparel > Accessories > socks", draw_socks,
     BIT(PATTERN_PLAIN) | BIT(PATTERN_STRIPES) | BIT(PATTERN_DOTS) |
         BIT(PATTERN_KNIT),
     BIT(WEAVE_FINE_KNIT), 0, 0, BIT(CLOSE_NONE), ACROSS, 5, 19},
    {"bag", "Apparel > Accessories > bag", draw_bag,
     QUIET | BIT(PATTERN_STRIPES) | BIT(PATTERN_CHECKS),
     BIT(WEAVE_LEATHER) | BIT(WEAVE_CANVAS), 0, 0, BIT(CLOSE_NONE), 0, 39, 249},
    {"backpack", "Apparel > Accessories > backpack", draw_backpack, QUIET,
     BIT(WEAVE_CANVAS) | BIT(WEAVE_LEATHER), 0, 0, BIT(CLOSE_ZIP), 0, 39, 149},
    {"hat", "Apparel > Accessories > hat", draw_hat, QUIET,
     BIT(WEAVE_WOOL) | BIT(WEAVE_STRAW) | BIT(WEAVE_CHUNKY_KNIT), 0, 0,
     BIT(CLOSE_NONE), SOBER, 25, 89},
    {"cap", "Apparel > Accessories > cap", draw_cap,
     QUIET | BIT(PATTERN_CHECKS), BIT(WEAVE_CANVAS) | BIT(WEAVE_DENIM), 0, 0,
     BIT(CLOSE_NONE), 0, 15, 45},
    {"scarf", "Apparel > Accessories > scarf", draw_scarf,
     BIT(PATTERN_PLAIN) | BIT(PATTERN_STRIPES) | BIT(PATTERN_CHECKS) |
         BIT(PATTERN_KNIT),
     BIT(WEAVE_WOOL) | BIT(WEAVE_FINE_KNIT), 0, 0, BIT(CLOSE_NONE), ACROSS, 19,
     79},
    {"gloves", "Apparel > Accessories > gloves", draw_gloves,
     QUIET | BIT(PATTERN_STRIPES), BIT(WEAVE_FINE_KNIT) | BIT(WEAVE_LEATHER), 0,
     0, BIT(CLOSE_NONE), ACROSS, 15, 69},
};
enum { N_CLASSES = sizeof(classes) / sizeof(*classes) };

static const char *const brands[] = {
    "Maison Orvelle", "Nordhavel",    "Tessaly & Row", "Brindle Quay",
    "Cobbet & Wyn",   "Lumarre",      "Fennick Lane",  "Petit Grenat",
    "Aldermoss",      "Studio Veille"};
enum { N_BRANDS = sizeof(brands) / sizeof(*brands) };

static const char *const styles[] = {
    "Aster", "Briar", "Corin", "Dahl",  "Elm",   "Fjord", "Gale",
    "Hazel", "Iris",  "Juno",  "Kite",  "Lark",  "Marin", "Nell",
    "Otis",  "Pine",  "Quill", "Rowan", "Sable", "Tarn"};
enum { N_STYLES = sizeof(styles) / sizeof(*styles) };

/* ---- drawing lots -------------------------------------------------------- */

/* One of the bits that are set; 0 if none is. */
static unsigned choose(struct sosie_random *random, unsigned bits)
{
    unsigned n = (unsigned)__builtin_popcount(bits), which;
    if (!n)
        return 0;
    which = (unsigned)sosie_random_below(random, n);
    for (unsigned i = 0;; i++)
        if (bits >> i & 1 && which-- == 0)
            return i;
}

static uint64_t mixed(uint64_t seed, uint64_t number, uint64_t purpose)
{
    struct sosie_random random;
    sosie_random_seed(&random,
                      seed ^ (number * 0x9e3779b97f4a7c15u) ^ (purpose << 56));
    return sosie_random_u64(&random);
}

static float between(struct sosie_random *random, double low, double high)
{
    return (float)(low + (high - low) * sosie_random_unit(random));
}

static void choose_fabric(const struct class_entry *class,
                          struct sosie_random *lots, struct fabric *fabric)
{
    /* Most of what hangs in a shop is plain. */
    if (!(class->patterns & BIT(PATTERN_PLAIN)) ||
        sosie_random_unit(lots) > 0.3)
        fabric->pattern = (enum pattern)choose(lots, class->patterns);
    fabric->weave = (enum weave)choose(lots, class->weaves);
    fabric->kind = (unsigned)sosie_random_below(lots, 12);
    fabric->share = between(lots, 0.3, 0.46);
    fabric->seed = (uint32_t)sosie_random_u64(lots);
    fabric->repeat = fabric->pattern == PATTERN_STRIPES  ? between(lots, 3, 7)
                     : fabric->pattern == PATTERN_CHECKS ? between(lots, 2.5, 7)
                     : fabric->pattern == PATTERN_DOTS   ? between(lots, 3, 6)
                     : fabric->pattern == PATTERN_FLORAL ? between(lots, 5, 10)
                                                         : between(lots, 6, 9);
    /* fabric.c has four kinds of stripes: 0 and 3 across, 1 and 2 along. */
    if (fabric->pattern == PATTERN_STRIPES && class->ways & ACROSS)
        fabric->kind = fabric->kind % 2 ? 3 : 0;
    if (fabric->pattern == PATTERN_STRIPES && class->ways & ALONG)
        fabric->kind = 1 + fabric->kind % 2;
    /* Of knit patterns, 1 has figures and 0 cables, which fine yarn hides. */
    if (fabric->pattern == PATTERN_KNIT && fabric->weave != WEAVE_CHUNKY_KNIT)
        fabric->kind |= 1;
    if (fabric->pattern == PATTERN_KNIT && fabric->kind % 2)
        fabric->weave = WEAVE_FINE_KNIT;
}

static void design_draw(uint64_t seed, size_t number, struct design *design)
{
    const struct class_entry *class;
    struct sosie_random lots;
    /* Every class comes as often as the others, in turns. */
    design->class = number % N_CLASSES;
    design->seed = mixed(seed, number, 1);
    class = &classes[design->class];
    sosie_random_seed(&lots, design->seed);
    design->sleeve = (enum sleeve)choose(&lots, class->sleeves);
    design->neck = (enum neck)choose(&lots, class->necks);
    design->closing = (enum closing)choose(&lots, class->closings);
    design->length = sosie_random_unit(&lots);
    design->fit = sosie_random_unit(&lots);
    design->hung = class->ways & CAN_HANG && design->neck != NECK_HOOD &&
                   sosie_random_unit(&lots) < 0.42;
    choose_fabric(class, &lots, &design->fabric);
    if (class->ways & PRINTED && design->closing == CLOSE_NONE &&
        design->fabric.pattern == PATTERN_PLAIN)
        design->print = choose(&lots, PRINTS);
    design->second_scheme = (unsigned)sosie_random_below(&lots, 3);
    design->accent = (size_t)sosie_random_below(&lots, N_COLOURS);
    design->price_cents =
        100 * (class->cheapest +
               (size_t)sosie_random_below(&lots, class->dearest -
                                                     class->cheapest + 1)) -
        5;
    design->brand = (size_t)sosie_random_below(&lots, N_BRANDS);
    design->style = (size_t)sosie_random_below(&lots, N_STYLES);
}

struct item item_at(uint64_t seed, size_t colours, size_t number)
{
    size_t variants[MAX_VARIANTS];
    struct item item = {.number = number, .group = number / colours};
    struct sosie_random lots;
    design_draw(seed, item.group, &item.design);
    sosie_random_seed(&lots, mixed(seed, item.group, 2));
    palette_pick(&lots, classes[item.design.class].ways & SOBER, colours,
                 variants);
    item.colour = variants[number % colours];
    item.photo_seed = mixed(seed, number, 3);
    return item;
}

/* ---- cutting the cloth --------------------------------------------------- */

static const struct rgb white = {0.95f, 0.94f, 0.92f};
static const struct rgb ink = {0.13f, 0.14f, 0.18f};

/* A colour to go with the base. It must stand out, or there is no pattern. */
static struct rgb second_colour(const struct design *design, struct rgb base,
                                struct rgb accent)
{
    float light = rgb_lightness(base);
    struct rgb away = light > 0.55f ? ink : white;
    float apart = rgb_lightness(accent) - light;
    if (design->second_scheme == 0)
        return rgb_mix(base, away, 0.8f);
    if (design->second_scheme == 1 || (apart < 0.22f && apart > -0.22f))
        return rgb_mix(base, away, 0.5f);
    return accent;
}

static struct rgb shaded(struct rgb c, float by)
{
    return (struct rgb){c.r * by, c.g * by, c.b * by};
}

struct garment garment_cut(const struct item *item)
{
    const struct design *design = &item->design;
    struct garment g = {.design = design, .main = design->fabric};
    struct rgb accent;
    struct sosie_random dye;
    sosie_random_seed(&dye, item->photo_seed);
    g.main.base = palette_dye(item->colour, &dye);
    sosie_random_seed(&dye, design->seed);
    accent = palette_dye(design->accent, &dye);
    g.main.second = second_colour(design, g.main.base, accent);
    g.dark = rgb_lightness(g.main.base) < 0.5f;
    g.main.third = rgb_mix(g.main.second, g.dark ? white : accent, 0.6f);
    g.rib = fabric_plain(&g.main, WEAVE_RIB);
    g.trim = fabric_plain(&g.main, g.main.weave);
    if (design->second_scheme == 2 && design->seed % 3 == 0)
        g.trim.base = g.main.second;
    g.inside = fabric_plain(&g.main, g.main.weave);
    g.inside.base = rgb_mix(g.main.base, shaded(g.main.base, 0.8f), 0.5f);
    g.metal = design->seed % 5 < 3 ? (struct rgb){0.72f, 0.72f, 0.74f}
                                   : (struct rgb){0.78f, 0.64f, 0.38f};
    g.button = design->seed % 7 < 3 ? shaded(g.main.base, g.dark ? 0.6f : 0.55f)
               : design->seed % 7 < 5 ? (struct rgb){0.93f, 0.91f, 0.86f}
                                      : (struct rgb){0.36f, 0.24f, 0.16f};
    return g;
}

/* ---- words --------------------------------------------------------------- */

size_t class_count(void)
{
    return N_CLASSES;
}

const char *class_name(size_t class)
{
    return classes[class].name;
}

const char *class_path(size_t class)
{
    return classes[class].path;
}

draw_garment *class_draw(size_t class)
{
    return classes[class].draw;
}

const char *sleeve_name(enum sleeve sleeve)
{
    static const char *const names[N_SLEEVES] = {"none", "short",
                                                 "three-quarter", "long"};
    return names[sleeve];
}

const char *neck_name(enum neck neck)
{
    static const char *const names[N_NECKS] = {
        "",     "crew",   "v-neck", "scoop", "boat", "square",
        "roll", "collar", "stand",  "lapel", "hood"};
    return names[neck];
}

const char *print_name(enum print print)
{
    static const char *const names[N_PRINTS] = {"none", "sun", "hills", "arcs",
                                                "waves"};
    return names[print];
}

const char *length_name(const struct design *design)
{
    return design->length < 0.34   ? "short"
           : design->length < 0.67 ? "regular"
                                   : "long";
}

const char *fit_name(const struct design *design)
{
    return design->fit < 0.34   ? "slim"
           : design->fit < 0.67 ? "regular"
                                : "loose";
}

const char *brand_name(size_t brand)
{
    return brands[brand];
}

/* "chunky knit" -> "Chunky Knit" */
static void capitalise(char *text)
{
    for (char *c = text; *c; c++)
        if (c == text || c[-1] == ' ' || c[-1] == '-')
            *c = (char)toupper((unsigned char)*c);
}

void item_title(const struct item *item, char *text, size_t room)
{
    static const char *const adjectives[N_PATTERNS] = {
        "", "Striped ", "Checked ", "Dotted ", "Floral ", "Patterned "};
    const struct design *d = &item->design;
    snprintf(text, room, "%s %s%s %s", styles[d->style],
             adjectives[d->fabric.pattern], weave_name(d->fabric.weave),
             classes[d->class].name);
    capitalise(text);
    snprintf(text + strlen(text), room - strlen(text), ", %s",
             palette_name(item->colour));
}
