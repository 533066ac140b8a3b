/* The resize: Pillow's, its definition, and its edges. */
#include "pictures.h"

#include "base/random.h"

#include <math.h>

static void fit(const struct sosie_image *image, enum sosie_fit how,
                struct sosie_image *to)
{
    struct sosie_error err;
    check_ok(sosie_image_fit(image, how, to->width, to->height, to->rgb, &err),
             &err);
}

/* tools/golden/fit.py prints these, and says with which Pillow. */
static const struct {
    uint32_t width, height;
    const uint8_t *rgb;
} goldens[] = {
    {4, 3, (const uint8_t[]){116, 132, 141, 125, 133, 138, 121, 128, 134,
                             122, 138, 128, 124, 141, 123, 143, 135, 123,
                             130, 133, 119, 138, 127, 132, 125, 117, 142,
                             130, 121, 129, 126, 126, 125, 131, 104, 144}},
    {3, 11,
     (const uint8_t[]){76,  129, 167, 123, 118, 126, 112, 165, 118, 119, 138,
                       141, 119, 130, 144, 111, 129, 133, 132, 133, 126, 126,
                       131, 140, 124, 124, 129, 127, 132, 131, 136, 129, 127,
                       132, 138, 130, 126, 142, 143, 141, 131, 121, 131, 147,
                       145, 148, 138, 118, 148, 133, 123, 143, 133, 139, 123,
                       139, 106, 124, 140, 125, 124, 119, 100, 108, 150, 120,
                       141, 134, 111, 136, 112, 116, 115, 128, 138, 142, 117,
                       126, 137, 106, 142, 134, 99,  147, 122, 112, 144, 126,
                       107, 151, 146, 111, 148, 105, 140, 116, 122, 117, 139}},
    {17, 2,
     (const uint8_t[]){
         94,  147, 121, 116, 130, 134, 124, 128, 139, 122, 139, 133, 135,
         134, 124, 135, 126, 160, 128, 146, 135, 133, 154, 102, 173, 89,
         142, 109, 130, 133, 107, 135, 127, 124, 128, 130, 128, 125, 142,
         124, 140, 122, 135, 127, 125, 133, 133, 131, 116, 165, 132, 122,
         135, 138, 116, 118, 132, 121, 127, 136, 130, 150, 140, 118, 131,
         121, 144, 101, 135, 136, 126, 114, 123, 153, 101, 152, 108, 161,
         137, 126, 129, 120, 138, 107, 115, 137, 109, 130, 120, 139, 143,
         114, 119, 141, 105, 137, 132, 106, 152, 124, 116, 151}},
    {1, 1, (const uint8_t[]){128, 130, 130}},
};

static void a_fit_equals_pillows_within_a_level(void **state)
{
    struct sosie_image picture = picture_make(13, 9);
    (void)state;
    for (uint32_t y = 0; y < 9; y++)
        for (uint32_t x = 0; x < 13; x++)
            for (uint32_t c = 0; c < 3; c++)
                pixel_at(&picture, x, y)[c] =
                    (uint8_t)(x * 37 + y * 91 + c * 53 + x * y * 7);
    for (size_t i = 0; i < sizeof(goldens) / sizeof(*goldens); i++) {
        struct sosie_image to =
            picture_make(goldens[i].width, goldens[i].height);
        fit(&picture, SOSIE_FIT_SQUASH, &to);
        for (size_t p = 0; p < (size_t)to.width * to.height; p++)
            assert_near(to.rgb + p * 3, goldens[i].rgb + p * 3, 1);
        sosie_image_release(&to);
    }
    sosie_image_release(&picture);
}

/* The triangle's weight of source pixel `at` for result pixel `i`, where the
 * result is of the part that begins at `start` and is `length` pixels long. */
static double triangle(uint32_t i, uint32_t to, uint32_t at, double start,
                       double length)
{
    double scale = length / to, support = scale > 1 ? scale : 1;
    double weight = 1 - fabs((at + 0.5 - start - (i + 0.5) * scale) / support);
    return weight > 0 ? weight : 0;
}

/* The definition: every source pixel, weighed for every result pixel. */
static void naive_fit(const struct sosie_image *image,
                      const struct sosie_crop *part, struct sosie_image *to)
{
    double left = part->x * image->width, width = part->w * image->width;
    double top = part->y * image->height, height = part->h * image->height;
    for (uint32_t y = 0; y < to->height; y++)
        for (uint32_t x = 0; x < to->width; x++) {
            double sums[3] = {0}, weights = 0;
            for (uint32_t v = 0; v < image->height; v++)
                for (uint32_t u = 0; u < image->width; u++) {
                    double weight = triangle(y, to->height, v, top, height) *
                                    triangle(x, to->width, u, left, width);
                    weights += weight;
                    for (size_t c = 0; c < 3; c++)
                        sums[c] += weight * pixel_at(image, u, v)[c];
                }
            for (size_t c = 0; c < 3; c++)
                pixel_at(to, x, y)[c] = (uint8_t)(sums[c] / weights + 0.5);
        }
}

static void a_fit_equals_its_definition(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 14);
    for (unsigned i = 0; i < 60; i++) {
        uint32_t side[4];
        struct sosie_image picture, expected, found;
        for (size_t k = 0; k < 4; k++)
            side[k] = 1 + (uint32_t)sosie_random_below(&random, 40);
        picture = picture_noise(side[0], side[1], i);
        expected = picture_make(side[2], side[3]);
        found = picture_make(side[2], side[3]);
        naive_fit(&picture, &(struct sosie_crop){0, 0, 1, 1}, &expected);
        fit(&picture, SOSIE_FIT_SQUASH, &found);
        assert_same(&found, &expected, 1);
        sosie_image_release(&picture);
        sosie_image_release(&expected);
        sosie_image_release(&found);
    }
}

static void a_part_equals_its_definition(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 16);
    for (unsigned i = 0; i < 200; i++) {
        uint32_t side[4];
        struct sosie_image picture, expected, found;
        struct sosie_crop part = {.w = 1e-6 + sosie_random_unit(&random),
                                  .h = 1e-6 + sosie_random_unit(&random)};
        struct sosie_error err;
        for (size_t k = 0; k < 4; k++)
            side[k] = 1 + (uint32_t)sosie_random_below(&random, 20);
        part.w = fmin(part.w, 1);
        part.h = fmin(part.h, 1);
        part.x = sosie_random_unit(&random) * (1 - part.w);
        part.y = i % 3 ? 1 - part.h : 0;
        picture = picture_noise(side[0], side[1], i);
        expected = picture_make(side[2], side[3]);
        found = picture_make(side[2], side[3]);
        naive_fit(&picture, &part, &expected);
        check_ok(sosie_image_resize(&picture, &part, side[2], side[3],
                                    found.rgb, &err),
                 &err);
        assert_same(&found, &expected, 1);
        sosie_image_release(&picture);
        sosie_image_release(&expected);
        sosie_image_release(&found);
    }
}

static void a_part_of_whole_pixels_at_its_own_size_is_cut_out(void **state)
{
    struct sosie_image picture = picture_noise(16, 8, 17),
                       to = picture_make(4, 2);
    struct sosie_error err;
    (void)state;
    check_ok(sosie_image_resize(&picture,
                                &(struct sosie_crop){0.5, 0.25, 0.25, 0.25}, 4,
                                2, to.rgb, &err),
             &err);
    for (uint32_t y = 0; y < 2; y++)
        assert_memory_equal(pixel_at(&to, 0, y), pixel_at(&picture, 8, 2 + y),
                            12);
    sosie_image_release(&picture);
    sosie_image_release(&to);
}

static void a_picture_of_the_right_size_stays_as_it_is(void **state)
{
    struct sosie_image picture = picture_noise(31, 17, 15),
                       to = picture_make(31, 17);
    (void)state;
    fit(&picture, SOSIE_FIT_SQUASH, &to);
    assert_same(&to, &picture, 0);
    fit(&picture, SOSIE_FIT_LETTERBOX, &to);
    assert_same(&to, &picture, 0);
    sosie_image_release(&picture);
    sosie_image_release(&to);
}

static void one_colour_stays_that_colour_at_any_size(void **state)
{
    static const uint32_t sizes[][4] = {
        {1, 1, 224, 224}, {65535, 1, 3, 5}, {1, 65535, 5, 3}, {300, 200, 1, 1}};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct sosie_image picture = picture_make(sizes[i][0], sizes[i][1]);
        struct sosie_image to = picture_make(sizes[i][2], sizes[i][3]);
        for (size_t p = 0; p < (size_t)picture.width * picture.height; p++)
            memcpy(picture.rgb + p * 3, (uint8_t[]){255, 0, 131}, 3);
        fit(&picture, SOSIE_FIT_SQUASH, &to);
        for (size_t p = 0; p < (size_t)to.width * to.height; p++)
            assert_near(to.rgb + p * 3, (uint8_t[]){255, 0, 131}, 0);
        sosie_image_release(&picture);
        sosie_image_release(&to);
    }
}

static void a_letterbox_keeps_the_shape_and_fills_with_white(void **state)
{
    static const uint8_t white[] = {255, 255, 255};
    struct sosie_image tall = picture_quadrants(20, 40),
                       wide = picture_quadrants(80, 20),
                       to = picture_make(40, 40);
    (void)state;
    fit(&tall, SOSIE_FIT_LETTERBOX, &to);
    for (uint32_t y = 0; y < 40; y++)
        for (uint32_t x = 0; x < 40; x++)
            if (x < 10 || x >= 30)
                assert_near(pixel_at(&to, x, y), white, 0);
            else if (x != 19 && x != 20 && y != 19 && y != 20)
                assert_near(pixel_at(&to, x, y),
                            quadrant_colours[(y >= 20) * 2 + (x >= 20)], 0);
    fit(&wide, SOSIE_FIT_LETTERBOX, &to);
    for (uint32_t x = 0; x < 40; x++) {
        assert_near(pixel_at(&to, x, 14), white, 0);
        assert_near(pixel_at(&to, x, 25), white, 0);
    }
    assert_near(pixel_at(&to, 5, 16), quadrant_colours[0], 0);
    assert_near(pixel_at(&to, 35, 24), quadrant_colours[3], 0);
    sosie_image_release(&tall);
    sosie_image_release(&wide);
    sosie_image_release(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fit_equals_pillows_within_a_level),
        cmocka_unit_test(a_fit_equals_its_definition),
        cmocka_unit_test(a_part_equals_its_definition),
        cmocka_unit_test(a_part_of_whole_pixels_at_its_own_size_is_cut_out),
        cmocka_unit_test(a_picture_of_the_right_size_stays_as_it_is),
        cmocka_unit_test(one_colour_stays_that_colour_at_any_size),
        cmocka_unit_test(a_letterbox_keeps_the_shape_and_fills_with_white),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
