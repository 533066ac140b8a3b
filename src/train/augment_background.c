/* augment_background.c: a product on a plain ground, as if it lay elsewhere.
 *
 * What the new ground differs by from the old is added to each pixel, as far as
 * the pixel is ground: noise and faint shadows stay, and an edge that was soft
 * on the old ground is as soft on the new. */
#include "train/augment_private.h"

#include "train/augment_ground.h"

#include <stdlib.h>
#include <string.h>

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
                       const struct sosie_ground *ground, uint32_t width,
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

static void add(uint8_t *restrict row, const int16_t *restrict changes,
                size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int16_t level = (int16_t)(row[i] + changes[i]);
        level = level < 0 ? 0 : level;
        row[i] = (uint8_t)(level > 255 ? 255 : level);
    }
}

static void paint_row(const struct sosie_ground *ground, uint32_t y,
                      const int16_t *changes, uint8_t *row, size_t width)
{
    size_t first = sosie_ground_place(ground, 0, y);
    for (size_t x = 0, n; x < width; x += n) {
        for (n = 0; ground->states[first + x + n] == SOSIE_GROUND;)
            n++; /* the margin ends it */
        add(row + x * 3, changes + x * 3, n * 3);
        if (!n) {
            int cover = sosie_ground_cover(ground, first + x);
            for (size_t i = x * 3; i < x * 3 + 3 && cover; i++)
                row[i] = clip(row[i] + cover * changes[i] / 256);
            n = 1;
        }
    }
}

static enum sosie_status paint(const struct sosie_ground *ground,
                               const struct backdrop *backdrop,
                               struct sosie_image *picture,
                               struct sosie_error *err)
{
    size_t stride = (size_t)picture->width * 3;
    int16_t *changes = malloc(stride * sizeof(*changes));
    int row[MAX_CELLS + 1][3] = {0}, before[MAX_CELLS + 1][3] = {0};
    if (!changes)
        return sosie_fail(err, SOSIE_NO_MEMORY, "row of %u pixels",
                          picture->width);
    for (uint32_t y = 0; y < picture->height; y++) {
        mix_down(backdrop, y, picture->height, row);
        if (!y || memcmp(row, before, sizeof(row)))
            mix_across(row, backdrop->across, ground, picture->width, changes);
        memcpy(before, row, sizeof(row));
        paint_row(ground, y, changes, picture->rgb + y * stride,
                  picture->width);
    }
    free(changes);
    return SOSIE_OK;
}

static enum sosie_status copy(const struct sosie_image *photo,
                              struct sosie_image *to, struct sosie_error *err)
{
    size_t size = (size_t)photo->width * photo->height * 3;
    *to = (struct sosie_image){photo->width, photo->height, malloc(size)};
    if (!to->rgb)
        return sosie_fail(err, SOSIE_NO_MEMORY, "photo of %ux%u pixels",
                          photo->width, photo->height);
    memcpy(to->rgb, photo->rgb, size);
    return SOSIE_OK;
}

enum sosie_status sosie_photo_replace_background(
    const struct sosie_image *photo, struct sosie_random *random,
    struct sosie_image *changed, struct sosie_error *err)
{
    struct sosie_ground ground;
    struct backdrop backdrop;
    struct sosie_image picture = {0};
    bool found;
    enum sosie_status st = sosie_ground_find(&ground, photo, &found, err);
    if (st)
        return st;
    if (!found)
        goto out;
    st = copy(photo, &picture, err);
    if (st)
        goto out;
    draw_backdrop(random, &backdrop);
    st = paint(&ground, &backdrop, &picture, err);
    if (st)
        goto out;
    *changed = picture;
    picture.rgb = NULL; /* ownership has moved to the caller */
out:
    sosie_image_release(&picture);
    sosie_ground_release(&ground);
    return st;
}
