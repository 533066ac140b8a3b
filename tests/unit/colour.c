/* colour.c: what the colour histogram tells apart, and what it leaves out. */
#include "check.h"

#include "image/colour.h"

#include <math.h>
#include <stdbool.h>

struct rgb {
    uint8_t r, g, b;
};
static const struct rgb WHITE = {255, 255, 255}, GREY = {150, 150, 150},
                        RED = {200, 20, 30}, DARK_RED = {140, 10, 20},
                        BLUE = {20, 40, 190};

/* A garment of one colour in the middle of a plain background. */
static void describe(struct rgb garment, struct rgb background, uint32_t side,
                     float histogram[SOSIE_COLOUR_DIM])
{
    struct sosie_image image = {side, side, malloc((size_t)side * side * 3)};
    assert_non_null(image.rgb);
    for (uint32_t i = 0; i < side * side; i++) {
        uint32_t x = i % side, y = i / side, rim = side / 5;
        bool inside = x >= rim && x < side - rim && y >= rim && y < side - rim;
        memcpy(image.rgb + (size_t)i * 3, inside ? &garment : &background, 3);
    }
    sosie_colour_histogram(&image, histogram);
    sosie_image_release(&image);
}

static double likeness(const float *a, const float *b)
{
    double dot = 0;
    for (size_t i = 0; i < SOSIE_COLOUR_DIM; i++)
        dot += (double)a[i] * (double)b[i];
    return dot;
}

static void histograms_have_unit_length(void **state)
{
    const struct rgb colours[] = {WHITE, GREY, RED, BLUE, {0, 0, 0}};
    float histogram[SOSIE_COLOUR_DIM];
    (void)state;
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < 5; j++) {
            describe(colours[i], colours[j], 40, histogram);
            assert_true(fabs(likeness(histogram, histogram) - 1) < 1e-5);
        }
}

static void hues_are_told_apart_and_shades_are_between(void **state)
{
    float red[SOSIE_COLOUR_DIM], dark[SOSIE_COLOUR_DIM], blue[SOSIE_COLOUR_DIM];
    (void)state;
    describe(RED, WHITE, 64, red);
    describe(DARK_RED, WHITE, 64, dark);
    describe(BLUE, WHITE, 64, blue);
    assert_true(likeness(red, blue) < 0.1);
    assert_true(likeness(red, dark) > 0.5);
    assert_true(likeness(red, dark) < 0.99);
}

static void the_background_counts_little(void **state)
{
    float on_white[SOSIE_COLOUR_DIM], on_grey[SOSIE_COLOUR_DIM],
        on_blue[SOSIE_COLOUR_DIM], white[SOSIE_COLOUR_DIM];
    (void)state;
    describe(RED, WHITE, 64, on_white);
    describe(RED, GREY, 64, on_grey);
    describe(RED, BLUE, 64, on_blue);
    describe(WHITE, WHITE, 64, white);
    assert_true(likeness(on_white, on_grey) > 0.95);
    assert_true(likeness(on_white, on_blue) > 0.95);
    assert_true(likeness(on_white, white) < 0.2);
}

/* Nothing stands out from the background, so that is what there is. */
static void a_white_garment_on_white_is_white(void **state)
{
    float white[SOSIE_COLOUR_DIM], on_grey[SOSIE_COLOUR_DIM];
    (void)state;
    describe(WHITE, WHITE, 64, white);
    describe(WHITE, GREY, 64, on_grey);
    assert_true(likeness(white, on_grey) > 0.95);
}

static void the_size_of_the_photo_does_not_matter(void **state)
{
    float large[SOSIE_COLOUR_DIM], small[SOSIE_COLOUR_DIM],
        tiny[SOSIE_COLOUR_DIM];
    (void)state;
    describe(RED, WHITE, 400, large);
    describe(RED, WHITE, 40, small);
    describe(RED, RED, 1, tiny);
    assert_true(likeness(large, small) > 0.95);
    assert_true(likeness(large, tiny) > 0.95);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histograms_have_unit_length),
        cmocka_unit_test(hues_are_told_apart_and_shades_are_between),
        cmocka_unit_test(the_background_counts_little),
        cmocka_unit_test(a_white_garment_on_white_is_white),
        cmocka_unit_test(the_size_of_the_photo_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
