/* pixels.c: every photo decoded once, small, in one file. */
#include "train/pixels.h"

#include "base/file.h"
#include "picture_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { MAX_PHOTOS = 64 };

/* Photos in a folder, a data set of them, and a folder for their pixels. */
struct desk {
    char folder[64], cache[80], files[MAX_PHOTOS][96];
    struct sosie_dataset_photo photos[MAX_PHOTOS];
    struct sosie_dataset dataset;
    struct sosie_pixels_options options;
    struct sosie_pixels *pixels;
    struct sosie_error err;
    char bad[1024];
    size_t n_progress, last_done, stop_after; /* 0: never */
};

static void note_bad(void *context, const char *where, const char *reason)
{
    struct desk *desk = context;
    size_t used = strlen(desk->bad);
    snprintf(desk->bad + used, sizeof(desk->bad) - used, "%s: %s\n", where,
             reason);
}

static bool note_progress(void *context, size_t n_done, size_t n)
{
    struct desk *desk = context;
    assert_int_equal(n, desk->dataset.n);
    assert_true(n_done >= desk->last_done);
    desk->last_done = n_done;
    desk->n_progress++;
    return desk->n_progress != desk->stop_after;
}

static int set_up(void **state)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    assert_non_null(desk);
    snprintf(desk->folder, sizeof(desk->folder), "%s", check_folder_make());
    snprintf(desk->cache, sizeof(desk->cache), "%s/cache", desk->folder);
    check_ok(sosie_folder_make(desk->cache, &desk->err), &desk->err);
    desk->dataset.photos = desk->photos;
    desk->options = (struct sosie_pixels_options){.side = 100,
                                                  .folder = desk->cache,
                                                  .n_workers = 2,
                                                  .progress = note_progress,
                                                  .bad = note_bad,
                                                  .context = desk};
    *state = desk;
    return 0;
}

static int tear_down(void **state)
{
    struct desk *desk = *state;
    sosie_pixels_destroy(desk->pixels);
    check_folder_remove(desk->folder);
    free(desk);
    return 0;
}

/* Writes (again) the photo i, and adds it if it is the next one. */
static void write_photo(struct desk *desk, size_t i, const void *bytes,
                        size_t size)
{
    char file[sizeof(desk->files[i])];
    snprintf(file, sizeof(file), "%s/%zu.photo", desk->folder, i);
    check_ok(sosie_file_write(file, &(struct sosie_span){bytes, size}, 1,
                              &desk->err),
             &desk->err);
    memcpy(desk->files[i], file, sizeof(file));
    desk->photos[i].file = desk->photos[i].where = desk->files[i];
    if (i == desk->dataset.n)
        desk->dataset.n++;
}

static void put_file(struct desk *desk, size_t i, struct file file)
{
    write_photo(desk, i, file.bytes, file.size);
    free(file.bytes);
}

/* A PNG of noise; the same length for every seed but by chance. */
static void put_noise(struct desk *desk, size_t i, uint32_t width,
                      uint32_t height, uint64_t seed)
{
    struct sosie_image picture = picture_noise(width, height, seed);
    put_file(desk, i, png_make_rgb(&picture, NULL));
    sosie_image_release(&picture);
}

static struct sosie_pixels *create(struct desk *desk)
{
    sosie_pixels_destroy(desk->pixels);
    desk->pixels = NULL;
    desk->n_progress = desk->last_done = 0;
    check_ok(sosie_pixels_create(&desk->dataset, &desk->options, &desk->pixels,
                                 &desk->err),
             &desk->err);
    return desk->pixels;
}

#define check_refused(desk, expected, words)                                   \
    check_fails(sosie_pixels_create(&(desk)->dataset, &(desk)->options,        \
                                    &(desk)->pixels, &(desk)->err),            \
                expected, &(desk)->err, words)

static size_t count_cache(const struct desk *desk)
{
    DIR *folder = opendir(desk->cache);
    size_t n = 0;
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        n += entry->d_name[0] != '.';
    closedir(folder);
    return n;
}

/* Photo i is the noise that put_noise made of the seed. */
static bool is_noise(const struct desk *desk, size_t i, uint64_t seed)
{
    struct sosie_image found = sosie_pixels_get(desk->pixels, i);
    struct sosie_image picture = picture_noise(found.width, found.height, seed);
    bool same =
        !memcmp(found.rgb, picture.rgb, (size_t)found.width * found.height * 3);
    sosie_image_release(&picture);
    return same;
}

/* ---- what they are ------------------------------------------------------- */

static void shapes_are_kept_and_nothing_is_enlarged(void **state)
{
    static const struct {
        uint32_t width, height, small_width, small_height;
    } sizes[] = {
        {400, 300, 133, 100}, {300, 401, 100, 134}, {100, 100, 100, 100},
        {60, 80, 60, 80},     {99, 201, 99, 200},   {600, 100, 200, 33},
        {2, 900, 1, 200},     {1, 1, 1, 1},         {1000, 1000, 100, 100},
    };
    enum { N = sizeof(sizes) / sizeof(*sizes) };
    struct desk *desk = *state;
    for (size_t i = 0; i < N; i++) {
        struct sosie_image picture =
            picture_quadrants(sizes[i].width, sizes[i].height);
        put_file(desk, i,
                 i % 2 ? png_make_rgb(&picture, NULL)
                       : jpeg_make(&picture, (struct jpeg_kind){0}));
        sosie_image_release(&picture);
    }
    create(desk);
    for (size_t i = 0; i < N; i++) {
        struct sosie_image found = sosie_pixels_get(desk->pixels, i);
        assert_int_equal(found.width, sizes[i].small_width);
        assert_int_equal(found.height, sizes[i].small_height);
        if (found.width < 30 || found.height < 30)
            continue;
        for (size_t q = 0; q < N_QUADRANTS; q++)
            assert_near(pixel_at(&found, q % 2 ? found.width - 5 : 4,
                                 q / 2 ? found.height - 5 : 4),
                        quadrant_colours[q], 8);
    }
    assert_int_equal(sosie_pixels_n_bad(desk->pixels), 0);
    assert_string_equal(desk->bad, "");
}

static void small_photos_are_kept_to_the_bit(void **state)
{
    struct desk *desk = *state;
    for (size_t i = 0; i < 20; i++)
        put_noise(desk, i, 30 + (uint32_t)i, 50, i);
    create(desk);
    for (size_t i = 0; i < 20; i++)
        assert_true(is_noise(desk, i, i));
    assert_true(sosie_pixels_size_bytes(desk->pixels) > 20 * 39 * 50 * 3);
    assert_int_equal(desk->last_done, 20);
}

static void a_photo_that_cannot_be_read_has_no_pixels(void **state)
{
    struct desk *desk = *state;
    put_noise(desk, 0, 20, 20, 0);
    write_photo(desk, 1, "this is no photo", 16);
    put_noise(desk, 2, 20, 20, 2);
    write_photo(desk, 3, "", 0);
    put_noise(desk, 4, 20, 20, 4);
    unlink(desk->files[4]);
    create(desk);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(sosie_pixels_get(desk->pixels, i).width,
                         i == 0 || i == 2 ? 20 : 0);
    assert_null(sosie_pixels_get(desk->pixels, 1).rgb);
    assert_true(is_noise(desk, 2, 2));
    assert_int_equal(sosie_pixels_n_bad(desk->pixels), 3);
    assert_non_null(strstr(desk->bad, "/1.photo: "));
    assert_non_null(strstr(desk->bad, "looks like text"));
    assert_non_null(strstr(desk->bad, "/3.photo: "));
    assert_non_null(strstr(desk->bad, "No such file"));
}

static void a_data_set_of_no_readable_photo_is_refused(void **state)
{
    struct desk *desk = *state;
    write_photo(desk, 0, "this is no photo", 16);
    write_photo(desk, 1, "nor is this", 11);
    check_refused(desk, SOSIE_BAD_INPUT, "none of 2 photos can be read");
    assert_non_null(strstr(desk->err.text, "/0.photo: "));
    assert_int_equal(count_cache(desk), 0);
    desk->options.side = 0;
    check_refused(desk, SOSIE_BAD_INPUT, "side 0");
}

static void pixels_do_not_depend_on_the_number_of_workers(void **state)
{
    struct desk *desk = *state;
    unsigned char *first = NULL;
    size_t first_size = 0;
    desk->options.name = "pixels";
    for (size_t i = 0; i < MAX_PHOTOS; i++)
        put_noise(desk, i, 20 + (uint32_t)i * 3, 80, i);
    for (size_t n_workers = 0; n_workers < 8; n_workers += 1 + n_workers) {
        unsigned char *bytes;
        size_t size;
        char path[96];
        snprintf(path, sizeof(path), "%s/pixels", desk->cache);
        unlink(path);
        desk->options.n_workers = n_workers;
        create(desk);
        check_ok(sosie_file_read(path, 1 << 24, &bytes, &size, &desk->err),
                 &desk->err);
        if (first) {
            assert_int_equal(size, first_size);
            assert_memory_equal(bytes, first, size);
            free(bytes);
        } else {
            first = bytes;
            first_size = size;
        }
    }
    free(first);
}

/* ---- where they are ------------------------------------------------------ */

static void a_temporary_leaves_nothing_behind(void **state)
{
    struct desk *desk = *state;
    put_noise(desk, 0, 20, 20, 0);
    create(desk);
    assert_int_equal(count_cache(desk), 0);
    assert_true(is_noise(desk, 0, 0));
    desk->options.folder = NULL; /* memory alone */
    create(desk);
    assert_true(is_noise(desk, 0, 0));
    assert_int_equal(count_cache(desk), 0);
    desk->options.folder = "/nowhere/at/all";
    sosie_pixels_destroy(desk->pixels);
    desk->pixels = NULL;
    check_refused(desk, SOSIE_NOT_FOUND, "/nowhere/at/all");
}

/* Writes photo 0 anew, of the same size and with its old time of change. */
static void replace_unseen(struct desk *desk, uint64_t seed)
{
    struct stat info;
    struct timespec times[2];
    assert_int_equal(stat(desk->files[0], &info), 0);
    times[0] = times[1] = info.st_mtim;
    put_noise(desk, 0, 20, 20, seed);
    assert_int_equal(truncate(desk->files[0], info.st_size), 0);
    assert_int_equal(utimensat(AT_FDCWD, desk->files[0], times, 0), 0);
}

static void touch(const char *path)
{
    const struct timespec times[2] = {{1, 0}, {1, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void a_lasting_file_is_used_again(void **state)
{
    struct desk *desk = *state;
    desk->options.name = "pixels";
    put_noise(desk, 0, 20, 20, 0);
    write_photo(desk, 1, "this is no photo", 16);
    create(desk);
    assert_true(desk->n_progress > 0);
    assert_int_equal(count_cache(desk), 1);

    replace_unseen(desk, 77);
    desk->bad[0] = 0;
    create(desk);
    assert_int_equal(desk->n_progress, 0); /* nothing was decoded */
    assert_true(is_noise(desk, 0, 0));
    assert_int_equal(sosie_pixels_n_bad(desk->pixels), 1);
    assert_non_null(strstr(desk->bad, "/1.photo: could not be read when"));

    touch(desk->files[0]);
    create(desk);
    assert_true(desk->n_progress > 0);
    assert_false(is_noise(desk, 0, 0));
    assert_int_equal(count_cache(desk), 1);
}

static void a_lasting_file_of_something_else_is_made_anew(void **state)
{
    struct desk *desk = *state;
    desk->options.name = "pixels";
    put_noise(desk, 0, 20, 20, 0);
    put_noise(desk, 1, 20, 20, 1);
    create(desk);
    desk->options.side = 10;
    create(desk);
    assert_int_equal(sosie_pixels_get(desk->pixels, 0).width, 10);
    desk->dataset.n = 1;
    create(desk);
    assert_true(desk->n_progress > 0);
    desk->photos[0].file = desk->files[1];
    create(desk);
    assert_true(desk->n_progress > 0);
    create(desk);
    assert_int_equal(desk->n_progress, 0);
}

static void a_damaged_lasting_file_is_made_anew(void **state)
{
    struct desk *desk = *state;
    char path[96];
    unsigned char *good;
    size_t size, pixel_bytes = 7 * 5 * 3;
    desk->options.name = "pixels";
    desk->options.n_workers = 1;
    put_noise(desk, 0, 7, 5, 0);
    create(desk);
    snprintf(path, sizeof(path), "%s/pixels", desk->cache);
    check_ok(sosie_file_read(path, 1 << 16, &good, &size, &desk->err),
             &desk->err);
    for (size_t i = 0; i < 2 * size; i++) {
        struct sosie_span span = {good, i < size ? size : i - size};
        bool in_pixels = i < pixel_bytes + 7; /* and the padding */
        if (i < size)
            good[i] ^= 0x55;
        check_ok(sosie_file_write(path, &span, 1, &desk->err), &desk->err);
        if (i < size)
            good[i] ^= 0x55;
        create(desk);
        assert_int_equal(desk->n_progress > 0, !in_pixels || i >= size);
        assert_int_equal(sosie_pixels_get(desk->pixels, 0).width, 7);
    }
    free(good);
}

static void a_lasting_file_that_another_writes_is_left_to_it(void **state)
{
    struct desk *desk = *state;
    struct sosie_file_writer other;
    char path[96];
    desk->options.name = "pixels";
    put_noise(desk, 0, 20, 20, 0);
    snprintf(path, sizeof(path), "%s/pixels", desk->cache);
    check_ok(sosie_file_writer_open(path, &other, &desk->err), &desk->err);
    create(desk);
    assert_true(is_noise(desk, 0, 0));
    assert_int_equal(sosie_path_kind(path), SOSIE_PATH_NONE);
    assert_int_equal(count_cache(desk), 1); /* the other's */
    sosie_file_writer_release(&other);
    create(desk);
    assert_int_equal(sosie_path_kind(path), SOSIE_PATH_FILE);
    assert_int_equal(count_cache(desk), 1);
}

/* ---- how it fails -------------------------------------------------------- */

static void it_ends_when_the_caller_has_had_enough(void **state)
{
    struct desk *desk = *state;
    desk->options.name = "pixels";
    for (size_t i = 0; i < MAX_PHOTOS; i++)
        put_noise(desk, i, 60, 60, i);
    for (desk->stop_after = 1; desk->stop_after <= 2; desk->stop_after++) {
        desk->n_progress = desk->last_done = 0;
        check_refused(desk, SOSIE_CANCELLED, "stopped after");
        assert_int_equal(count_cache(desk), 0);
    }
    desk->stop_after = 0;
    create(desk);
    assert_int_equal(desk->last_done, MAX_PHOTOS);
}

/* The n-th of the calls below fails. */
static struct {
    size_t calls, fail_at;
} faults;
static struct sosie_file_ops real;

static bool fault(void)
{
    errno = ENOSPC;
    return ++faults.calls == faults.fail_at;
}

static int faulty_open(const char *path, int flags, mode_t mode)
{
    return fault() ? -1 : real.open(path, flags, mode);
}

static ssize_t faulty_write(int fd, const void *bytes, size_t size)
{
    /* Half of it: short writes are normal. */
    return fault() ? -1 : real.write(fd, bytes, (size + 1) / 2);
}

static int faulty_sync(int fd)
{
    return fault() ? -1 : real.sync(fd);
}

static int faulty_rename(const char *from, const char *to)
{
    return fault() ? -1 : real.rename(from, to);
}

static void check_full_disk(struct desk *desk, const char *path)
{
    char temporary[112];
    bool made = false;
    snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    for (size_t i = 0; i < 3; i++)
        put_noise(desk, i, 90, 90, i);
    real = sosie_file_ops;
    sosie_file_ops = (struct sosie_file_ops){faulty_open, faulty_write,
                                             faulty_sync, faulty_rename};
    for (size_t n = 1; !made; n++) {
        faults.calls = 0;
        faults.fail_at = n;
        desk->last_done = 0;
        unlink(path);
        made = sosie_pixels_create(&desk->dataset, &desk->options,
                                   &desk->pixels, &desk->err) == SOSIE_OK;
        assert_true(n < 1000);
        assert_int_equal(sosie_path_kind(temporary), SOSIE_PATH_NONE);
        if (made)
            break;
        assert_null(desk->pixels);
        assert_int_equal(desk->err.status, SOSIE_IO);
        assert_non_null(strstr(desk->err.text, "No space left"));
        if (n == 2)
            assert_non_null(strstr(desk->err.text,
                                   "the pixels of 3 photos need about 1 "
                                   "MiB, of which 0 were written: "));
    }
    sosie_file_ops = real;
    assert_true(faults.calls > 20);
    assert_true(is_noise(desk, 2, 2));
}

static void a_full_disk_is_said_and_leaves_nothing_behind(void **state)
{
    struct desk *desk = *state;
    check_full_disk(desk, "/nowhere");
    assert_int_equal(count_cache(desk), 0);
}

static void a_full_disk_leaves_no_lasting_file_half_made(void **state)
{
    struct desk *desk = *state;
    char path[96];
    desk->options.name = "pixels";
    snprintf(path, sizeof(path), "%s/pixels", desk->cache);
    check_full_disk(desk, path);
    assert_int_equal(count_cache(desk), 1);
    create(desk);
    assert_int_equal(desk->n_progress, 0);
    assert_true(is_noise(desk, 2, 2));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shapes_are_kept_and_nothing_is_enlarged),
        TEST(small_photos_are_kept_to_the_bit),
        TEST(a_photo_that_cannot_be_read_has_no_pixels),
        TEST(a_data_set_of_no_readable_photo_is_refused),
        TEST(pixels_do_not_depend_on_the_number_of_workers),
        TEST(a_temporary_leaves_nothing_behind),
        TEST(a_lasting_file_is_used_again),
        TEST(a_lasting_file_of_something_else_is_made_anew),
        TEST(a_damaged_lasting_file_is_made_anew),
        TEST(a_lasting_file_that_another_writes_is_left_to_it),
        TEST(it_ends_when_the_caller_has_had_enough),
        TEST(a_full_disk_is_said_and_leaves_nothing_behind),
        TEST(a_full_disk_leaves_no_lasting_file_half_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
