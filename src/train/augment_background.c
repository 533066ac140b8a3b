/* augment_background.c: a product on a plain ground, as if it lay elsewhere.
 *
 * The ground's colour is the median of the photo's border, if most of the
 * border is within a few levels of it. Ground is what is that colour and hangs
 * together with the border: a white shirt on white stays where its outline is
 * to be seen. Pixels beside the ground are part of it as far as their colour
 * says: by how far they are from the ground's colour, of the farthest nearby.
 *
 * Each pixel has a state in a map with a margin of one, so that no neighbour is
 * outside it:
 *
 *   OTHER    not of the ground's colour
 *   LIKE     of the ground's colour
 *   GROUND   and hanging together with the border
 *   EDGE     not of the ground's colour, and beside it
 *   OUTSIDE  the margin */
#include "train/augment_private.h"

#include "base/size.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    BORDER_TOLERANCE = 12, /* levels */
    MIN_TOLERANCE = 4,
    OUTLINE = 12,
    FAINT = 40,
    VERY_FAINT = 16
};
static const double border_share = 0.6;
static const double min_share = 0.08, max_share = 0.97;
static const double outline_share = 0.65;

enum state { OTHER, LIKE, GROUND, EDGE, OUTSIDE };

struct map {
    size_t stride; /* of the states: the photo's width, and 2 */
    size_t n;      /* states */
    uint8_t *states;
    /* Places in the map: of ground from the front, of edges from the back. A
     * place is in it once. */
    uint32_t *places;
    size_t n_ground, n_edges;
};

struct ground {
    uint8_t colour[3];
    int tolerance; /* levels that a channel may differ by */
};

/* ---- is it plain? -------------------------------------------------------- */

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static int difference(const uint8_t *a, const uint8_t *b)
{
    int most = 0;
    for (size_t c = 0; c < 3; c++)
        most = larger(most, abs(a[c] - b[c]));
    return most;
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
    uint64_t n = 0, seen = 0;
    int level = 0;
    for (size_t i = 0; i < 256; i++)
        n += counts[i];
    for (seen = counts[0]; (double)seen < share * (double)n; level++)
        seen += counts[level + 1];
    return level;
}

static bool find_ground(const struct sosie_image *photo, struct ground *ground)
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
    if ((double)n_near < border_share * (double)n)
        return false;
    ground->tolerance = MIN_TOLERANCE + quantile(distances, 0.9);
    return true;
}

/* ---- where is it? -------------------------------------------------------- */

static void map_release(struct map *map)
{
    free(map->states);
    free(map->places);
}

static bool map_make(struct map *map, const struct sosie_image *photo)
{
    *map = (struct map){.stride = (size_t)photo->width + 2};
    if (!sosie_size_mul(map->stride, (size_t)photo->height + 2, &map->n) ||
        map->n > UINT32_MAX)
        return false;
    map->states = malloc(map->n);
    map->places = malloc(map->n * sizeof(*map->places));
    return map->states && map->places;
}

static uint8_t *state_row(const struct map *map, size_t y)
{
    return map->states + (y + 1) * map->stride + 1;
}

static void mark_like(struct map *map, const struct sosie_image *photo,
                      const struct ground *ground)
{
    const uint8_t *at = photo->rgb;
    uint8_t near[3][256];
    for (size_t c = 0; c < 3; c++)
        for (int level = 0; level < 256; level++)
            near[c][level] =
                abs(level - ground->colour[c]) <= ground->tolerance;
    memset(map->states, OUTSIDE, map->n);
    for (size_t y = 0; y < photo->height; y++) {
        uint8_t *states = state_row(map, y);
        for (size_t x = 0; x < photo->width; x++, at += 3)
            states[x] =
                OTHER + (near[0][at[0]] & near[1][at[1]] & near[2][at[2]]);
    }
}

static void make_edge(struct map *map, size_t place)
{
    map->states[place] = EDGE;
    map->places[map->n - ++map->n_edges] = (uint32_t)place;
}

static void visit(struct map *map, size_t place)
{
    uint8_t *state = map->states + place;
    if (*state == LIKE) {
        *state = GROUND;
        map->places[map->n_ground++] = (uint32_t)place;
    } else if (*state == OTHER) {
        make_edge(map, place);
    }
}

static void flood(struct map *map, const struct sosie_image *photo)
{
    size_t top = map->stride + 1, bottom = photo->height * map->stride + 1;
    for (size_t x = 0; x < photo->width; x++) {
        if (map->states[top + x] == LIKE)
            visit(map, top + x);
        if (map->states[bottom + x] == LIKE)
            visit(map, bottom + x);
    }
    for (size_t at = top; at <= bottom; at += map->stride) {
        if (map->states[at] == LIKE)
            visit(map, at);
        if (map->states[at + photo->width - 1] == LIKE)
            visit(map, at + photo->width - 1);
    }
    for (size_t i = 0; i < map->n_ground; i++) {
        size_t place = map->places[i];
        visit(map, place - 1);
        visit(map, place + 1);
        visit(map, place - map->stride);
        visit(map, place + map->stride);
    }
}

static int distance_at(const struct map *map, const struct sosie_image *photo,
                       size_t place, const struct ground *ground)
{
    size_t y = place / map->stride - 1, x = place % map->stride - 1;
    return difference(photo->rgb + (y * photo->width + x) * 3, ground->colour);
}

static int ground_around(const struct map *map, size_t place)
{
    const uint8_t *at = map->states + place - map->stride - 1;
    int n = 0;
    for (size_t row = 0; row < 3; row++, at += map->stride)
        n += (at[0] == GROUND) + (at[1] == GROUND) + (at[2] == GROUND);
    return n;
}

/* A second row of edges behind a place's own; `most` is OTHER, or LIKE too. */
static void widen_edge(struct map *map, size_t place, enum state most)
{
    const size_t beside[] = {place - 1, place + 1, place - map->stride,
                             place + map->stride};
    for (size_t k = 0; k < 4; k++)
        if (map->states[beside[k]] <= most)
            make_edge(map, beside[k]);
}

/* JPEG leaves faint specks and fringes around a product. Those that most of
 * their neighbours are ground of become ground, a pixel deeper in each round; a
 * straight outline has three such neighbours and stays, and nothing floods
 * through a hole that is made here. */
static void clean(struct map *map, const struct sosie_image *photo,
                  const struct ground *ground)
{
    for (int round = 0; round < 4; round++) {
        size_t n = map->n_edges;
        for (size_t i = 0; i < n; i++) {
            size_t place = map->places[map->n - 1 - i];
            int around, most;
            if (map->states[place] != EDGE)
                continue;
            around = ground_around(map, place);
            most = around > 4 ? FAINT : VERY_FAINT;
            if (around < 4 || distance_at(map, photo, place, ground) > most)
                continue;
            map->states[place] = GROUND;
            widen_edge(map, place, LIKE);
        }
    }
}

/* How much the distance from the ground's colour changes around a place, two
 * pixels to each side. */
static int steepness(const struct map *map, const struct sosie_image *photo,
                     size_t place, const struct ground *ground)
{
    const size_t beside[] = {place - 1, place + 1, place - map->stride,
                             place + map->stride};
    int least = distance_at(map, photo, place, ground), most = least;
    for (size_t k = 0; k < 4; k++) {
        size_t at = beside[k];
        int d;
        if (map->states[at] == OUTSIDE)
            continue;
        at += at - place;
        if (map->states[at] == OUTSIDE)
            continue;
        d = distance_at(map, photo, at, ground);
        least = d < least ? d : least;
        most = larger(most, d);
    }
    return most - least;
}

/* Where a ground ends in a product there is a step. Where it only gets darker
 * there is none, and what was found is a part of it. */
static bool has_outline(const struct map *map, const struct sosie_image *photo,
                        const struct ground *ground)
{
    int enough = 2 * ground->tolerance + OUTLINE;
    size_t n = 0, n_steep = 0;
    for (size_t i = 0; i < map->n_edges; i++) {
        size_t place = map->places[map->n - 1 - i];
        if (map->states[place] != EDGE)
            continue;
        n++;
        n_steep += steepness(map, photo, place, ground) >= enough;
    }
    return (double)n_steep >= outline_share * (double)n;
}

static void widen_edges(struct map *map)
{
    size_t n = map->n_edges;
    for (size_t i = 0; i < n; i++)
        widen_edge(map, map->places[map->n - 1 - i], OTHER);
}

/* False if the ground is too little or too much of the photo, or fades away. */
static bool find_where(struct map *map, const struct sosie_image *photo,
                       const struct ground *ground)
{
    double share;
    mark_like(map, photo, ground);
    flood(map, photo);
    share = (double)map->n_ground / ((double)photo->width * photo->height);
    if (share < min_share || share > max_share)
        return false;
    clean(map, photo, ground);
    if (!has_outline(map, photo, ground))
        return false;
    widen_edges(map);
    return true;
}

/* ---- another ground ------------------------------------------------------ */

/* Colours at the crossings of a grid, and between them what is between: a plain
 * ground, light that falls off, blobs and streaks. */
enum { MAX_CELLS = 16 };
struct backdrop {
    uint32_t across, down; /* cells */
    uint8_t colours[MAX_CELLS + 1][MAX_CELLS + 1][3];
};

static int draw_int(struct sosie_random *random, int low, int high)
{
    return low + (int)sosie_random_below(random, (uint64_t)(high - low + 1));
}

static uint8_t clip(int level)
{
    return (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
}

/* Mostly what shops and homes have: light greys, then beiges and woods. */
static void draw_colour(struct sosie_random *random, int colour[3])
{
    int kind = draw_int(random, 0, 9);
    int level = draw_int(random, 120, 250);
    for (size_t c = 0; c < 3; c++) {
        int share = draw_int(random, 0, 100);
        if (kind < 5)
            colour[c] = level - 6 + share * 12 / 100;
        else if (kind < 8)
            colour[c] = level * (100 - (int)c * (6 + share / 10)) / 100;
        else
            colour[c] = (level + 30 + share * 2) / 2;
    }
}

static void draw_backdrop(struct sosie_random *random,
                          struct backdrop *backdrop)
{
    int colour[3], kind = draw_int(random, 0, 3); /* 0, 1: plain */
    int dx = draw_int(random, -60, 60), dy = draw_int(random, -60, 60);
    int rough = draw_int(random, 3, 24), tint = rough / 4;
    draw_colour(random, colour);
    backdrop->across = 1 + (uint32_t)draw_int(random, 1, MAX_CELLS - 1);
    backdrop->down = 1 + (uint32_t)draw_int(random, 1, MAX_CELLS - 1);
    if (kind < 2)
        dx = dy = 0;
    if (kind < 3)
        rough = tint = 0;
    for (uint32_t j = 0; j <= backdrop->down; j++)
        for (uint32_t i = 0; i <= backdrop->across; i++) {
            int light = 256 + dx * (int)i / (int)backdrop->across +
                        dy * (int)j / (int)backdrop->down - (dx + dy) / 2;
            int spot = draw_int(random, -rough, rough);
            for (size_t c = 0; c < 3; c++)
                backdrop->colours[j][i][c] =
                    clip(colour[c] * light / 256 + spot +
                         draw_int(random, -tint, tint));
        }
}

/* The grid's colours at row y of n, times 256. */
static void mix_down(const struct backdrop *backdrop, uint32_t y, uint32_t n,
                     int row[MAX_CELLS + 1][3])
{
    uint64_t at = (uint64_t)y * backdrop->down * 256 / n;
    uint32_t cell = (uint32_t)(at / 256);
    int far = (int)(at % 256);
    for (uint32_t i = 0; i <= backdrop->across; i++)
        for (size_t c = 0; c < 3; c++)
            row[i][c] = backdrop->colours[cell][i][c] * (256 - far) +
                        backdrop->colours[cell + 1][i][c] * far;
}

/* What brings a row from the photo's ground to the new one. */
static void mix_across(int row[MAX_CELLS + 1][3], uint32_t n_cells,
                       const struct ground *ground, uint32_t width,
                       int16_t *changes)
{
    for (uint32_t i = 0; i < n_cells; i++) {
        uint32_t x = (uint32_t)((uint64_t)i * width / n_cells);
        uint32_t end = (uint32_t)((uint64_t)(i + 1) * width / n_cells);
        int levels[3], steps[3];
        for (size_t c = 0; c < 3 && x < end; c++) {
            levels[c] = row[i][c] - ground->colour[c] * 256;
            steps[c] = (row[i + 1][c] - row[i][c]) / (int)(end - x);
        }
        for (; x < end; x++)
            for (size_t c = 0; c < 3; c++) {
                changes[(size_t)x * 3 + c] = (int16_t)(levels[c] / 256);
                levels[c] += steps[c];
            }
    }
}

/* How much of an edge pixel is ground, of 256: less, the further its colour is
 * from the ground's, of the furthest within two pixels. */
static int edge_cover(const struct sosie_image *photo, uint32_t x, uint32_t y,
                      const struct ground *ground)
{
    const uint8_t *at = photo->rgb + ((size_t)y * photo->width + x) * 3;
    uint32_t right = x + 2 < photo->width ? x + 2 : photo->width - 1;
    uint32_t bottom = y + 2 < photo->height ? y + 2 : photo->height - 1;
    int most = 1;
    for (uint32_t v = y < 2 ? 0 : y - 2; v <= bottom; v++)
        for (uint32_t u = x < 2 ? 0 : x - 2; u <= right; u++) {
            const uint8_t *near =
                photo->rgb + ((size_t)v * photo->width + u) * 3;
            most = larger(most, difference(near, ground->colour));
        }
    return 256 - 256 * difference(at, ground->colour) / most;
}

static void paint_row(const struct sosie_image *photo, uint32_t y,
                      const struct map *map, const struct ground *ground,
                      const int16_t *changes, uint8_t *to)
{
    const uint8_t *states = state_row(map, y);
    for (uint32_t x = 0; x < photo->width; x++, changes += 3, to += 3) {
        if (states[x] == GROUND) {
            for (size_t c = 0; c < 3; c++)
                to[c] = clip(to[c] + changes[c]);
        } else if (states[x] == EDGE) {
            int cover = edge_cover(photo, x, y, ground);
            for (size_t c = 0; c < 3; c++)
                to[c] = clip(to[c] + cover * changes[c] / 256);
        }
    }
}

static enum sosie_status
paint(const struct sosie_image *photo, const struct map *map,
      const struct ground *ground, const struct backdrop *backdrop,
      struct sosie_image *changed, struct sosie_error *err)
{
    size_t stride = (size_t)photo->width * 3;
    uint8_t *rgb = malloc(stride * photo->height);
    int16_t *changes = malloc(stride * sizeof(*changes));
    if (!rgb || !changes) {
        free(rgb);
        free(changes);
        return sosie_fail(err, SOSIE_NO_MEMORY, "background of %ux%u",
                          photo->width, photo->height);
    }
    memcpy(rgb, photo->rgb, stride * photo->height);
    for (uint32_t y = 0; y < photo->height; y++) {
        int row[MAX_CELLS + 1][3];
        mix_down(backdrop, y, photo->height, row);
        mix_across(row, backdrop->across, ground, photo->width, changes);
        paint_row(photo, y, map, ground, changes, rgb + y * stride);
    }
    free(changes);
    *changed = (struct sosie_image){photo->width, photo->height, rgb};
    return SOSIE_OK;
}

enum sosie_status sosie_photo_replace_background(
    const struct sosie_image *photo, struct sosie_random *random,
    struct sosie_image *changed, struct sosie_error *err)
{
    struct ground ground;
    struct backdrop backdrop;
    struct map map;
    enum sosie_status st = SOSIE_OK;
    if (!find_ground(photo, &ground))
        return SOSIE_OK;
    if (!map_make(&map, photo)) {
        st = sosie_fail(err, SOSIE_NO_MEMORY, "background of %ux%u",
                        photo->width, photo->height);
        goto out;
    }
    if (find_where(&map, photo, &ground)) {
        draw_backdrop(random, &backdrop);
        st = paint(photo, &map, &ground, &backdrop, changed, err);
    }
out:
    map_release(&map);
    return st;
}
