/* augment_ground.c: where a product's plain ground is.
 *
 * The ground's colour is the median of the photo's border, if most of the
 * border is within a few levels of it. Ground is what is that colour and hangs
 * together with the border: a white shirt on white stays where its outline is
 * to be seen. The specks and fringes that JPEG leaves around a product are
 * cleaned away; a ground without a clear outline is given up, since what was
 * found is a part of a wall, a floor, a cloth. */
#include "train/augment_ground.h"

#include "base/size.h"

#include <stdlib.h>
#include <string.h>

/* In levels, as all distances: the largest difference of a channel. */
enum {
    BORDER_TOLERANCE = 12,
    TOLERANCE = 4, /* and what most of the border differs by */
    OUTLINE = 12,  /* and twice the tolerance */
    FAINT = 40,
    VERY_FAINT = 16
};
static const double border_share = 0.6;
static const double min_share = 0.08, max_share = 0.97;
static const double outline_share = 0.65;

/* ---- its colour ---------------------------------------------------------- */

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static int difference(const uint8_t *a, const uint8_t *b)
{
    return larger(abs(a[0] - b[0]), larger(abs(a[1] - b[1]), abs(a[2] - b[2])));
}

/* Pixel i of the border: the first row, the last, then what is left of the
 * sides. */
static const uint8_t *border_pixel(const struct sosie_image *photo, size_t i)
{
    size_t w = photo->width, h = photo->height, at;
    if (i < w)
        at = i;
    else if (i < 2 * w)
        at = (h - 1) * w + i - w;
    else
        at = (1 + (i - 2 * w) / 2) * w + ((i - 2 * w) % 2 ? w - 1 : 0);
    return photo->rgb + at * 3;
}

static size_t border_size(const struct sosie_image *photo)
{
    return 2 * (size_t)photo->width + 2 * (size_t)photo->height - 4;
}

/* The level that `share` of what was counted is at or below. */
static int quantile(const uint32_t counts[256], double share)
{
    uint64_t n = 0, seen = counts[0];
    int level = 0;
    for (size_t i = 0; i < 256; i++)
        n += counts[i];
    for (; (double)seen < share * (double)n; level++)
        seen += counts[level + 1];
    return level;
}

static bool find_colour(struct sosie_ground *ground,
                        const struct sosie_image *photo)
{
    uint32_t levels[3][256] = {0}, distances[256] = {0};
    size_t n = border_size(photo), n_near = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++)
            levels[c][border_pixel(photo, i)[c]]++;
    for (size_t c = 0; c < 3; c++)
        ground->colour[c] = (uint8_t)quantile(levels[c], 0.5);
    for (size_t i = 0; i < n; i++) {
        int d = difference(border_pixel(photo, i), ground->colour);
        if (d <= BORDER_TOLERANCE) {
            distances[d]++;
            n_near++;
        }
    }
    ground->tolerance = TOLERANCE + quantile(distances, 0.9);
    return (double)n_near >= border_share * (double)n;
}

/* ---- the map ------------------------------------------------------------- */

static bool make_map(struct sosie_ground *ground,
                     const struct sosie_image *photo)
{
    ground->stride = (size_t)photo->width + 2 * SOSIE_GROUND_MARGIN;
    if (!sosie_size_mul(ground->stride,
                        (size_t)photo->height + 2 * SOSIE_GROUND_MARGIN,
                        &ground->n) ||
        ground->n > UINT32_MAX)
        return false;
    ground->states = malloc(ground->n);
    ground->distances = calloc(ground->n, 1);
    ground->places = malloc(ground->n * sizeof(*ground->places));
    return ground->states && ground->distances && ground->places;
}

static void measure(struct sosie_ground *ground,
                    const struct sosie_image *photo)
{
    const uint8_t *at = photo->rgb;
    uint8_t far[3][256];
    for (size_t c = 0; c < 3; c++)
        for (int level = 0; level < 256; level++)
            far[c][level] = (uint8_t)abs(level - ground->colour[c]);
    for (size_t y = 0; y < photo->height; y++) {
        uint8_t *distances =
            ground->distances + sosie_ground_place(ground, 0, y);
        for (size_t x = 0; x < photo->width; x++, at += 3) {
            uint8_t d = far[0][at[0]];
            d = far[1][at[1]] > d ? far[1][at[1]] : d;
            d = far[2][at[2]] > d ? far[2][at[2]] : d;
            distances[x] = d;
        }
    }
}

static void mark_like(struct sosie_ground *ground,
                      const struct sosie_image *photo)
{
    memset(ground->states, SOSIE_OUTSIDE, ground->n);
    for (size_t y = 0; y < photo->height; y++) {
        size_t place = sosie_ground_place(ground, 0, y);
        uint8_t *states = ground->states + place;
        const uint8_t *distances = ground->distances + place;
        for (size_t x = 0; x < photo->width; x++)
            states[x] = distances[x] <= ground->tolerance ? SOSIE_LIKE_GROUND
                                                          : SOSIE_OTHER;
    }
}

static void make_edge(struct sosie_ground *ground, size_t place)
{
    ground->states[place] = SOSIE_EDGE;
    ground->places[ground->n - ++ground->n_edges] = (uint32_t)place;
}

static size_t edge(const struct sosie_ground *ground, size_t i)
{
    return ground->places[ground->n - 1 - i];
}

/* ---- the flood ----------------------------------------------------------- */

/* Ground from which to go on; taken off again by flood. */
static void seed(struct sosie_ground *ground, size_t place)
{
    if (ground->states[place] != SOSIE_LIKE_GROUND)
        return;
    ground->states[place] = SOSIE_GROUND;
    ground->places[ground->n_seeds++] = (uint32_t)place;
}

/* One seed in each run that lies beside ground, first .. last: the rest of the
 * run is for the seed to fill. */
static void look_beside(struct sosie_ground *ground, size_t first, size_t last)
{
    for (size_t place = first; place <= last; place++)
        if (ground->states[place] == SOSIE_OTHER) {
            make_edge(ground, place);
        } else if (ground->states[place] == SOSIE_LIKE_GROUND) {
            seed(ground, place);
            while (place < last &&
                   ground->states[place + 1] == SOSIE_LIKE_GROUND)
                place++;
        }
}

static void fill_run(struct sosie_ground *ground, size_t place)
{
    size_t first = place, last = place;
    while (ground->states[first - 1] == SOSIE_LIKE_GROUND)
        ground->states[--first] = SOSIE_GROUND;
    while (ground->states[last + 1] == SOSIE_LIKE_GROUND)
        ground->states[++last] = SOSIE_GROUND;
    ground->n_ground += last - first + 1;
    if (ground->states[first - 1] == SOSIE_OTHER)
        make_edge(ground, first - 1);
    if (ground->states[last + 1] == SOSIE_OTHER)
        make_edge(ground, last + 1);
    look_beside(ground, first - ground->stride, last - ground->stride);
    look_beside(ground, first + ground->stride, last + ground->stride);
}

static void flood(struct sosie_ground *ground, const struct sosie_image *photo)
{
    size_t right = photo->width - 1, bottom = photo->height - 1;
    for (size_t x = 0; x <= right; x++) {
        seed(ground, sosie_ground_place(ground, x, 0));
        seed(ground, sosie_ground_place(ground, x, bottom));
    }
    for (size_t y = 0; y <= bottom; y++) {
        seed(ground, sosie_ground_place(ground, 0, y));
        seed(ground, sosie_ground_place(ground, right, y));
    }
    while (ground->n_seeds)
        fill_run(ground, ground->places[--ground->n_seeds]);
}

/* ---- its edges ----------------------------------------------------------- */

static int ground_around(const struct sosie_ground *ground, size_t place)
{
    const uint8_t *at = ground->states + place - ground->stride - 1;
    int n = 0;
    for (size_t row = 0; row < 3; row++, at += ground->stride)
        for (size_t i = 0; i < 3; i++)
            n += at[i] == SOSIE_GROUND;
    return n;
}

/* What is beside a place becomes an edge; `most` is OTHER, or LIKE_GROUND too.
 */
static void widen_edge(struct sosie_ground *ground, size_t place,
                       enum sosie_ground_state most)
{
    const size_t beside[] = {place - 1, place + 1, place - ground->stride,
                             place + ground->stride};
    for (size_t k = 0; k < 4; k++)
        if (ground->states[beside[k]] <= most)
            make_edge(ground, beside[k]);
}

/* Faint edges that most of their neighbours are ground of become ground, a
 * pixel deeper in each round. A straight outline has three such neighbours and
 * stays, and nothing floods through a hole that is made here. */
static void clean(struct sosie_ground *ground)
{
    for (int round = 0; round < 4; round++) {
        size_t n = ground->n_edges;
        for (size_t i = 0; i < n; i++) {
            size_t place = edge(ground, i);
            int around;
            if (ground->states[place] != SOSIE_EDGE)
                continue;
            around = ground_around(ground, place);
            if (around < 4 ||
                ground->distances[place] > (around > 4 ? FAINT : VERY_FAINT))
                continue;
            ground->states[place] = SOSIE_GROUND;
            widen_edge(ground, place, SOSIE_LIKE_GROUND);
        }
    }
}

/* How much the distance changes around a place, two pixels to each side. */
static int steepness(const struct sosie_ground *ground, size_t place)
{
    const size_t near[] = {place - 2, place + 2, place - 2 * ground->stride,
                           place + 2 * ground->stride};
    int least = ground->distances[place], most = least;
    for (size_t k = 0; k < 4; k++) {
        int d = ground->distances[near[k]];
        if (ground->states[near[k]] == SOSIE_OUTSIDE)
            continue;
        least = d < least ? d : least;
        most = larger(most, d);
    }
    return most - least;
}

/* Where a ground ends in a product there is a step; where it only gets darker
 * there is none. */
static bool has_outline(const struct sosie_ground *ground)
{
    int enough = 2 * ground->tolerance + OUTLINE;
    size_t n = 0, n_steep = 0;
    for (size_t i = 0; i < ground->n_edges; i++) {
        if (ground->states[edge(ground, i)] != SOSIE_EDGE)
            continue;
        n++;
        n_steep += steepness(ground, edge(ground, i)) >= enough;
    }
    return (double)n_steep >= outline_share * (double)n;
}

/* ---- all ----------------------------------------------------------------- */

enum sosie_status sosie_ground_find(struct sosie_ground *ground,
                                    const struct sosie_image *photo,
                                    bool *found, struct sosie_error *err)
{
    double share;
    size_t n;
    *ground = (struct sosie_ground){0};
    *found = false;
    if (!find_colour(ground, photo))
        return SOSIE_OK;
    if (!make_map(ground, photo)) {
        sosie_ground_release(ground);
        return sosie_fail(err, SOSIE_NO_MEMORY, "map of %ux%u pixels",
                          photo->width, photo->height);
    }
    measure(ground, photo);
    mark_like(ground, photo);
    flood(ground, photo);
    share = (double)ground->n_ground / ((double)photo->width * photo->height);
    if (share < min_share || share > max_share)
        return SOSIE_OK;
    clean(ground);
    if (!has_outline(ground))
        return SOSIE_OK;
    n = ground->n_edges;
    for (size_t i = 0; i < n; i++)
        widen_edge(ground, edge(ground, i), SOSIE_OTHER);
    *found = true;
    return SOSIE_OK;
}

/* Of a pixel that is half ground and half product, the distance is half the
 * product's: that of the farthest pixel within two. */
int sosie_ground_cover(const struct sosie_ground *ground, size_t place)
{
    const uint8_t *at = ground->distances + place - 2 * ground->stride - 2;
    int most = 1;
    if (ground->states[place] == SOSIE_GROUND)
        return 256;
    if (ground->states[place] != SOSIE_EDGE)
        return 0;
    for (size_t row = 0; row < 5; row++, at += ground->stride)
        for (size_t i = 0; i < 5; i++)
            most = larger(most, at[i]);
    return 256 - 256 * ground->distances[place] / most;
}

void sosie_ground_release(struct sosie_ground *ground)
{
    free(ground->states);
    free(ground->distances);
    free(ground->places);
    *ground = (struct sosie_ground){0};
}
