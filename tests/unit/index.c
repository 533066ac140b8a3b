/* index.c: quantisation, segments on disk, exact scan. */
#include "check.h"

#include "base/file.h"
#include "base/random.h"
#include "index/scan.h"

#include <math.h>

static const struct sosie_row_shape SHAPE = {2, {100, 7}};
enum { PACKED = 107 };

static void random_codes(struct sosie_random *random, int8_t *codes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        codes[i] = (int8_t)((int)sosie_random_below(random, 255) - 127);
}

/* n rows with numbers 3, 6, 9, ... and classes 0, 1, 2, 3, 0, ... */
static void fill(struct sosie_rows *rows, size_t n, uint64_t seed)
{
    struct sosie_random random;
    struct sosie_error err;
    int8_t packed[PACKED];
    sosie_random_seed(&random, seed);
    *rows = (struct sosie_rows){.shape = SHAPE};
    for (size_t i = 0; i < n; i++) {
        random_codes(&random, packed, PACKED);
        check_ok(
            sosie_rows_add(rows, 3 * (i + 1), (uint32_t)(i % 4), packed, &err),
            &err);
    }
}

/* ---- quantisation -------------------------------------------------------- */

static void
quantised_vectors_have_unit_length_and_the_same_direction(void **state)
{
    struct sosie_random random;
    float vector[256];
    int8_t codes[256];
    (void)state;
    sosie_random_seed(&random, 1);
    for (size_t round = 0; round < 50; round++) {
        double dot = 0, length = 0, stored = 0;
        float scale;
        for (size_t i = 0; i < 256; i++)
            vector[i] = (float)sosie_random_normal(&random) * 1e-3F;
        scale = sosie_quantise(vector, 256, codes);
        for (size_t i = 0; i < 256; i++) {
            double x = (double)codes[i] * (double)scale;
            dot += x * (double)vector[i];
            length += (double)vector[i] * (double)vector[i];
            stored += x * x;
        }
        assert_true(fabs(stored - 1) < 1e-6);
        assert_true(dot / sqrt(length) > 0.9999);
    }
}

static void vectors_without_direction_become_zeros(void **state)
{
    float vector[4] = {0};
    int8_t codes[4] = {1, 1, 1, 1};
    (void)state;
    assert_true(sosie_quantise(vector, 4, codes) == 0);
    assert_memory_equal(codes, "\0\0\0\0", 4);
    vector[2] = NAN;
    vector[1] = 3;
    assert_true(sosie_quantise(vector, 4, codes) == 0);
    vector[2] = INFINITY;
    assert_true(sosie_quantise(vector, 4, codes) == 0);
    vector[2] = 1e-44F; /* its reciprocal overflows */
    vector[1] = 0;
    assert_true(sosie_quantise(vector, 4, codes) == 0);
    assert_memory_equal(codes, "\0\0\0\0", 4);
}

static void row_numbers_must_rise(void **state)
{
    struct sosie_rows rows = {.shape = SHAPE};
    int8_t packed[PACKED] = {1};
    struct sosie_error err;
    (void)state;
    check_ok(sosie_rows_add(&rows, 5, 0, packed, &err), &err);
    check_fails(sosie_rows_add(&rows, 5, 0, packed, &err), SOSIE_CORRUPT, &err,
                "row 5 follows row 5");
    sosie_rows_release(&rows);
}

/* ---- segments ------------------------------------------------------------ */

static void a_segment_comes_back_as_it_was_written(void **state)
{
    const char *folder = check_folder_make();
    struct sosie_rows rows;
    struct sosie_segment *segment;
    const struct sosie_segment_view *view;
    struct sosie_error err;
    char path[128];
    (void)state;
    snprintf(path, sizeof(path), "%s/a.seg", folder);
    for (size_t n = 0; n < 40; n += 13) {
        fill(&rows, n, n);
        check_ok(sosie_segment_write(path, &rows, &err), &err);
        check_ok(sosie_segment_open(path, &SHAPE, &segment, &err), &err);
        view = sosie_segment_view(segment);
        assert_int_equal(view->n, n);
        assert_int_equal((uintptr_t)view->codes % 64, 0);
        if (n) {
            assert_memory_equal(view->numbers, rows.numbers, n * 8);
            assert_memory_equal(view->classes, rows.classes, n * 4);
            assert_memory_equal(view->scales, rows.scales, n * 8);
            assert_memory_equal(view->codes, rows.codes,
                                n * sosie_row_stride(&SHAPE));
        }
        sosie_segment_close(segment);
        sosie_rows_release(&rows);
    }
    check_folder_remove(folder);
}

static enum sosie_status open_bytes(const char *path,
                                    const unsigned char *bytes, size_t n,
                                    struct sosie_error *err)
{
    struct sosie_segment *segment;
    enum sosie_status st;
    check_ok(sosie_file_write(path, &(struct sosie_span){bytes, n}, 1, err),
             err);
    st = sosie_segment_open(path, &SHAPE, &segment, err);
    if (!st)
        sosie_segment_close(segment);
    return st;
}

/* A reader that trusts nothing must notice any damaged byte that means
 * something, and any truncation, wherever it falls. */
static void damage_is_always_noticed(void **state)
{
    const char *folder = check_folder_make();
    struct sosie_random random;
    struct sosie_rows rows;
    struct sosie_error err;
    unsigned char *bytes;
    size_t size, padding, noticed = 0;
    char path[128];
    (void)state;
    sosie_random_seed(&random, 7);
    snprintf(path, sizeof(path), "%s/a.seg", folder);
    fill(&rows, 3, 1);
    padding = 64 + 3 * (8 + 4 + 8); /* not checked: 4 bytes up to 128 */
    check_ok(sosie_segment_write(path, &rows, &err), &err);
    check_ok(sosie_file_read(path, 1 << 20, &bytes, &size, &err), &err);
    for (size_t i = 0; i < size; i++) {
        unsigned char old = bytes[i];
        enum sosie_status st;
        bytes[i] ^= (unsigned char)(1 + sosie_random_below(&random, 255));
        st = open_bytes(path, bytes, size, &err);
        bytes[i] = old;
        if (i >= padding && i < 128)
            assert_int_equal(st, SOSIE_OK);
        else
            assert_int_equal(st, SOSIE_CORRUPT);
        noticed += st == SOSIE_CORRUPT;
        if (i % 5 == 0)
            assert_int_equal(open_bytes(path, bytes, i, &err), SOSIE_CORRUPT);
    }
    assert_int_equal(noticed, size - (128 - padding));
    free(bytes);
    sosie_rows_release(&rows);
    check_folder_remove(folder);
}

static void a_segment_of_another_model_is_a_conflict(void **state)
{
    const char *folder = check_folder_make();
    const struct sosie_row_shape other = {2, {256, 7}};
    struct sosie_segment *segment;
    struct sosie_rows rows;
    struct sosie_error err;
    char path[128];
    (void)state;
    snprintf(path, sizeof(path), "%s/a.seg", folder);
    fill(&rows, 2, 1);
    check_ok(sosie_segment_write(path, &rows, &err), &err);
    check_fails(sosie_segment_open(path, &other, &segment, &err),
                SOSIE_CONFLICT, &err, "dimension 100; the catalog has 2");
    sosie_rows_release(&rows);
    check_folder_remove(folder);
}

/* ---- scan ---------------------------------------------------------------- */

struct found {
    uint64_t number;
    double score;
};

static int best_first(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->number > y->number ? 1 : -1;
}

/* The same search, written as its definition. */
static size_t search_plainly(const struct sosie_segment_view *view,
                             const struct sosie_bits *dead,
                             const struct sosie_scan_query *query,
                             struct found *all)
{
    size_t n = 0, stride = sosie_row_stride(&view->shape);
    double weights = 0;
    for (size_t j = 0; j < view->shape.n_aspects; j++)
        weights += (double)query->weights[j];
    for (size_t i = 0; i < view->n; i++) {
        const int8_t *row = view->codes + i * stride, *codes = query->codes;
        double score = 0;
        if ((dead && sosie_bits_has(dead, i)) ||
            (query->classes &&
             !sosie_bits_has(query->classes, view->classes[i])))
            continue;
        for (size_t j = 0; j < view->shape.n_aspects; j++) {
            size_t size = sosie_row_aspect_size(&view->shape, j);
            double cosine =
                (double)view->scales[i * view->shape.n_aspects + j] *
                (double)query->scales[j];
            int dot = 0;
            for (size_t d = 0; d < view->shape.dims[j]; d++)
                dot += row[d] * codes[d];
            cosine *= dot;
            if (query->degrees[j] > 1)
                cosine = pow(fmax(cosine, 0), query->degrees[j]);
            score += (double)query->weights[j] / weights * cosine;
            row += size;
            codes += size;
        }
        all[n++] = (struct found){view->numbers[i], score};
    }
    qsort(all, n, sizeof(*all), best_first);
    return n;
}

static void the_scan_finds_what_its_definition_finds(void **state)
{
    enum { N = 3000 };
    struct sosie_rows rows;
    struct sosie_segment *segment;
    const struct sosie_segment_view *view;
    struct sosie_bits dead, classes;
    struct sosie_random random;
    struct sosie_error err;
    struct found *all = calloc(N, sizeof(*all));
    struct sosie_neighbour heap[600];
    (void)state;
    fill(&rows, N, 3);
    check_ok(sosie_segment_take(&rows, &segment, &err), &err);
    view = sosie_segment_view(segment);
    assert_true(sosie_bits_init(&dead, N));
    assert_true(sosie_bits_init(&classes, 4));
    sosie_random_seed(&random, 5);
    for (size_t i = 0; i < N; i++)
        if (sosie_random_below(&random, 3) == 0)
            sosie_bits_add(&dead, i);
    sosie_bits_add(&classes, 1);
    sosie_bits_add(&classes, 2);
    for (size_t round = 0; round < 40; round++) {
        size_t like = (size_t)sosie_random_below(&random, N);
        const size_t ks[] = {0, 1, 12, 600};
        struct sosie_top top = {.heap = heap, .k = ks[round % 4]};
        struct sosie_scan_query query = {
            .codes = view->codes + like * sosie_row_stride(&SHAPE),
            .scales = {view->scales[2 * like], view->scales[2 * like + 1]},
            .weights = {round % 3 == 0 ? 0 : 1, 0.5F},
            .degrees = {(unsigned)round % 6, round % 7 == 0 ? 3 : 0},
            .classes = round % 5 < 2 ? &classes : NULL};
        const struct sosie_bits *without = round % 2 ? &dead : NULL;
        size_t n = search_plainly(view, without, &query, all);
        sosie_scan(segment, without, &query, &top);
        sosie_top_sort(&top);
        assert_int_equal(top.n, n < top.k ? n : top.k);
        for (size_t i = 0; i < top.n; i++) {
            assert_true(fabs((double)heap[i].score - all[i].score) < 1e-5);
            if (i && fabs(all[i].score - all[i - 1].score) > 1e-5 &&
                (i + 1 == n || fabs(all[i].score - all[i + 1].score) > 1e-5))
                assert_int_equal(heap[i].number, all[i].number);
        }
        if (!without && !query.classes && top.k && round % 3) {
            assert_int_equal(heap[0].number, 3 * (like + 1));
            assert_true(fabs((double)heap[0].score - 1) < 1e-6);
        }
    }
    free(all);
    free(dead.words);
    free(classes.words);
    sosie_segment_close(segment);
}

static void equal_scores_come_in_the_order_of_their_rows(void **state)
{
    struct sosie_rows rows = {.shape = SHAPE};
    struct sosie_segment *segment;
    struct sosie_neighbour heap[5];
    struct sosie_top top = {.heap = heap, .k = 5};
    struct sosie_scan_query query = {.weights = {1, 1}};
    struct sosie_error err;
    int8_t packed[PACKED];
    (void)state;
    memset(packed, 9, sizeof(packed));
    for (size_t i = 1; i <= 900; i++)
        check_ok(sosie_rows_add(&rows, i, 0, packed, &err), &err);
    check_ok(sosie_segment_take(&rows, &segment, &err), &err);
    query.codes = sosie_segment_view(segment)->codes;
    query.scales[0] = sosie_segment_view(segment)->scales[0];
    query.scales[1] = sosie_segment_view(segment)->scales[1];
    sosie_scan(segment, NULL, &query, &top);
    sosie_top_sort(&top);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(heap[i].number, i + 1);
    sosie_segment_close(segment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            quantised_vectors_have_unit_length_and_the_same_direction),
        cmocka_unit_test(vectors_without_direction_become_zeros),
        cmocka_unit_test(row_numbers_must_rise),
        cmocka_unit_test(a_segment_comes_back_as_it_was_written),
        cmocka_unit_test(damage_is_always_noticed),
        cmocka_unit_test(a_segment_of_another_model_is_a_conflict),
        cmocka_unit_test(the_scan_finds_what_its_definition_finds),
        cmocka_unit_test(equal_scores_come_in_the_order_of_their_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
