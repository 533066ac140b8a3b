/* design.h: what is drawn: one design is one product in several colours.
 *
 * Photo i shows design i / colours in that design's colour i % colours, and
 * depends on the seed and i alone: any thread may draw any photo. */
#ifndef ATELIER_DESIGN_H
#define ATELIER_DESIGN_H

#include "canvas.h"
#include "fabric.h"

enum sleeve {
    SLEEVE_NONE,
    SLEEVE_SHORT,
    SLEEVE_MIDDLE,
    SLEEVE_LONG,
    N_SLEEVES
};
enum neck {
    NECK_NONE, /* not a garment for the upper body */
    NECK_CREW,
    NECK_V,
    NECK_SCOOP,
    NECK_BOAT,
    NECK_SQUARE,
    NECK_ROLL,
    NECK_COLLAR,
    NECK_STAND,
    NECK_LAPEL,
    NECK_HOOD,
    N_NECKS
};
enum print {
    PRINT_NONE,
    PRINT_SUN,
    PRINT_HILLS,
    PRINT_ARCS,
    PRINT_WAVES,
    N_PRINTS
};
enum closing { CLOSE_NONE, CLOSE_BUTTONS, CLOSE_ZIP, CLOSE_DOUBLE, CLOSE_HALF };

struct design {
    size_t class;
    uint64_t seed;
    enum sleeve sleeve;
    enum neck neck;
    enum closing closing;
    enum print print;       /* on the chest */
    double length, fit;     /* 0 short, slim .. 1 long, wide */
    bool hung;              /* on a hanger, or laid flat */
    struct fabric fabric;   /* its colours are those of no variant yet */
    unsigned second_scheme; /* how the second colour follows from the first */
    size_t accent;          /* a colour of the palette */
    size_t price_cents;
    size_t brand, style;
};

/* One photo to take. */
struct item {
    size_t number, group;
    struct design design;
    size_t colour; /* of the palette */
    uint64_t photo_seed;
};

/* What a draughtsman has at hand: the design, its cloth cut in one colour. */
struct garment {
    const struct design *design;
    struct fabric main;
    struct fabric rib;    /* of the same yarn */
    struct fabric trim;   /* plain; of the second colour or the first */
    struct fabric inside; /* the inner side: plain */
    struct rgb metal, button;
    bool dark;
};

enum { MAX_VARIANTS = 12 };

struct item item_at(uint64_t seed, size_t colours, size_t number);
struct garment garment_cut(const struct item *item);

/* ---- words, as the feed has them ---- */
size_t class_count(void);
const char *class_name(size_t class);
const char *class_path(size_t class); /* "Apparel > Tops > Shirts" */
const char *sleeve_name(enum sleeve sleeve);
const char *neck_name(enum neck neck);
const char *print_name(enum print print);
const char *length_name(const struct design *design);
const char *fit_name(const struct design *design);
const char *brand_name(size_t brand);
/* "Striped Linen Shirt, navy" */
void item_title(const struct item *item, char *text, size_t room);
/* Draws the garment about the origin. */
typedef void draw_garment(struct canvas *canvas, const struct garment *garment);
draw_garment *class_draw(size_t class);

#endif
