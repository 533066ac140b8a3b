/* Views: each change alone does what it says, all of them together stay within
 * the photo and are the same for the same seed. */
#include "pictures.h"

#include "train/augment.h"

#include <math.h>
#include <stdbool.h>

enum { SIDE = 48 };

static struct sosie_augmentation none(void)
{
    return sosie_augmentation_none();
}

/* `to` is as large as the view. */
static void view(const struct sosie_augmentation *augmentation,
                 const struct sosie_image *photo, uint64_t seed,
                 enum sosie_fit fit, struct sosie_image *to)
{
    struct sosie_random random;
    struct sosie_error err;
    sosie_random_seed(&random, seed);
    check_ok(sosie_augment(augmentation, photo, &random, fit, to->width,
                           to->height, to->rgb, &err),
             &err);
}

/* A view of the photo's own size. */
static struct sosie_image view_alike(struct sosie_augmentation augmentation,
                                     const struct sosie_image *photo,
                                     uint64_t seed)
{
    struct sosie_image to = picture_make(photo->width, photo->height);
    view(&augmentation, photo, seed, SOSIE_FIT_SQUASH, &to);
    return to;
}

static bool same(const struct sosie_image *a, const struct sosie_image *b)
{
    return a->width == b->width && a->height == b->height &&
           !memcmp(a->rgb, b->rgb, (size_t)a->width * a->height * 3);
}

static double luma(const uint8_t *pixel)
{
    return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
}

/* Colours that no change of colour clips. */
static struct sosie_image picture_muted(uint32_t width, uint32_t height)
{
    struct sosie_image picture = picture_noise(width, height, 3);
    for (size_t i = 0; i < (size_t)width * height * 3; i++)
        picture.rgb[i] = (uint8_t)(104 + picture.rgb[i] % 48);
    return picture;
}

/* A garment, blue with a white belt, and a hole through it, on an almost plain
 * ground. */
enum { GARMENT_LEFT = 14, GARMENT_RIGHT = 34, HOLE = 20, HOLE_END = 26 };

static bool in_garment(uint32_t x, uint32_t y)
{
    return x >= GARMENT_LEFT && x < GARMENT_RIGHT && y >= GARMENT_LEFT &&
           y < GARMENT_RIGHT;
}

static struct sosie_image picture_garment(uint8_t ground)
{
    struct sosie_image picture = picture_noise(SIDE, SIDE, 4);
    for (uint32_t y = 0; y < SIDE; y++)
        for (uint32_t x = 0; x < SIDE; x++) {
            uint8_t *pixel = pixel_at(&picture, x, y);
            bool hole = x >= HOLE && x < HOLE_END && y >= HOLE && y < HOLE_END;
            if (!in_garment(x, y) || hole)
                for (size_t c = 0; c < 3; c++)
                    pixel[c] = (uint8_t)(ground - pixel[c] % 3);
            else
                memcpy(pixel, (uint8_t[]){30, 40, 120}, 3);
        }
    return picture;
}

/* ---- as a whole ---------------------------------------------------------- */

static void a_view_of_no_change_is_a_fit(void **state)
{
    struct sosie_augmentation augmentation = none();
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 1);
    for (unsigned i = 0; i < 100; i++) {
        enum sosie_fit fit = i % 2 ? SOSIE_FIT_SQUASH : SOSIE_FIT_LETTERBOX;
        struct sosie_image photo, found, expected;
        struct sosie_error err;
        uint32_t side[4];
        for (size_t k = 0; k < 4; k++)
            side[k] = 1 + (uint32_t)sosie_random_below(&random, 50);
        photo = picture_noise(side[0], side[1], i);
        found = picture_make(side[2], side[3]);
        expected = picture_make(side[2], side[3]);
        view(&augmentation, &photo, i, fit, &found);
        check_ok(
            sosie_image_fit(&photo, fit, side[2], side[3], expected.rgb, &err),
            &err);
        assert_true(same(&found, &expected));
        sosie_image_release(&photo);
        sosie_image_release(&found);
        sosie_image_release(&expected);
    }
}

static void a_view_depends_on_its_seed_alone(void **state)
{
    struct sosie_image photo = picture_garment(250);
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sosie_augmentation shape = sosie_augmentation_shape();
        struct sosie_image a = view_alike(shape, &photo, seed);
        struct sosie_image b = view_alike(shape, &photo, seed);
        struct sosie_image c = view_alike(shape, &photo, seed + 1);
        assert_true(same(&a, &b));
        assert_false(same(&a, &c));
        sosie_image_release(&a);
        sosie_image_release(&b);
        sosie_image_release(&c);
    }
    sosie_image_release(&photo);
}

/* What training learns from must not depend on the machine. JPEG is left out:
 * libraries may differ by a level. */
static void a_view_is_the_same_on_every_machine(void **state)
{
    struct sosie_image photo = picture_garment(250);
    struct sosie_augmentation augmentation = sosie_augmentation_shape();
    uint64_t hash = 14695981039346656037U; /* FNV-1a */
    (void)state;
    augmentation.jpeg = 0;
    augmentation.blur = augmentation.background = 0.5F;
    augmentation.crop = 0.4F;
    augmentation.erase = 0.25F;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sosie_image made = view_alike(augmentation, &photo, seed);
        for (size_t i = 0; i < (size_t)SIDE * SIDE * 3; i++)
            hash = (hash ^ made.rgb[i]) * 1099511628211U;
        sosie_image_release(&made);
    }
    sosie_image_release(&photo);
    assert_int_equal(hash, 0x25c10bcf3dfb48fU);
}

/* With every change made, of photos and to views of any shape; ASan looks for
 * what is read or written beside them. */
static void photos_and_views_may_have_any_size(void **state)
{
    static const uint32_t odd[][4] = {
        {1, 1, 1, 1},   {1, 1, 64, 64},   {1, 300, 7, 9},    {300, 1, 9, 7},
        {2, 2, 33, 17}, {300, 200, 1, 1}, {3, 2000, 20, 20}, {2000, 3, 20, 1}};
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 2);
    for (unsigned i = 0; i < 600; i++) {
        struct sosie_augmentation all = sosie_augmentation_shape();
        struct sosie_image photo, found;
        uint32_t side[4];
        for (size_t k = 0; k < 4; k++)
            side[k] = i < 80 ? odd[i / 10][k]
                             : 1 + (uint32_t)sosie_random_below(&random, 40);
        all.crop = i % 7 ? 0.01F : 1;
        all.blur = all.jpeg = all.erase = all.background = 1;
        photo = picture_noise(side[0], side[1], i);
        found = picture_make(side[2], side[3]);
        if (i % 2) /* plain, with something in it */
            for (size_t p = 0; p < (size_t)side[0] * side[1] * 3; p++)
                if (p % 90 > 20)
                    photo.rgb[p] = 240;
        view(&all, &photo, i, i % 3 ? SOSIE_FIT_SQUASH : SOSIE_FIT_LETTERBOX,
             &found);
        sosie_image_release(&photo);
        sosie_image_release(&found);
    }
}

static void margins_stay_white_whatever_changes(void **state)
{
    struct sosie_image photo = picture_noise(20, 80, 5);
    struct sosie_image to = picture_make(64, 64);
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct sosie_augmentation shape = sosie_augmentation_shape();
        shape.crop = 1;
        shape.blur = shape.jpeg = 0.5F;
        view(&shape, &photo, seed, SOSIE_FIT_LETTERBOX, &to);
        for (uint32_t y = 0; y < 64; y++)
            for (uint32_t x = 0; x < 64; x++)
                if (x < 24 || x >= 40)
                    assert_near(pixel_at(&to, x, y), (uint8_t[]){255, 255, 255},
                                0);
    }
    sosie_image_release(&photo);
    sosie_image_release(&to);
}

static void what_tells_colours_apart_is_shown_them_as_they_are(void **state)
{
    struct sosie_augmentation colour = sosie_augmentation_colour();
    struct sosie_augmentation shape = sosie_augmentation_shape();
    (void)state;
    assert_true(colour.hue == 0 && colour.grey == 0);
    assert_true(colour.saturation <= 0.2F && shape.saturation >= 0.4F);
    assert_true(shape.hue == 0.5F && shape.grey == 0.1F);
}

/* ---- crop, flip, erase --------------------------------------------------- */

/* Red grows with x, green with y: what is seen tells where it lies. */
static void a_crop_has_its_share_and_shape_and_stays_inside(void **state)
{
    enum { N = 128 };
    struct sosie_image photo = picture_make(N, N);
    struct sosie_augmentation crop = none();
    double least = 1, widest = 1;
    (void)state;
    crop.crop = 0.3F;
    for (uint32_t y = 0; y < N; y++)
        for (uint32_t x = 0; x < N; x++) {
            pixel_at(&photo, x, y)[0] = (uint8_t)(x * 2);
            pixel_at(&photo, x, y)[1] = (uint8_t)(y * 2);
        }
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sosie_image found = view_alike(crop, &photo, seed);
        const uint8_t *first = found.rgb,
                      *last = pixel_at(&found, N - 1, N - 1);
        double w = (last[0] - first[0]) / 254.0,
               h = (last[1] - first[1]) / 254.0;
        assert_true(w > 0 && h > 0);
        assert_true(w * h > 0.27 && w * h <= 1);
        assert_true(w / h < 1.4 && h / w < 1.4);
        least = fmin(least, w * h);
        widest = fmax(widest, w / h);
        sosie_image_release(&found);
    }
    assert_true(least < 0.4 && widest > 1.2);
    sosie_image_release(&photo);
}

static void a_flip_twice_is_none(void **state)
{
    (void)state;
    for (uint32_t width = 1; width < 6; width++) {
        struct sosie_augmentation flip = none();
        struct sosie_image photo = picture_noise(width, 3, 6), once, twice;
        flip.flip = 1;
        once = view_alike(flip, &photo, 1);
        twice = view_alike(flip, &once, 2);
        assert_true(same(&twice, &photo));
        assert_near(pixel_at(&once, 0, 1), pixel_at(&photo, width - 1, 1), 0);
        sosie_image_release(&photo);
        sosie_image_release(&once);
        sosie_image_release(&twice);
    }
}

static void what_is_erased_is_a_rectangle_of_2_to_25_percent(void **state)
{
    enum { N = 100 };
    struct sosie_image photo = picture_make(N, N);
    struct sosie_augmentation erase = none();
    (void)state;
    erase.erase = 1;
    for (size_t i = 0; i < N * N; i++)
        memcpy(photo.rgb + i * 3, (uint8_t[]){200, 10, 10}, 3);
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sosie_image found = view_alike(erase, &photo, seed);
        uint32_t left = N, right = 0, top = N, bottom = 0, n = 0;
        for (uint32_t y = 0; y < N; y++)
            for (uint32_t x = 0; x < N; x++) {
                const uint8_t *pixel = pixel_at(&found, x, y);
                if (pixel[0] != pixel[1])
                    continue;
                n++;
                left = x < left ? x : left;
                right = x > right ? x : right;
                top = y < top ? y : top;
                bottom = y > bottom ? y : bottom;
            }
        assert_int_equal(n, (right - left + 1) * (bottom - top + 1));
        assert_in_range(n, N * N * 17 / 1000, N * N / 4);
        sosie_image_release(&found);
    }
    sosie_image_release(&photo);
}

/* ---- colours ------------------------------------------------------------- */

static void brightness_is_a_factor_within_its_bounds(void **state)
{
    struct sosie_image photo = picture_make(4, 4);
    struct sosie_augmentation light = none();
    uint8_t darkest = 255, lightest = 0;
    (void)state;
    memset(photo.rgb, 100, 48);
    light.brightness = 0.4F;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct sosie_image found = view_alike(light, &photo, seed);
        for (size_t i = 0; i < 48; i++)
            assert_int_equal(found.rgb[i], found.rgb[0]);
        darkest = found.rgb[0] < darkest ? found.rgb[0] : darkest;
        lightest = found.rgb[0] > lightest ? found.rgb[0] : lightest;
        sosie_image_release(&found);
    }
    assert_in_range(darkest, 60, 63);
    assert_in_range(lightest, 137, 140);
    sosie_image_release(&photo);
}

static void contrast_keeps_the_mean_and_moves_the_rest(void **state)
{
    struct sosie_image photo = picture_make(2, 2);
    struct sosie_augmentation contrast = none();
    int least = 255, most = 0;
    (void)state;
    memset(photo.rgb, 80, 6);
    memset(photo.rgb + 6, 120, 6);
    contrast.contrast = 0.5F;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct sosie_image found = view_alike(contrast, &photo, seed);
        int step = found.rgb[6] - found.rgb[0];
        assert_in_range(found.rgb[0] + found.rgb[6], 199, 201);
        least = step < least ? step : least;
        most = step > most ? step : most;
        sosie_image_release(&found);
    }
    assert_in_range(least, 20, 22);
    assert_in_range(most, 58, 60);
    sosie_image_release(&photo);
}

static void hue_and_saturation_keep_luma_and_leave_greys_alone(void **state)
{
    struct sosie_image photo = picture_muted(16, 16);
    struct sosie_augmentation hue = none();
    bool changes = false;
    (void)state;
    hue.hue = 0.5F;
    hue.saturation = 0.8F;
    memset(photo.rgb, 90, 3);
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sosie_image found = view_alike(hue, &photo, seed);
        for (size_t i = 0; i < 256 * 3; i += 3) {
            if (fabs(luma(found.rgb + i) - luma(photo.rgb + i)) > 1)
                fail_msg("luma %g, expected %g", luma(found.rgb + i),
                         luma(photo.rgb + i));
            changes |= abs(found.rgb[i] - photo.rgb[i]) > 20;
        }
        assert_near(found.rgb, photo.rgb, 0);
        sosie_image_release(&found);
    }
    assert_true(changes);
    sosie_image_release(&photo);
}

/* Half a turn in YIQ turns the colour, and nothing else, into its opposite. */
static void the_largest_hue_is_the_opposite_colour(void **state)
{
    struct sosie_image photo = picture_make(1, 1);
    struct sosie_augmentation hue = none();
    double farthest = 0;
    (void)state;
    memcpy(photo.rgb, (uint8_t[]){150, 110, 110}, 3);
    hue.hue = 0.5F;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct sosie_image found = view_alike(hue, &photo, seed);
        farthest = fmax(farthest, photo.rgb[0] - found.rgb[0]);
        sosie_image_release(&found);
    }
    /* red is 28 above the luma; the opposite's is as far below it */
    assert_true(farthest > 52 && farthest < 60);
    sosie_image_release(&photo);
}

static void grey_takes_all_colour_away(void **state)
{
    struct sosie_image photo = picture_noise(16, 16, 7), found;
    struct sosie_augmentation grey = none();
    (void)state;
    grey.grey = 1;
    found = view_alike(grey, &photo, 1);
    for (size_t i = 0; i < 256 * 3; i += 3) {
        assert_int_equal(found.rgb[i], found.rgb[i + 1]);
        assert_int_equal(found.rgb[i], found.rgb[i + 2]);
        assert_true(fabs(found.rgb[i] - luma(photo.rgb + i)) < 0.6);
    }
    sosie_image_release(&photo);
    sosie_image_release(&found);
}

/* ---- blur, JPEG ---------------------------------------------------------- */

static double roughness(const struct sosie_image *picture)
{
    double sum = 0;
    for (uint32_t y = 0; y < picture->height; y++)
        for (uint32_t x = 1; x < picture->width; x++)
            sum += abs(*pixel_at(picture, x, y) - *pixel_at(picture, x - 1, y));
    return sum;
}

static double mean(const struct sosie_image *picture)
{
    double sum = 0;
    size_t n = (size_t)picture->width * picture->height * 3;
    for (size_t i = 0; i < n; i++)
        sum += picture->rgb[i];
    return sum / (double)n;
}

static void a_blur_smooths_and_keeps_the_light(void **state)
{
    struct sosie_image photo = picture_muted(SIDE, SIDE);
    struct sosie_augmentation blur = none();
    (void)state;
    blur.blur = 1;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct sosie_image found = view_alike(blur, &photo, seed);
        assert_true(roughness(&found) <= roughness(&photo));
        assert_true(fabs(mean(&found) - mean(&photo)) < 1);
        sosie_image_release(&found);
    }
    sosie_image_release(&photo);
}

static void a_blur_of_one_colour_is_that_colour(void **state)
{
    static const uint32_t sizes[][2] = {{1, 1}, {1, 30}, {30, 1}, {5, 4}};
    struct sosie_augmentation blur = none();
    (void)state;
    blur.blur = 1;
    for (size_t i = 0; i < 4; i++)
        for (uint64_t seed = 0; seed < 10; seed++) {
            struct sosie_image photo = picture_make(sizes[i][0], sizes[i][1]);
            struct sosie_image found;
            memset(photo.rgb, 255, (size_t)photo.width * photo.height * 3);
            found = view_alike(blur, &photo, seed);
            assert_true(same(&found, &photo));
            sosie_image_release(&photo);
            sosie_image_release(&found);
        }
}

static void jpeg_artefacts_are_small_where_a_photo_is_smooth(void **state)
{
    struct sosie_image photo = picture_make(SIDE, SIDE);
    struct sosie_augmentation jpeg = none();
    bool changes = false;
    (void)state;
    jpeg.jpeg = 1;
    for (uint32_t y = 0; y < SIDE; y++)
        for (uint32_t x = 0; x < SIDE; x++)
            memset(pixel_at(&photo, x, y), (int)(60 + x + y), 3);
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct sosie_image found = view_alike(jpeg, &photo, seed);
        assert_same(&found, &photo, 12);
        changes |= !same(&found, &photo);
        sosie_image_release(&found);
    }
    assert_true(changes);
    sosie_image_release(&photo);
}

/* ---- background ---------------------------------------------------------- */

static struct sosie_augmentation other_background(void)
{
    struct sosie_augmentation augmentation = none();
    augmentation.background = 1;
    return augmentation;
}

static void a_background_changes_around_the_product_alone(void **state)
{
    static const uint8_t grounds[] = {255, 180, 40};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct sosie_image photo = picture_garment(grounds[i]);
        double ground_change = 0;
        for (uint64_t seed = 0; seed < 30; seed++) {
            struct sosie_image found =
                view_alike(other_background(), &photo, seed);
            for (uint32_t y = 0; y < SIDE; y++)
                for (uint32_t x = 0; x < SIDE; x++) {
                    const uint8_t *from = pixel_at(&photo, x, y);
                    const uint8_t *to = pixel_at(&found, x, y);
                    if (in_garment(x, y)) /* its hole too */
                        assert_near(to, from, 0);
                    else
                        ground_change += fabs(luma(to) - luma(from));
                }
            sosie_image_release(&found);
        }
        assert_true(ground_change / (30 * SIDE * SIDE) > 10);
        sosie_image_release(&photo);
    }
}

/* Half ground, half garment: so is what is put in its place. */
static void an_edge_is_as_soft_on_the_new_ground(void **state)
{
    struct sosie_image photo = picture_garment(255);
    (void)state;
    for (uint32_t y = GARMENT_LEFT; y < GARMENT_RIGHT; y++)
        for (size_t c = 0; c < 3; c++)
            pixel_at(&photo, GARMENT_LEFT - 1, y)[c] =
                (uint8_t[]){142, 147, 187}[c];
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct sosie_image found = view_alike(other_background(), &photo, seed);
        const uint8_t *ground = pixel_at(&found, GARMENT_LEFT - 4, SIDE / 2);
        const uint8_t *edge = pixel_at(&found, GARMENT_LEFT - 1, SIDE / 2);
        const uint8_t *garment = pixel_at(&found, GARMENT_LEFT, SIDE / 2);
        for (size_t c = 0; c < 3; c++) {
            int half = (ground[c] + garment[c]) / 2;
            assert_in_range(edge[c] + 20, half, half + 40);
        }
        sosie_image_release(&found);
    }
    sosie_image_release(&photo);
}

static void stays_as_it_is(const struct sosie_image *photo)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct sosie_image found = view_alike(other_background(), photo, seed);
        assert_true(same(&found, photo));
        sosie_image_release(&found);
    }
}

static void a_busy_photo_keeps_its_background(void **state)
{
    struct sosie_image noise = picture_noise(SIDE, SIDE, 8);
    struct sosie_image quadrants = picture_quadrants(SIDE, SIDE);
    (void)state;
    stays_as_it_is(&noise);
    stays_as_it_is(&quadrants);
    sosie_image_release(&noise);
    sosie_image_release(&quadrants);
}

static void a_photo_of_one_colour_keeps_it(void **state)
{
    struct sosie_image photo = picture_make(SIDE, SIDE);
    (void)state;
    memset(photo.rgb, 200, SIDE * SIDE * 3);
    memset(pixel_at(&photo, 20, 20), 0, 9);
    stays_as_it_is(&photo);
    sosie_image_release(&photo);
}

/* The border is plain, what lies within almost the same: nothing tells where
 * the ground ends. */
static void a_ground_that_fades_away_is_kept(void **state)
{
    struct sosie_image photo = picture_make(SIDE, SIDE);
    (void)state;
    for (uint32_t y = 0; y < SIDE; y++)
        for (uint32_t x = 0; x < SIDE; x++) {
            int from_middle = abs((int)x - SIDE / 2) > abs((int)y - SIDE / 2)
                                  ? abs((int)x - SIDE / 2)
                                  : abs((int)y - SIDE / 2);
            memset(pixel_at(&photo, x, y), 140 + 4 * from_middle, 3);
        }
    stays_as_it_is(&photo);
    sosie_image_release(&photo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_view_of_no_change_is_a_fit),
        cmocka_unit_test(a_view_depends_on_its_seed_alone),
        cmocka_unit_test(a_view_is_the_same_on_every_machine),
        cmocka_unit_test(photos_and_views_may_have_any_size),
        cmocka_unit_test(margins_stay_white_whatever_changes),
        cmocka_unit_test(what_tells_colours_apart_is_shown_them_as_they_are),
        cmocka_unit_test(a_crop_has_its_share_and_shape_and_stays_inside),
        cmocka_unit_test(a_flip_twice_is_none),
        cmocka_unit_test(what_is_erased_is_a_rectangle_of_2_to_25_percent),
        cmocka_unit_test(brightness_is_a_factor_within_its_bounds),
        cmocka_unit_test(contrast_keeps_the_mean_and_moves_the_rest),
        cmocka_unit_test(hue_and_saturation_keep_luma_and_leave_greys_alone),
        cmocka_unit_test(the_largest_hue_is_the_opposite_colour),
        cmocka_unit_test(grey_takes_all_colour_away),
        cmocka_unit_test(a_blur_smooths_and_keeps_the_light),
        cmocka_unit_test(a_blur_of_one_colour_is_that_colour),
        cmocka_unit_test(jpeg_artefacts_are_small_where_a_photo_is_smooth),
        cmocka_unit_test(a_background_changes_around_the_product_alone),
        cmocka_unit_test(an_edge_is_as_soft_on_the_new_ground),
        cmocka_unit_test(a_busy_photo_keeps_its_background),
        cmocka_unit_test(a_photo_of_one_colour_keeps_it),
        cmocka_unit_test(a_ground_that_fades_away_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
