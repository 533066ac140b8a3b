/* pictures.h: pictures that the tests make and compare. They are `struct
 * sosie_image`, so that what went in compares with what comes out. */
#ifndef SOSIE_TESTS_PICTURES_H
#define SOSIE_TESTS_PICTURES_H

#include "check.h"

#include "image/image.h"

static inline struct sosie_image picture_make(uint32_t width, uint32_t height)
{
    struct sosie_image picture = {width, height,
                                  calloc((size_t)width * height, 3)};
    assert_non_null(picture.rgb);
    return picture;
}

static inline uint8_t *pixel_at(const struct sosie_image *picture, uint32_t x,
                                uint32_t y)
{
    return picture->rgb + ((size_t)y * picture->width + x) * 3;
}

enum { N_QUADRANTS = 4 };
static const uint8_t quadrant_colours[N_QUADRANTS][3] = {
    {220, 30, 40}, {20, 180, 60}, {30, 60, 200}, {60, 40, 30}};

/* Red, green over blue, brown. */
static inline struct sosie_image picture_quadrants(uint32_t width,
                                                   uint32_t height)
{
    struct sosie_image picture = picture_make(width, height);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            memcpy(pixel_at(&picture, x, y),
                   quadrant_colours[(y >= height / 2) * 2 + (x >= width / 2)],
                   3);
    return picture;
}

/* Every level and every step between neighbours. */
static inline struct sosie_image picture_noise(uint32_t width, uint32_t height,
                                               uint64_t seed)
{
    struct sosie_image picture = picture_make(width, height);
    for (size_t i = 0; i < (size_t)width * height * 3; i++) {
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        picture.rgb[i] = (uint8_t)(seed >> 56);
    }
    return picture;
}

static inline void assert_near(const uint8_t *found, const uint8_t *expected,
                               int tolerance)
{
    for (size_t c = 0; c < 3; c++)
        if (abs(found[c] - expected[c]) > tolerance)
            fail_msg("pixel %d %d %d, expected %d %d %d within %d", found[0],
                     found[1], found[2], expected[0], expected[1], expected[2],
                     tolerance);
}

static inline void assert_same(const struct sosie_image *found,
                               const struct sosie_image *expected,
                               int tolerance)
{
    assert_int_equal(found->width, expected->width);
    assert_int_equal(found->height, expected->height);
    for (uint32_t y = 0; y < expected->height; y++)
        for (uint32_t x = 0; x < expected->width; x++)
            assert_near(pixel_at(found, x, y), pixel_at(expected, x, y),
                        tolerance);
}

#endif
