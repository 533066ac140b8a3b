/* base.c: errors, sizes, arenas, files, worker pools, random numbers. */
#include "check.h"

#include "base/arena.h"
#include "base/block.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/size.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

static void messages_too_long_for_the_struct_are_cut_not_overrun(void **state)
{
    struct sosie_error err;
    char text[2000];
    (void)state;
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = 0;
    assert_int_equal(sosie_fail(&err, SOSIE_IO, "%s", text), SOSIE_IO);
    sosie_error_prefix(&err, "photo %d", 7);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    assert_int_equal(strncmp(err.text, "photo 7: xxx", 12), 0);
    assert_int_equal(sosie_fail(NULL, SOSIE_IO, "nobody listens"), SOSIE_IO);
}

static void sizes_that_overflow_are_noticed(void **state)
{
    size_t n = 7;
    (void)state;
    assert_false(sosie_size_mul(SIZE_MAX, 2, &n));
    assert_false(sosie_size_add(SIZE_MAX, 1, &n));
    assert_false(sosie_size_align(SIZE_MAX, 64, &n));
    assert_int_equal(n, 7);
    assert_true(sosie_size_align(65, 64, &n));
    assert_int_equal(n, 128);
}

static void an_arena_hands_out_zeroed_aligned_memory(void **state)
{
    struct sosie_arena arena = SOSIE_ARENA_INIT;
    (void)state;
    for (size_t i = 1; i < 3000; i += 7) {
        unsigned char *memory = sosie_arena_alloc(&arena, i, 13);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 16, 0);
        for (size_t j = 0; j < i * 13; j++)
            assert_int_equal(memory[j], 0);
        memset(memory, 0xff, i * 13);
    }
    assert_string_equal(sosie_arena_printf(&arena, "%s-%d", "a", 5), "a-5");
    assert_string_equal(sosie_arena_strndup(&arena, "coat", 2), "co");
    assert_null(sosie_arena_alloc(&arena, SIZE_MAX, 2));
    sosie_arena_release(&arena);
    assert_null(arena.blocks);
}

/* ---- files --------------------------------------------------------------- */

static struct {
    size_t calls, fail_at; /* 1 is the first call */
} faults;

static int fault(void)
{
    if (++faults.calls != faults.fail_at)
        return 0;
    errno = ENOSPC;
    return -1;
}

static struct sosie_file_ops real;

static int faulty_open(const char *path, int flags, mode_t mode)
{
    return fault() ? -1 : real.open(path, flags, mode);
}

static ssize_t faulty_write(int fd, const void *bytes, size_t size)
{
    /* One byte at a time: short writes are normal. */
    return fault() ? -1 : real.write(fd, bytes, size ? 1 : 0);
}

static int faulty_sync(int fd)
{
    return fault() ? -1 : real.sync(fd);
}

static int faulty_rename(const char *from, const char *to)
{
    return fault() ? -1 : real.rename(from, to);
}

static void expect_content(const char *path, const char *a, const char *b)
{
    unsigned char *bytes;
    size_t size;
    struct sosie_error err;
    check_ok(sosie_file_read(path, 100, &bytes, &size, &err), &err);
    assert_true(!strcmp((char *)bytes, a) || !strcmp((char *)bytes, b));
    free(bytes);
}

static void a_failed_write_leaves_the_old_or_the_new_file_whole(void **state)
{
    const char *folder = check_folder_make();
    const struct sosie_span old[] = {{"old", 3}};
    const struct sosie_span new[] = {{"brand ", 6}, {"new", 3}};
    char path[128], temporary[160];
    struct sosie_error err;
    bool written = false;
    (void)state;

    snprintf(path, sizeof(path), "%s/file", folder);
    snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    check_ok(sosie_file_write(path, old, 1, &err), &err);
    real = sosie_file_ops;
    sosie_file_ops = (struct sosie_file_ops){faulty_open, faulty_write,
                                             faulty_sync, faulty_rename};
    for (size_t n = 1; !written; n++) {
        faults.calls = 0;
        faults.fail_at = n;
        written = sosie_file_write(path, new, 2, &err) == SOSIE_OK;
        if (!written) {
            assert_int_equal(err.status, SOSIE_IO);
            assert_non_null(strstr(err.text, "No space left"));
        }
        expect_content(path, written ? "brand new" : "old", "brand new");
        assert_int_equal(sosie_path_kind(temporary), SOSIE_PATH_NONE);
        assert_true(n < 100);
    }
    sosie_file_ops = real;
    assert_true(faults.calls > 10);
    check_folder_remove(folder);
}

/* Two pieces, a mapping, a name: true if all of it went well. */
static bool write_in_pieces(const char *path, struct sosie_error *err)
{
    const struct sosie_span one[] = {{"brand", 5}, {" ", 1}}, two = {"new", 3};
    struct sosie_file_writer writer;
    const void *map = NULL;
    enum sosie_status st = sosie_file_writer_open(path, &writer, err);
    if (st)
        return false;
    st = sosie_file_writer_add(&writer, one, 2, err);
    if (!st)
        st = sosie_file_writer_add(&writer, &two, 1, err);
    if (!st)
        st = sosie_file_writer_map(&writer, &map, err);
    if (!st) {
        assert_int_equal(writer.size, 9);
        assert_memory_equal(map, "brand new", 9);
        sosie_file_unmap(map, 9);
        st = sosie_file_writer_commit(&writer, err);
    }
    sosie_file_writer_release(&writer);
    return !st;
}

static void a_file_written_in_pieces_is_there_whole_or_not_at_all(void **state)
{
    const char *folder = check_folder_make();
    const struct sosie_span old = {"old", 3};
    char path[128], temporary[160];
    bool written = false;
    struct sosie_error err;
    (void)state;
    snprintf(path, sizeof(path), "%s/file", folder);
    snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    check_ok(sosie_file_write(path, &old, 1, &err), &err);
    real = sosie_file_ops;
    sosie_file_ops = (struct sosie_file_ops){faulty_open, faulty_write,
                                             faulty_sync, faulty_rename};
    for (size_t n = 1; !written; n++) {
        faults.calls = 0;
        faults.fail_at = n;
        written = write_in_pieces(path, &err);
        if (!written) {
            assert_int_equal(err.status, SOSIE_IO);
            assert_non_null(strstr(err.text, "No space left"));
        }
        expect_content(path, written ? "brand new" : "old", "brand new");
        assert_int_equal(sosie_path_kind(temporary), SOSIE_PATH_NONE);
        assert_true(n < 100);
    }
    sosie_file_ops = real;
    assert_true(faults.calls > 10);
    check_folder_remove(folder);
}

static void a_file_is_written_in_pieces_by_one_at_a_time(void **state)
{
    const char *folder = check_folder_make();
    const struct sosie_span piece = {"piece", 5};
    struct sosie_file_writer one, other;
    char path[128], temporary[160];
    struct sosie_error err;
    (void)state;
    snprintf(path, sizeof(path), "%s/file", folder);
    snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    check_ok(sosie_file_write(temporary, &piece, 1, &err),
             &err); /* a crash's */
    check_ok(sosie_file_writer_open(path, &one, &err), &err);
    check_fails(sosie_file_writer_open(path, &other, &err), SOSIE_CONFLICT,
                &err, "is being written by another process");
    assert_int_equal(sosie_path_kind(temporary), SOSIE_PATH_FILE);
    check_ok(sosie_file_writer_commit(&one, &err), &err);
    expect_content(path, "", "");
    check_ok(sosie_file_writer_open(path, &other, &err), &err);
    sosie_file_writer_release(&other);
    sosie_file_writer_release(&one);
    expect_content(path, "", "");
    check_folder_remove(folder);
}

static void a_file_without_a_name_lasts_as_long_as_its_mapping(void **state)
{
    const char *folder = check_folder_make();
    const char *const folders[] = {folder, NULL};
    const struct sosie_span piece = {"piece", 5};
    struct sosie_file_writer writer;
    struct sosie_error err;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const void *map;
        check_ok(sosie_file_writer_open_unnamed(folders[i], &writer, &err),
                 &err);
        check_ok(sosie_file_writer_add(&writer, &piece, 1, &err), &err);
        check_ok(sosie_file_writer_map(&writer, &map, &err), &err);
        sosie_file_writer_release(&writer);
        assert_memory_equal(map, "piece", 5);
        sosie_file_unmap(map, 5);
    }
    assert_int_equal(rmdir(folder), 0); /* it is empty */
    check_fails(sosie_file_writer_open_unnamed(folder, &writer, &err),
                SOSIE_NOT_FOUND, &err, folder);
}

static void reading_says_what_is_wrong_with_a_path(void **state)
{
    const char *folder = check_folder_make();
    const struct sosie_span text[] = {{"0123456789", 10}};
    char path[128];
    unsigned char *bytes;
    size_t size;
    const void *map;
    struct sosie_error err;
    (void)state;

    snprintf(path, sizeof(path), "%s/file", folder);
    check_fails(sosie_file_read(path, 10, &bytes, &size, &err), SOSIE_NOT_FOUND,
                &err, "No such file");
    check_ok(sosie_file_write(path, text, 1, &err), &err);
    check_fails(sosie_file_read(path, 9, &bytes, &size, &err), SOSIE_TOO_LARGE,
                &err, "has 10 bytes, at most 9 are taken");
    check_fails(sosie_file_read(folder, 9, &bytes, &size, &err),
                SOSIE_BAD_INPUT, &err, "not a regular file");
    check_ok(sosie_file_map(path, &map, &size, &err), &err);
    assert_int_equal(size, 10);
    assert_memory_equal(map, "0123456789", 10);
    sosie_file_unmap(map, size);
    check_folder_remove(folder);
}

/* While it is viewed, nobody writes it; while someone may write it, a view is a
 * copy. */
static void a_view_does_not_change(void **state)
{
    const char *folder = check_folder_make();
    const struct sosie_span text[] = {{"0123456789", 10}};
    struct sosie_file_view view = {0}, copy = {0};
    char path[128];
    struct sosie_error err;
    int writer;
    (void)state;

    sosie_file_view_close(&view);
    snprintf(path, sizeof(path), "%s/file", folder);
    check_fails(sosie_file_view_open(path, 10, &view, &err), SOSIE_NOT_FOUND,
                &err, "No such file");
    check_ok(sosie_file_write(path, text, 1, &err), &err);
    check_fails(sosie_file_view_open(path, 9, &view, &err), SOSIE_TOO_LARGE,
                &err, "has 10 bytes, at most 9 are taken");
    check_ok(sosie_file_view_open(path, 10, &view, &err), &err);
    assert_int_equal(view.size, 10);
    assert_memory_equal(view.bytes, "0123456789", 10);
    if (view.lease >= 0) { /* not all file systems have leases */
        assert_int_equal(open(path, O_WRONLY | O_TRUNC | O_NONBLOCK), -1);
        assert_int_equal(errno, EWOULDBLOCK);
        assert_memory_equal(view.bytes, "0123456789", 10);
    }
    sosie_file_view_close(&view);
    sosie_file_view_close(&view);

    writer = open(path, O_RDWR);
    assert_true(writer >= 0);
    check_fails(sosie_file_view_open(path, 9, &copy, &err), SOSIE_TOO_LARGE,
                &err, "has 10 bytes, at most 9 are taken");
    check_ok(sosie_file_view_open(path, 10, &copy, &err), &err);
    assert_int_equal(copy.lease, -1);
    assert_int_equal(ftruncate(writer, 0), 0);
    assert_int_equal(copy.size, 10);
    assert_memory_equal(copy.bytes, "0123456789", 10);
    sosie_file_view_close(&copy);
    close(writer);
    check_ok(sosie_file_view_open(path, 10, &view, &err), &err);
    assert_int_equal(view.size, 0);
    sosie_file_view_close(&view);
    check_folder_remove(folder);
}

static void large_blocks_are_aligned_too(void **state)
{
    static const size_t sizes[] = {0, 1, 64, 131071, 131072, 5000001};
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        unsigned char *block = sosie_block_create(sizes[i]);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 64, 0);
        memset(block, 1, sizes[i]);
        free(block);
    }
}

static void nothing_outside_a_folder_opens_beneath_it(void **state)
{
    const char *folder = check_folder_make();
    const struct sosie_span text[] = {{"secret", 6}};
    const char *const outside[] = {
        "",       "/etc/passwd", "../secret", "shop/../../secret",
        "a/../a", "./a",         "a//b",      "a\\b",
        "out",    "up/secret",   ".",         "a/"};
    char path[160], shop[128], link[160];
    struct sosie_error err;
    size_t size;
    int fd;
    (void)state;

    snprintf(path, sizeof(path), "%s/secret", folder);
    check_ok(sosie_file_write(path, text, 1, &err), &err);
    snprintf(shop, sizeof(shop), "%s/shop", folder);
    check_ok(sosie_folder_make(shop, &err), &err);
    check_ok(sosie_folder_make(shop, &err), &err);
    snprintf(path, sizeof(path), "%s/a", shop);
    check_ok(sosie_file_write(path, text, 1, &err), &err);
    snprintf(link, sizeof(link), "%s/out", shop);
    assert_int_equal(symlink("../secret", link), 0);
    snprintf(link, sizeof(link), "%s/up", shop);
    assert_int_equal(symlink("..", link), 0);

    check_ok(sosie_file_open_beneath(shop, "a", &fd, &size, &err), &err);
    assert_int_equal(size, 6);
    close(fd);
    for (size_t i = 0; i < sizeof(outside) / sizeof(*outside); i++)
        check_fails(sosie_file_open_beneath(shop, outside[i], &fd, &size, &err),
                    SOSIE_NOT_FOUND, &err, "no such file");
    check_folder_remove(folder);
}

/* ---- pool ---------------------------------------------------------------- */

static atomic_size_t n_done;
static atomic_bool may_go;

static void count(void *argument, size_t worker)
{
    (void)argument;
    assert_true(worker < 3);
    atomic_fetch_add(&n_done, 1);
}

static void wait_for_go(void *argument, size_t worker)
{
    (void)argument, (void)worker;
    while (!atomic_load(&may_go))
        usleep(100);
}

static void a_pool_runs_every_job_once(void **state)
{
    struct sosie_pool *pool;
    struct sosie_error err;
    (void)state;
    atomic_store(&n_done, 0);
    check_ok(sosie_pool_create(3, 4, &pool, &err), &err);
    assert_int_equal(sosie_pool_size(pool), 3);
    for (size_t i = 0; i < 1000; i++)
        sosie_pool_submit(pool, count, NULL);
    sosie_pool_wait(pool);
    assert_int_equal(atomic_load(&n_done), 1000);
    for (size_t i = 0; i < 4; i++)
        sosie_pool_submit(pool, count, NULL);
    sosie_pool_destroy(pool); /* what is queued still runs */
    assert_int_equal(atomic_load(&n_done), 1004);
}

static void a_full_queue_refuses_and_recovers(void **state)
{
    struct sosie_pool *pool;
    struct sosie_error err;
    size_t taken = 0;
    (void)state;
    atomic_store(&may_go, false);
    check_ok(sosie_pool_create(1, 2, &pool, &err), &err);
    while (sosie_pool_try_submit(pool, wait_for_go, NULL))
        assert_true(++taken <= 3);
    assert_true(taken >= 2); /* two wait; one more if the worker was quick */
    atomic_store(&may_go, true);
    sosie_pool_wait(pool);
    assert_true(sosie_pool_try_submit(pool, wait_for_go, NULL));
    sosie_pool_destroy(pool);
}

/* ---- random, hash -------------------------------------------------------- */

/* First outputs of xoshiro256** for the state {1, 2, 3, 4}, from its authors'
 * reference program. */
static void random_numbers_are_those_of_the_published_generator(void **state)
{
    struct sosie_random random = {{1, 2, 3, 4}};
    (void)state;
    assert_int_equal(sosie_random_u64(&random), 11520);
    assert_int_equal(sosie_random_u64(&random), 0);
    assert_int_equal(sosie_random_u64(&random), 1509978240);
    assert_int_equal(sosie_random_u64(&random), 1215971899390074240);
}

static void random_numbers_stay_in_range_and_are_spread(void **state)
{
    struct sosie_random random;
    size_t counts[7] = {0};
    double sum = 0, squares = 0;
    (void)state;
    sosie_random_seed(&random, 42);
    for (size_t i = 0; i < 70000; i++) {
        double normal = sosie_random_normal(&random);
        counts[sosie_random_below(&random, 7)]++;
        sum += normal;
        squares += normal * normal;
    }
    for (size_t i = 0; i < 7; i++)
        assert_in_range(counts[i], 9500, 10500);
    assert_true(sum / 70000 > -0.02 && sum / 70000 < 0.02);
    assert_true(squares / 70000 > 0.97 && squares / 70000 < 1.03);
}

static void digests_are_xxh3(void **state)
{
    struct sosie_digest digest = sosie_digest_of("", 0);
    char text[33];
    (void)state;
    sosie_digest_hex(&digest, text);
    assert_string_equal(text, "99aa06d3014798d86001c324468d497f");
    assert_true(sosie_checksum("a", 1) != sosie_checksum("b", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_too_long_for_the_struct_are_cut_not_overrun),
        cmocka_unit_test(sizes_that_overflow_are_noticed),
        cmocka_unit_test(an_arena_hands_out_zeroed_aligned_memory),
        cmocka_unit_test(a_failed_write_leaves_the_old_or_the_new_file_whole),
        cmocka_unit_test(a_file_written_in_pieces_is_there_whole_or_not_at_all),
        cmocka_unit_test(a_file_is_written_in_pieces_by_one_at_a_time),
        cmocka_unit_test(a_file_without_a_name_lasts_as_long_as_its_mapping),
        cmocka_unit_test(reading_says_what_is_wrong_with_a_path),
        cmocka_unit_test(a_view_does_not_change),
        cmocka_unit_test(large_blocks_are_aligned_too),
        cmocka_unit_test(nothing_outside_a_folder_opens_beneath_it),
        cmocka_unit_test(a_pool_runs_every_job_once),
        cmocka_unit_test(a_full_queue_refuses_and_recovers),
        cmocka_unit_test(random_numbers_are_those_of_the_published_generator),
        cmocka_unit_test(random_numbers_stay_in_range_and_are_spread),
        cmocka_unit_test(digests_are_xxh3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
