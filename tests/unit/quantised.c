/* Every path of the kernels of 8-bit networks against plain C: the very same
 * bytes, for all tails. Each tensor is a block of its own, so that a sanitizer
 * sees a read or a write past what the contract allows. */
#include "kernels/kernels.h"

#include "base/random.h"
#include "check.h"
#include "nn/int8.h"

#include <float.h>

enum {
    MAX_LEVELS = 3,
    MAX_PIXELS = 13,
    SLACK = 28,
    DEPTHWISE_SLACK = 15,
    MARK = 0x5a
};

/* The tables this machine can run, plain C left out. */
struct paths {
    struct sosie_kernels c, fast[MAX_LEVELS];
    size_t n_fast;
    struct sosie_random random;
};

static int set_up(void **state)
{
    static const unsigned levels[MAX_LEVELS] = {
        SOSIE_CPU_AVX2, SOSIE_CPU_AVX512VNNI,
        SOSIE_CPU_AVX512VNNI | SOSIE_CPU_AVX512VBMI};
    static struct paths paths;
    memset(&paths, 0, sizeof(paths));
    sosie_kernels_init(&paths.c, 0);
    for (size_t i = 0; i < MAX_LEVELS; i++)
        if ((sosie_cpu_flags() & levels[i]) == levels[i])
            sosie_kernels_init(&paths.fast[paths.n_fast++], levels[i]);
    sosie_random_seed(&paths.random, 11);
    *state = &paths;
    return 0;
}

static void *block(size_t size)
{
    void *at = malloc(size ? size : 1);
    assert_non_null(at);
    return at;
}

/* Aligned, as a net's parameters are. */
static void *aligned(size_t size)
{
    void *at = aligned_alloc(64, (size + 63) / 64 * 64);
    assert_non_null(at);
    return at;
}

static void *bytes(struct paths *p, size_t n)
{
    uint8_t *at = block(n);
    for (size_t i = 0; i < n; i++)
        at[i] = (uint8_t)sosie_random_below(&p->random, 256);
    return at;
}

/* Often of the largest size: sums then come near their limits. */
static int8_t *weights(struct paths *p, size_t n)
{
    int8_t *at = block(n);
    bool extreme = sosie_random_below(&p->random, 4) == 0;
    for (size_t i = 0; i < n; i++)
        at[i] = extreme
                    ? (int8_t)(sosie_random_below(&p->random, 2) ? 127 : -128)
                    : (int8_t)((int)sosie_random_below(&p->random, 256) - 128);
    return at;
}

static float *floats(struct paths *p, size_t n, float scale, float shift)
{
    float *at = block(n * sizeof(*at));
    for (size_t i = 0; i < n; i++)
        at[i] = shift + scale * (float)sosie_random_normal(&p->random);
    return at;
}

static void same(const void *a, const void *b, size_t n, const char *path,
                 const char *what)
{
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < n; i++)
        if (x[i] != y[i])
            fail_msg("%s with %s: byte %zu is %u, in plain C %u", what, path, i,
                     x[i], y[i]);
}

/* ---- what becomes of sums ------------------------------------------------ */

enum finish { PLAIN, ACT, RESIDUAL, ROUNDED, TO_FLOAT, N_FINISHES };

/* Scales and shifts for n channels, in whole groups. */
static struct sosie_qfinish make_finish(struct paths *p, enum finish kind,
                                        size_t n, size_t n_products,
                                        struct sosie_qact *act)
{
    size_t room = (n / SOSIE_QGROUP + 2) * SOSIE_QGROUP;
    struct sosie_qfinish f = {.low = 3.0F, .high = 250.0F};
    f.scale = floats(p, room, 1.0F / (float)(n_products * 60 + 60), 0.0F);
    f.shift = floats(p, room, 9.0F, 120.0F);
    if (kind == ACT) {
        sosie_qact_fit(SOSIE_OP_HARD_SWISH, (struct sosie_act){0.0F, 0.0F},
                       1.0F, 7.0F, act);
        f.act = act;
    }
    f.rounds = kind == ROUNDED;
    f.to_float = kind == TO_FLOAT;
    if (kind == TO_FLOAT)
        f.low = -50.0F;
    f.gain = 0.7F;
    f.residual_gain = 0.4F;
    f.residual_shift = -11.3F;
    return f;
}

static void release_finish(struct sosie_qfinish *f)
{
    free((void *)(uintptr_t)f->scale);
    free((void *)(uintptr_t)f->shift);
}

/* ---- convolutions -------------------------------------------------------- */

struct conv_case {
    size_t n_taps, n_quads, n_in, n_out, n;
    /* Weights as (n_out, n_in, n_taps), as (n_out, n_taps, n_in), or, of one
     * tap, as (n_in, n_out). */
    enum { TAPS_LAST, TAPS_FIRST, CHANNELS_LAST } order;
    enum finish finish;
};

/* A convolution and the tensors that it works on. */
struct conv {
    struct conv_case c;
    struct sosie_qconv conv;
    struct sosie_qact act;
    const int8_t *weights;
    const uint8_t *in[MAX_PIXELS], *residual[MAX_PIXELS];
};

static void run_conv(struct conv *t, const struct sosie_kernels *kernels,
                     void *const *out)
{
    const struct conv_case *c = &t->c;
    bool has_residual = c->finish == RESIDUAL || c->finish == ROUNDED;
    struct sosie_qweights w;
    int8_t *packed =
        aligned(kernels->qconv_size(c->n_taps, c->n_quads, c->n_out));
    assert_int_equal(kernels->qconv_size(c->n_taps, c->n_quads, c->n_out) % 64,
                     0);
    w = (struct sosie_qweights){.at = t->weights,
                                .n_out = c->n_out,
                                .n_taps = c->n_taps,
                                .n_in = c->n_in,
                                .channel = c->n_in * c->n_taps,
                                .tap = c->order == TAPS_FIRST ? c->n_in : 1,
                                .byte = c->order == TAPS_FIRST ? 1 : c->n_taps};
    if (c->order == CHANNELS_LAST) {
        w.channel = 1;
        w.byte = c->n_out;
    }
    kernels->qconv_pack(&w, c->n_quads, packed);
    t->conv.weights = packed;
    kernels->qconv(&t->conv, t->in, out, has_residual ? t->residual : NULL,
                   c->n);
    free(packed);
}

static void check_conv(struct paths *p, struct conv_case c)
{
    struct conv t = {.c = c};
    ptrdiff_t taps[4];
    size_t size = c.n_out * (c.finish == TO_FLOAT ? sizeof(float) : 1);
    size_t window = c.n_taps * (4 * c.n_quads + 3) - 3 + SLACK;
    void *expected[MAX_PIXELS], *got[MAX_PIXELS];
    for (size_t k = 0; k < c.n_taps; k++)
        taps[k] = (ptrdiff_t)(k * (4 * c.n_quads + 3));
    t.weights = weights(p, c.n_out * c.n_in * c.n_taps);
    t.conv = (struct sosie_qconv){
        .n_taps = c.n_taps,
        .taps = taps,
        .n_quads = c.n_quads,
        .n_out = c.n_out,
        .finish = make_finish(p, c.finish, c.n_out, c.n_in * c.n_taps, &t.act)};
    for (size_t i = 0; i < c.n; i++) {
        t.in[i] = bytes(p, window);
        t.residual[i] = bytes(p, c.n_out);
        expected[i] = block(size);
        got[i] = block(size);
    }
    run_conv(&t, &p->c, expected);
    for (size_t k = 0; k < p->n_fast; k++) {
        for (size_t i = 0; i < c.n; i++)
            memset(got[i], MARK, size);
        run_conv(&t, &p->fast[k], got);
        for (size_t i = 0; i < c.n; i++)
            same(got[i], expected[i], size, p->fast[k].name, "a convolution");
    }
    for (size_t i = 0; i < c.n; i++) {
        free((void *)(uintptr_t)t.in[i]);
        free((void *)(uintptr_t)t.residual[i]);
        free(expected[i]);
        free(got[i]);
    }
    free((void *)(uintptr_t)t.weights);
    release_finish(&t.conv.finish);
}

static void convolutions_of_any_size(void **state)
{
    static const size_t n_outs[] = {1,  7,  8,  9,  16, 17,  24,
                                    33, 63, 64, 65, 72, 130, 300};
    static const size_t quads[] = {1, 2, 3, 4, 5, 9, 63};
    struct paths *p = *state;
    size_t turn = 0;
    for (size_t o = 0; o < sizeof(n_outs) / sizeof(*n_outs); o++)
        for (size_t q = 0; q < sizeof(quads) / sizeof(*quads); q++)
            for (size_t taps = 1; taps <= 3; taps += 2, turn++)
                check_conv(p, (struct conv_case){
                                  .n_taps = taps,
                                  .n_quads = quads[q],
                                  .n_in = 4 * quads[q] - turn % 4,
                                  .n_out = n_outs[o],
                                  .n = 1 + turn % MAX_PIXELS,
                                  .order = turn % (taps == 1 ? 3 : 2),
                                  .finish = (enum finish)(turn % N_FINISHES)});
}

/* More products than are summed in one go, and sums near the end of int32. */
static void long_sums(void **state)
{
    struct paths *p = *state;
    for (size_t n = 1; n <= 5; n++)
        for (size_t f = 0; f < N_FINISHES; f++)
            check_conv(p, (struct conv_case){.n_taps = n % 2 ? 1 : 4,
                                             .n_quads = 259 * n,
                                             .n_in = 1036 * n - 1,
                                             .n_out = 20 * n,
                                             .n = n,
                                             .finish = (enum finish)f});
    check_conv(
        p,
        (struct conv_case){
            .n_taps = 1, .n_quads = 16383, .n_in = 65532, .n_out = 9, .n = 2});
}

/* ---- depthwise convolutions ---------------------------------------------- */

struct depthwise_case {
    size_t channels, kernel_h, kernel_w, stride, width;
    bool act;
};

static void check_depthwise(struct paths *p, struct depthwise_case c)
{
    size_t pixel = (c.channels + 3) / 4 * 4;
    size_t in_width = (c.width - 1) * c.stride + c.kernel_w;
    size_t out_size = (c.width - 1) * pixel + c.channels;
    size_t size = sosie_qdepthwise_size(c.channels, c.kernel_h, c.kernel_w);
    int8_t *w = weights(p, c.channels * c.kernel_h * c.kernel_w);
    int8_t *packed = aligned(size);
    const uint8_t *rows[SOSIE_QDEPTHWISE_MAX];
    uint8_t *expected = block(out_size), *got = block(out_size);
    struct sosie_qact act;
    struct sosie_qdepthwise conv = {
        .channels = c.channels,
        .kernel_h = c.kernel_h,
        .kernel_w = c.kernel_w,
        .stride = c.stride,
        .pixel = pixel,
        .weights = packed,
        .finish = make_finish(p, c.act ? ACT : PLAIN, c.channels,
                              c.kernel_h * c.kernel_w, &act)};
    for (size_t y = 0; y < c.kernel_h; y++)
        rows[y] =
            bytes(p, (in_width - 1) * pixel + c.channels + DEPTHWISE_SLACK);
    sosie_qdepthwise_pack(w, c.channels, c.kernel_h, c.kernel_w, packed);
    memset(expected, MARK, out_size);
    p->c.qdepthwise(&conv, rows, expected, pixel, c.width);
    for (size_t k = 0; k < p->n_fast; k++) {
        memset(got, MARK, out_size); /* between pixels nothing is written */
        p->fast[k].qdepthwise(&conv, rows, got, pixel, c.width);
        same(got, expected, out_size, p->fast[k].name, "a depthwise one");
    }
    for (size_t y = 0; y < c.kernel_h; y++)
        free((void *)(uintptr_t)rows[y]);
    free(w);
    free(packed);
    free(expected);
    free(got);
    release_finish(&conv.finish);
}

static void depthwise_convolutions_of_any_size(void **state)
{
    static const size_t kernels[][2] = {{3, 3}, {5, 5}, {7, 7}, {1, 3},
                                        {2, 2}, {8, 4}, {4, 17}};
    struct paths *p = *state;
    for (size_t k = 0; k < sizeof(kernels) / sizeof(*kernels); k++)
        for (size_t stride = 1; stride <= 5; stride++)
            for (size_t channels = 1; channels <= 140; channels += 9)
                check_depthwise(p, (struct depthwise_case){
                                       channels, kernels[k][0], kernels[k][1],
                                       stride, 1 + (channels + stride) % 11,
                                       channels % 2});
}

/* ---- element by element -------------------------------------------------- */

enum { MOST = 140 };

static void element_by_element_for_all_tails(void **state)
{
    struct paths *p = *state;
    const struct sosie_qsum sum = {0.83F, 0.41F, -20.5F, 4.0F, 251.0F};
    for (size_t n = 0; n <= MOST; n++) {
        uint8_t *a = bytes(p, n), *b = bytes(p, n), *table = bytes(p, 256);
        float *gain = floats(p, n, 1.0F, 0.5F),
              *shift = floats(p, n, 99.0F, 0.0F);
        float *expected_f = block(n * sizeof(float));
        float *got_f = block(n * sizeof(float));
        uint8_t *expected = block(n), *got = block(n);
        for (size_t i = 0; i < p->n_fast; i++) {
            const struct sosie_kernels *f = &p->fast[i], *c = &p->c;
            c->qaffine(a, gain, shift, expected, n);
            f->qaffine(a, gain, shift, got, n);
            same(got, expected, n, f->name, "qaffine");
            c->qadd(&sum, a, b, expected, n);
            f->qadd(&sum, a, b, got, n);
            same(got, expected, n, f->name, "qadd");
            c->qmul(&sum, a, 100, b, -30, expected, n);
            f->qmul(&sum, a, 100, b, -30, got, n);
            same(got, expected, n, f->name, "qmul");
            c->qmap(table, a, expected, n);
            f->qmap(table, a, got, n);
            same(got, expected, n, f->name, "qmap");
            memcpy(expected, b, n);
            memcpy(got, b, n);
            c->qmax(a, expected, n);
            f->qmax(a, got, n);
            same(got, expected, n, f->name, "qmax");
            c->qquantise(shift, 1.9F, 77.7F, expected, n);
            f->qquantise(shift, 1.9F, 77.7F, got, n);
            same(got, expected, n, f->name, "qquantise");
            c->qdequantise(a, 131.0F, 0.013F, expected_f, n);
            f->qdequantise(a, 131.0F, 0.013F, got_f, n);
            same(got_f, expected_f, n * sizeof(float), f->name, "qdequantise");
        }
        free(a);
        free(b);
        free(table);
        free(gain);
        free(shift);
        free(expected);
        free(expected_f);
        free(got);
        free(got_f);
    }
}

static void quantising_keeps_what_no_byte_can_be_within_bounds(void **state)
{
    static const float in[] = {1e30F, -1e30F, FLT_MAX, -FLT_MAX, 0.5F,
                               1.5F,  254.5F, 255.5F,  -0.5F};
    static const uint8_t expected[] = {255, 0, 255, 0, 0, 2, 254, 255, 0};
    struct paths *p = *state;
    uint8_t got[sizeof(expected)];
    p->c.qquantise(in, 1.0F, 0.0F, got, sizeof(got));
    same(got, expected, sizeof(got), "plain C", "qquantise");
    for (size_t i = 0; i < p->n_fast; i++) {
        p->fast[i].qquantise(in, 1.0F, 0.0F, got, sizeof(got));
        same(got, expected, sizeof(got), p->fast[i].name, "qquantise");
    }
}

static void sums_over_pixels_for_all_tails(void **state)
{
    static const size_t n_pixels[] = {1, 7, 256, 257, 600};
    struct paths *p = *state;
    for (size_t k = 0; k < sizeof(n_pixels) / sizeof(*n_pixels); k++)
        for (size_t n = 0; n <= 70; n += 1 + n / 20) {
            size_t pixel = n + 3;
            uint8_t *in = block((n_pixels[k] - 1) * pixel + n + 1);
            uint32_t *expected = block(n * sizeof(*expected));
            uint32_t *got = block(n * sizeof(*got));
            memset(in, 255, (n_pixels[k] - 1) * pixel + n + 1);
            for (size_t i = 0; i < p->n_fast; i++) {
                for (size_t c = 0; c < n; c++)
                    expected[c] = got[c] = (uint32_t)c * 1000;
                p->c.qaccumulate(in, pixel, n_pixels[k], expected, n);
                p->fast[i].qaccumulate(in, pixel, n_pixels[k], got, n);
                same(got, expected, n * sizeof(*got), p->fast[i].name,
                     "qaccumulate");
            }
            free(in);
            free(expected);
            free(got);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_of_any_size),
        cmocka_unit_test(long_sums),
        cmocka_unit_test(depthwise_convolutions_of_any_size),
        cmocka_unit_test(element_by_element_for_all_tails),
        cmocka_unit_test(quantising_keeps_what_no_byte_can_be_within_bounds),
        cmocka_unit_test(sums_over_pixels_for_all_tails),
    };
    return cmocka_run_group_tests_name("quantised", tests, set_up, NULL);
}
