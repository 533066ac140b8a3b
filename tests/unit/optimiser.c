/* optimiser.c: steps against PyTorch's, what a step leaves alone, what it
 * refuses, and that going on is as if nothing had been. */
#include "train/optimiser.h"
#include "base/random.h"
#include "golden_arrays.h"

#include <math.h>

#define FILE_NAME "train/losses.txt"

/* More than the optimiser treats at once, and no round number. */
enum { N = 2500 };

static const enum sosie_optimiser_kind both[] = {SOSIE_SGD, SOSIE_ADAMW};

static void fill(struct sosie_random *random, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)sosie_random_normal(random);
}

static struct sosie_optimiser
started(const struct sosie_optimiser_options *options, const float *params,
        size_t n)
{
    struct sosie_optimiser optimiser;
    struct sosie_error err;
    check_ok(sosie_optimiser_init(&optimiser, options, params, n, &err), &err);
    return optimiser;
}

/* A step in which all N parameters are one slice. */
static void step_all(struct sosie_optimiser *optimiser, float *params,
                     const float *grads, float rate)
{
    const struct sosie_slice_options all = {0, N, 1, true};
    struct sosie_error err;
    check_ok(sosie_optimiser_step(optimiser, params, grads, &all, 1, rate, NULL,
                                  &err),
             &err);
}

static void check_same_bits(const float *a, const float *b, size_t n)
{
    assert_memory_equal(a, b, n * sizeof(*a));
}

/* ---- PyTorch's numbers --------------------------------------------------- */

/* Ten steps with clipping, half of the parameters decaying, as losses.py. */
static void check_against_torch(const char *name,
                                struct sosie_optimiser_options options)
{
    struct golden_array start = golden_array(FILE_NAME, "optimise", ".start");
    struct golden_array grads =
        golden_array(FILE_NAME, "optimise", ".gradients");
    struct golden_array rates = golden_array(FILE_NAME, "optimise", ".rates");
    struct golden_array norms = golden_array(FILE_NAME, "optimise", ".norms");
    struct golden_array expected = golden_array(FILE_NAME, name, ".params");
    struct golden_array average = golden_array(FILE_NAME, name, ".average");
    size_t n = start.n;
    const struct sosie_slice_options slices[] = {{0, n / 2, 1, true},
                                                 {n / 2, n / 2, 1, false}};
    float params[512], all_grads[512], found[512];
    struct sosie_optimiser optimiser;

    golden_as_floats(&start, params);
    golden_as_floats(&grads, all_grads);
    options.weight_decay = 0.1F;
    options.clip_norm = 4;
    options.ema = 0.3F;
    optimiser = started(&options, params, n);
    for (size_t step = 0; step < rates.n; step++) {
        struct sosie_error err;
        double norm;
        check_ok(sosie_optimiser_step(&optimiser, params, all_grads + step * n,
                                      slices, 2, (float)rates.values[step],
                                      &norm, &err),
                 &err);
        assert_true(fabs(norm - norms.values[step]) < 1e-6 * norm);
        memcpy(found + step * n, params, n * sizeof(float));
    }
    assert_int_equal(expected.n, rates.n * n);
    check_golden(name, &expected, found, 1e-6);
    check_golden(name, &average, optimiser.average, 1e-6);
    sosie_optimiser_release(&optimiser);
}

static void sgd_is_what_pytorch_has(void **state)
{
    (void)state;
    check_against_torch("sgd", sosie_optimiser_options_defaults(SOSIE_SGD));
}

static void adamw_is_what_pytorch_has(void **state)
{
    (void)state;
    check_against_torch("adamw", sosie_optimiser_options_defaults(SOSIE_ADAMW));
}

static void the_schedule_is_what_pytorch_has(void **state)
{
    struct golden_array rates = golden_array(FILE_NAME, "rates", "");
    float found[32];
    (void)state;
    for (size_t step = 0; step < rates.n; step++)
        found[step] = sosie_rate_at(step, rates.n - 1, 4, 0.05F, 0.001F);
    check_golden("rates", &rates, found, 1e-6);
}

static void a_schedule_may_be_short(void **state)
{
    (void)state;
    assert_true(sosie_rate_at(0, 10, 0, 2, 1) == 2);
    assert_true(sosie_rate_at(0, 10, 5, 2, 1) == 0);
    assert_true(sosie_rate_at(5, 10, 5, 2, 1) == 2);
    assert_true(sosie_rate_at(10, 10, 5, 2, 1) == 1);
    assert_true(sosie_rate_at(1000, 10, 5, 2, 1) == 1);
    assert_true(sosie_rate_at(5, 10, 20, 2, 1) == 0.5F);
    assert_true(sosie_rate_at(10, 10, 20, 2, 1) == 1);
    assert_true(sosie_rate_at(9, 10, 10, 2, 1) == 1.8F);
    assert_true(sosie_rate_at(0, 0, 0, 2, 1) == 1);
}

/* ---- what a step does ---------------------------------------------------- */

/* Any number of floats, in one slice or in many of odd sizes. */
static void slices_are_only_a_way_of_saying_it(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 1);
    for (size_t k = 0; k < 2; k++) {
        struct sosie_optimiser_options options =
            sosie_optimiser_options_defaults(both[k]);
        struct sosie_slice_options slices[N];
        float whole[N], parted[N], grads[N];
        struct sosie_optimiser a, b;
        size_t n_slices = 0;

        for (size_t at = 0; at < N; n_slices++) {
            size_t n = (size_t)sosie_random_below(&random, 1300);
            n = n < N - at ? n : N - at;
            slices[n_slices] = (struct sosie_slice_options){at, n, 1, true};
            at += n;
        }
        fill(&random, whole, N);
        memcpy(parted, whole, sizeof(whole));
        options.ema = 0.9F;
        a = started(&options, whole, N);
        b = started(&options, parted, N);
        for (int step = 0; step < 5; step++) {
            struct sosie_error err;
            fill(&random, grads, N);
            step_all(&a, whole, grads, 0.1F);
            check_ok(sosie_optimiser_step(&b, parted, grads, slices, n_slices,
                                          0.1F, NULL, &err),
                     &err);
        }
        check_same_bits(whole, parted, N);
        check_same_bits(a.average, b.average, N);
        sosie_optimiser_release(&a);
        sosie_optimiser_release(&b);
    }
}

static void a_step_of_a_slice_goes_by_its_rate(void **state)
{
    struct sosie_optimiser_options options =
        sosie_optimiser_options_defaults(SOSIE_SGD);
    const struct sosie_slice_options slices[] = {{0, 1, 1, false},
                                                 {1, 1, 0.25F, false}};
    const float grads[2] = {1, 1};
    float params[2] = {1, 1};
    struct sosie_optimiser optimiser = started(&options, params, 2);
    struct sosie_error err;
    (void)state;
    check_ok(sosie_optimiser_step(&optimiser, params, grads, slices, 2, 0.5F,
                                  NULL, &err),
             &err);
    assert_true(params[0] == 0.5F && params[1] == 0.875F);
    sosie_optimiser_release(&optimiser);
}

/* Nor is their gradient looked at, which may be anything. */
static void frozen_slices_are_untouched(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 2);
    for (size_t k = 0; k < 2; k++) {
        struct sosie_optimiser_options options =
            sosie_optimiser_options_defaults(both[k]);
        const struct sosie_slice_options slices[] = {
            {0, 900, 1, true}, {900, 700, 0, true}, {1700, N - 1700, 1, true}};
        float params[N], before[N], grads[N], zeros[N] = {0};
        struct sosie_optimiser optimiser;
        double norm;

        fill(&random, params, N);
        memcpy(before, params, sizeof(params));
        options.clip_norm = 1;
        options.ema = 0.99F;
        optimiser = started(&options, params, N);
        for (int step = 0; step < 3; step++) {
            struct sosie_error err;
            fill(&random, grads, N);
            for (size_t i = 900; i < 1700; i++)
                grads[i] = NAN;
            check_ok(sosie_optimiser_step(&optimiser, params, grads, slices, 3,
                                          0.1F, &norm, &err),
                     &err);
            assert_true(norm > 30 && norm < 50); /* of 1700 normal numbers */
        }
        /* The frozen, and the hundred that are in no slice. */
        check_same_bits(params + 900, before + 900, 800);
        check_same_bits(optimiser.average + 900, before + 900, 800);
        check_same_bits(optimiser.first + 900, zeros, 800);
        if (optimiser.second)
            check_same_bits(optimiser.second + 900, zeros, 800);
        for (size_t i = 0; i < N; i++)
            assert_true((params[i] != before[i]) == (i < 900 || i >= 1700));
        sosie_optimiser_release(&optimiser);
    }
}

static void only_what_shall_decay_decays(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 3);
    for (size_t k = 0; k < 2; k++) {
        struct sosie_optimiser_options options =
            sosie_optimiser_options_defaults(both[k]);
        const struct sosie_slice_options slices[] = {
            {0, 1000, 1, true}, {1000, N - 1000, 1, false}};
        float params[N], before[N], grads[N] = {0};
        struct sosie_optimiser optimiser;
        struct sosie_error err;

        fill(&random, params, N);
        memcpy(before, params, sizeof(params));
        options.weight_decay = 0.5F;
        optimiser = started(&options, params, N);
        check_ok(sosie_optimiser_step(&optimiser, params, grads, slices, 2,
                                      0.5F, NULL, &err),
                 &err);
        for (size_t i = 0; i < 1000; i++)
            assert_true(params[i] == 0.75F * before[i]);
        check_same_bits(params + 1000, before + 1000, N - 1000);
        sosie_optimiser_release(&optimiser);
    }
}

static void a_long_gradient_is_shortened(void **state)
{
    struct sosie_optimiser_options options =
        sosie_optimiser_options_defaults(SOSIE_SGD);
    const struct sosie_slice_options all = {0, 2, 1, false};
    const float grads[][2] = {{0.3F, 0.4F}, {3, 4}, {3e30F, -4e30F}};
    (void)state;
    options.clip_norm = 1;
    for (size_t k = 0; k < 3; k++) {
        float params[2] = {0, 0}, length;
        struct sosie_optimiser optimiser = started(&options, params, 2);
        struct sosie_error err;
        double norm;
        check_ok(sosie_optimiser_step(&optimiser, params, grads[k], &all, 1, 1,
                                      &norm, &err),
                 &err);
        length = hypotf(params[0], params[1]);
        assert_true(fabs(norm / (double)hypotf(grads[k][0], grads[k][1]) - 1) <
                    1e-6);
        assert_true(fabsf(length - (k == 0 ? 0.5F : 1)) < 1e-6F);
        sosie_optimiser_release(&optimiser);
    }
}

/* It starts as the parameters are; at first it keeps less than it is told to.
 */
static void the_average_follows_the_parameters(void **state)
{
    struct sosie_optimiser_options options =
        sosie_optimiser_options_defaults(SOSIE_SGD);
    const struct sosie_slice_options frozen = {0, 1, 0, false};
    const float grad = 0;
    float param = 1;
    double expected = 1;
    struct sosie_optimiser optimiser;
    (void)state;
    options.ema = 0.5F;
    optimiser = started(&options, &param, 1);
    assert_true(*optimiser.average == 1);
    param = 3; /* as the statistics of a normalisation are: not by gradients */
    for (int step = 0; step < 20; step++) {
        struct sosie_error err;
        double kept = fmin(0.5, (1.0 + step) / (10.0 + step));
        check_ok(sosie_optimiser_step(&optimiser, &param, &grad, &frozen, 1, 1,
                                      NULL, &err),
                 &err);
        expected = kept * expected + (1 - kept) * 3;
        assert_true(fabs((double)*optimiser.average - expected) < 1e-6);
    }
    assert_true(param == 3);
    sosie_optimiser_release(&optimiser);
}

/* ---- what it refuses, and going on --------------------------------------- */

/* Everything that a step may change, as it was. */
struct snapshot {
    float params[N], first[N], second[N], average[N];
    uint64_t n_steps;
};

static void take(struct snapshot *snapshot, const float *params,
                 const struct sosie_optimiser *optimiser)
{
    memset(snapshot, 0, sizeof(*snapshot));
    memcpy(snapshot->params, params, sizeof(snapshot->params));
    memcpy(snapshot->first, optimiser->first, sizeof(snapshot->first));
    if (optimiser->second)
        memcpy(snapshot->second, optimiser->second, sizeof(snapshot->second));
    memcpy(snapshot->average, optimiser->average, sizeof(snapshot->average));
    snapshot->n_steps = optimiser->n_steps;
}

static void put_back(const struct snapshot *snapshot, float *params,
                     struct sosie_optimiser *optimiser)
{
    memcpy(params, snapshot->params, sizeof(snapshot->params));
    memcpy(optimiser->first, snapshot->first, sizeof(snapshot->first));
    if (optimiser->second)
        memcpy(optimiser->second, snapshot->second, sizeof(snapshot->second));
    memcpy(optimiser->average, snapshot->average, sizeof(snapshot->average));
    optimiser->n_steps = snapshot->n_steps;
}

static void a_gradient_that_is_not_finite_changes_nothing(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static const size_t places[] = {0, 7, 1023, 1024, N - 1};
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 4);
    for (size_t k = 0; k < 2; k++) {
        struct sosie_optimiser_options options =
            sosie_optimiser_options_defaults(both[k]);
        const struct sosie_slice_options all = {0, N, 1, true};
        float params[N], grads[N];
        struct snapshot before, after;
        struct sosie_optimiser optimiser;

        fill(&random, params, N);
        fill(&random, grads, N);
        options.ema = 0.99F;
        optimiser = started(&options, params, N);
        step_all(&optimiser, params, grads, 0.1F);
        take(&before, params, &optimiser);
        for (size_t i = 0; i < 15; i++) {
            float good = grads[places[i % 5]];
            struct sosie_error err;
            double norm = 7;
            grads[places[i % 5]] = bad[i / 5];
            check_fails(sosie_optimiser_step(&optimiser, params, grads, &all, 1,
                                             0.1F, &norm, &err),
                        SOSIE_BAD_INPUT, &err, "not finite at step 1");
            grads[places[i % 5]] = good;
            take(&after, params, &optimiser);
            assert_memory_equal(&before, &after, sizeof(before));
            assert_true(norm == 7);
        }
        sosie_optimiser_release(&optimiser);
    }
}

static void a_resumed_training_is_the_uninterrupted_one(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 5);
    for (size_t k = 0; k < 2; k++) {
        struct sosie_optimiser_options options =
            sosie_optimiser_options_defaults(both[k]);
        static float grads[12][N];
        float params[N], resumed_params[N], zeros[N] = {0};
        struct snapshot half, end, resumed_end;
        struct sosie_optimiser optimiser, resumed;

        fill(&random, params, N);
        fill(&random, *grads, 12 * N);
        options.ema = 0.9F;
        options.clip_norm = 30;
        optimiser = started(&options, params, N);
        for (uint64_t step = 0; step < 12; step++) {
            if (step == 5)
                take(&half, params, &optimiser);
            step_all(&optimiser, params, grads[step],
                     sosie_rate_at(step, 12, 3, 0.1F, 0));
        }
        take(&end, params, &optimiser);

        resumed = started(&options, zeros, N);
        put_back(&half, resumed_params, &resumed);
        for (uint64_t step = 5; step < 12; step++)
            step_all(&resumed, resumed_params, grads[step],
                     sosie_rate_at(step, 12, 3, 0.1F, 0));
        take(&resumed_end, resumed_params, &resumed);
        assert_memory_equal(&end, &resumed_end, sizeof(end));
        sosie_optimiser_release(&optimiser);
        sosie_optimiser_release(&resumed);
    }
}

static void both_go_down_a_valley(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 6);
    for (size_t k = 0; k < 2; k++) {
        struct sosie_optimiser_options options =
            sosie_optimiser_options_defaults(both[k]);
        float params[N], target[N], grads[N];
        struct sosie_optimiser optimiser;

        fill(&random, params, N);
        fill(&random, target, N);
        options.weight_decay = 0;
        options.ema = 0.9F;
        optimiser = started(&options, params, N);
        for (uint64_t step = 0; step < 300; step++) {
            for (size_t i = 0; i < N; i++)
                grads[i] = (float)(1 + i % 4) * (params[i] - target[i]);
            step_all(&optimiser, params, grads,
                     sosie_rate_at(step, 300, 10, 0.1F, 0));
        }
        check_close("parameters", params, target, N, 1e-3);
        check_close("their average", optimiser.average, target, N, 1e-3);
        sosie_optimiser_release(&optimiser);
    }
}

static void options_out_of_their_range_are_refused(void **state)
{
    static const struct {
        size_t offset;
        float value;
        const char *words;
    } cases[] = {
#define OPTION(field) offsetof(struct sosie_optimiser_options, field)
        {OPTION(momentum), 1, "momentum is 1"},
        {OPTION(beta1), -0.5F, "beta1 is -0.5"},
        {OPTION(beta2), NAN, "beta2 is nan"},
        {OPTION(epsilon), 0, "epsilon is 0"},
        {OPTION(weight_decay), -1, "weight decay is -1"},
        {OPTION(clip_norm), INFINITY, "clip norm is inf"},
        {OPTION(ema), 1, "ema is 1, expected at least 0 and below 1"},
#undef OPTION
    };
    const float params[1] = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sosie_optimiser_options options =
            sosie_optimiser_options_defaults(SOSIE_ADAMW);
        struct sosie_optimiser optimiser;
        struct sosie_error err;
        memcpy((char *)&options + cases[i].offset, &cases[i].value,
               sizeof(float));
        check_fails(sosie_optimiser_init(&optimiser, &options, params, 1, &err),
                    SOSIE_BAD_INPUT, &err, cases[i].words);
    }
}

static void too_many_parameters_to_hold_are_an_error(void **state)
{
    struct sosie_optimiser_options options =
        sosie_optimiser_options_defaults(SOSIE_SGD);
    const float params[1] = {0};
    struct sosie_optimiser optimiser;
    struct sosie_error err;
    (void)state;
    check_fails(
        sosie_optimiser_init(&optimiser, &options, params, SIZE_MAX / 2, &err),
        SOSIE_NO_MEMORY, &err, "optimiser");
}

static void an_optimiser_of_nothing_steps_and_is_released_twice(void **state)
{
    struct sosie_optimiser_options options =
        sosie_optimiser_options_defaults(SOSIE_ADAMW);
    struct sosie_optimiser optimiser;
    struct sosie_error err;
    double norm;
    (void)state;
    options.ema = 0.9F;
    optimiser = started(&options, NULL, 0);
    check_ok(
        sosie_optimiser_step(&optimiser, NULL, NULL, NULL, 0, 1, &norm, &err),
        &err);
    assert_true(norm == 0 && optimiser.n_steps == 1);
    sosie_optimiser_release(&optimiser);
    sosie_optimiser_release(&optimiser);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_is_what_pytorch_has),
        cmocka_unit_test(adamw_is_what_pytorch_has),
        cmocka_unit_test(the_schedule_is_what_pytorch_has),
        cmocka_unit_test(a_schedule_may_be_short),
        cmocka_unit_test(slices_are_only_a_way_of_saying_it),
        cmocka_unit_test(a_step_of_a_slice_goes_by_its_rate),
        cmocka_unit_test(frozen_slices_are_untouched),
        cmocka_unit_test(only_what_shall_decay_decays),
        cmocka_unit_test(a_long_gradient_is_shortened),
        cmocka_unit_test(the_average_follows_the_parameters),
        cmocka_unit_test(a_gradient_that_is_not_finite_changes_nothing),
        cmocka_unit_test(a_resumed_training_is_the_uninterrupted_one),
        cmocka_unit_test(both_go_down_a_valley),
        cmocka_unit_test(options_out_of_their_range_are_refused),
        cmocka_unit_test(too_many_parameters_to_hold_are_an_error),
        cmocka_unit_test(an_optimiser_of_nothing_steps_and_is_released_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
