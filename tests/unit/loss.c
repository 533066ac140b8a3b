/* loss.c: every loss against PyTorch's numbers, its gradients against central
 * differences, and what is left when there is little to compare. */
#include "train/loss.h"
#include "base/random.h"
#include "golden_arrays.h"

#define FILE_NAME "train/losses.txt"

enum { ROOM = 512, MAX_N = 16 };

/* What a loss is taken of. `x` has n rows, `y` what the loss is besides by:
 * proxies, centres, or a teacher, whose gradient isn't taken. */
struct problem {
    const char *name;
    double (*loss)(const struct problem *p, float weight, float *x_grad,
                   float *y_grad);
    bool has_y_grad;
    size_t n, dim, n_y, y_dim;
    float x[ROOM], y[ROOM];
    int32_t labels[MAX_N], groups[MAX_N];
    float sharpness; /* smoothing, temperature, alpha, scale */
    float margin;
};

/* ---- the losses, called alike -------------------------------------------- */

static double cross_entropy(const struct problem *p, float weight,
                            float *x_grad, float *y_grad)
{
    (void)y_grad;
    return sosie_loss_cross_entropy(p->x, p->labels, p->n, p->dim, p->sharpness,
                                    weight, x_grad, NULL);
}

static double distil(const struct problem *p, float weight, float *x_grad,
                     float *y_grad)
{
    (void)y_grad;
    return sosie_loss_distil(p->x, p->y, p->n, p->dim, p->sharpness, weight,
                             x_grad);
}

static double relations(const struct problem *p, float weight, float *x_grad,
                        float *y_grad)
{
    struct sosie_error err;
    double loss;
    (void)y_grad;
    check_ok(sosie_loss_relations(p->x, p->y, p->n, p->dim, p->y_dim, weight,
                                  x_grad, &loss, &err),
             &err);
    return loss;
}

static double contrastive(const struct problem *p, float weight, float *x_grad,
                          float *y_grad)
{
    struct sosie_error err;
    double loss;
    (void)y_grad;
    check_ok(sosie_loss_contrastive(p->x, p->labels, p->groups, p->n, p->dim,
                                    p->sharpness, weight, x_grad, &loss, &err),
             &err);
    return loss;
}

static double proxy_anchor(const struct problem *p, float weight, float *x_grad,
                           float *y_grad)
{
    struct sosie_error err;
    double loss;
    check_ok(sosie_loss_proxy_anchor(p->x, p->y, p->labels, p->n, p->dim,
                                     p->n_y, p->sharpness, p->margin, weight,
                                     x_grad, y_grad, &loss, &err),
             &err);
    return loss;
}

static double arcface(const struct problem *p, float weight, float *x_grad,
                      float *y_grad)
{
    struct sosie_error err;
    double loss;
    check_ok(sosie_loss_arcface(p->x, p->y, p->labels, p->n, p->dim, p->n_y,
                                p->sharpness, p->margin, weight, x_grad, y_grad,
                                &loss, &err),
             &err);
    return loss;
}

/* All of them, at settings that are easy on central differences. */
static const struct problem kinds[] = {
    {.name = "cross-entropy", .loss = cross_entropy},
    {.name = "smoothed cross-entropy",
     .loss = cross_entropy,
     .sharpness = 0.2F},
    {.name = "distillation", .loss = distil, .sharpness = 2},
    {.name = "relations", .loss = relations},
    {.name = "contrastive", .loss = contrastive, .sharpness = 0.3F},
    {.name = "Proxy-Anchor",
     .loss = proxy_anchor,
     .has_y_grad = true,
     .sharpness = 10,
     .margin = 0.1F},
    {.name = "ArcFace",
     .loss = arcface,
     .has_y_grad = true,
     .sharpness = 8,
     .margin = 0.3F},
};
enum { N_KINDS = sizeof(kinds) / sizeof(*kinds) };

static bool is_over_logits(const struct problem *p)
{
    return p->loss == cross_entropy || p->loss == distil;
}

/* ---- problems ------------------------------------------------------------ */

static size_t from_to(struct sosie_random *random, size_t from, size_t to)
{
    return from + (size_t)sosie_random_below(random, to - from + 1);
}

static void fill(struct sosie_random *random, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)sosie_random_normal(random);
}

/* One of any size; a fifth of the labels are missing. */
static struct problem random_problem(size_t kind, struct sosie_random *random)
{
    struct problem p = kinds[kind];
    p.n = from_to(random, 1, 9);
    p.dim = from_to(random, 2, 11);
    p.n_y = p.has_y_grad ? from_to(random, 1, 5) : p.n;
    p.y_dim = p.loss == relations ? from_to(random, 2, 11) : p.dim;
    fill(random, p.x, p.n * p.dim);
    fill(random, p.y, p.n_y * p.y_dim);
    for (size_t i = 0; i < p.n; i++) {
        size_t n_labels = p.has_y_grad ? p.n_y : p.dim < 4 ? p.dim : 4;
        p.labels[i] = (int32_t)sosie_random_below(random, n_labels);
        p.groups[i] = (int32_t)sosie_random_below(random, 5) - 1;
        if (sosie_random_below(random, 5) == 0)
            p.labels[i] = -1;
    }
    return p;
}

/* ---- central differences ------------------------------------------------- */

static double loss_of(const struct problem *p)
{
    float x_grad[ROOM] = {0}, y_grad[ROOM] = {0};
    return p->loss(p, 1, x_grad, y_grad);
}

/* The slope by one number of *p, from four points. */
static double difference(struct problem *p, float *at, float step)
{
    float before = *at;
    double losses[4];
    for (int i = 0; i < 4; i++) {
        static const float steps[4] = {-2, -1, 1, 2};
        *at = before + steps[i] * step;
        losses[i] = loss_of(p);
    }
    *at = before;
    return (8 * (losses[2] - losses[1]) - (losses[3] - losses[0])) /
           (12 * (double)step);
}

static float length_of(const float *x, size_t n)
{
    float square = 0;
    for (size_t i = 0; i < n; i++)
        square += x[i] * x[i];
    return sqrtf(square);
}

static bool is_zero(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0)
            return false;
    return true;
}

/* `added` holds the gradient by `x` (n, dim), one of the arrays of *p. A vector
 * whose direction counts is moved by a share of its length; one of zeros jumps
 * when it is touched, and has no gradient. */
static void check_differences(struct problem *p, float *x, size_t n, size_t dim,
                              const float *added)
{
    double expected[ROOM], largest = 0;
    for (size_t i = 0; i < n * dim; i++) {
        float step = is_over_logits(p) ? 1 : length_of(x + i / dim * dim, dim);
        expected[i] = step > 0 ? difference(p, &x[i], step / 128) : 0;
        largest = fmax(largest, fabs(expected[i]));
    }
    for (size_t i = 0; i < n * dim; i++)
        if (!(fabs((double)added[i] - expected[i]) <= 1e-3 * largest + 3e-5))
            fail_msg("%s of %zu x %zu: gradient %zu is %.9g, expected %.9g",
                     p->name, n, dim, i, (double)added[i], expected[i]);
}

/* ArcFace has an edge where the angle is 0, and a step where it is pi less the
 * margin. */
static bool is_at_an_edge(const struct problem *p)
{
    for (size_t i = 0; p->loss == arcface && i < p->n; i++) {
        const float *x = p->x + i * p->dim;
        const float *y =
            p->y + (p->labels[i] < 0 ? 0 : (size_t)p->labels[i]) * p->dim;
        double dot = 0, angle;
        if (p->labels[i] < 0 || is_zero(x, p->dim) || is_zero(y, p->dim))
            continue;
        for (size_t k = 0; k < p->dim; k++)
            dot += (double)x[k] * (double)y[k];
        angle = acos(dot / (double)length_of(x, p->dim) /
                     (double)length_of(y, p->dim));
        if (!(angle > 0.15) || fabs(angle + (double)p->margin - 3.1416) < 0.1)
            return true;
    }
    return false;
}

/* The gradients are right, added to what was there, and multiplied by the
 * weight; the loss isn't. */
static void check_gradients(struct problem *p)
{
    static const float weight = 0.5F;
    float x_grad[ROOM], y_grad[ROOM];
    double loss;

    if (is_at_an_edge(p))
        return;
    for (size_t i = 0; i < ROOM; i++)
        x_grad[i] = y_grad[i] = 0.25F * (float)(i % 7);
    loss = p->loss(p, weight, x_grad, y_grad);
    assert_true(isfinite(loss) && loss == loss_of(p));
    for (size_t i = 0; i < ROOM; i++) {
        x_grad[i] = (x_grad[i] - 0.25F * (float)(i % 7)) / weight;
        y_grad[i] = (y_grad[i] - 0.25F * (float)(i % 7)) / weight;
    }
    check_differences(p, p->x, p->n, p->dim, x_grad);
    assert_true(is_zero(x_grad + p->n * p->dim, ROOM - p->n * p->dim));
    if (p->has_y_grad)
        check_differences(p, p->y, p->n_y, p->y_dim, y_grad);
    else
        assert_true(is_zero(y_grad, ROOM));
}

static void gradients_are_those_of_central_differences(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 1);
    for (size_t kind = 0; kind < N_KINDS; kind++)
        for (int round = 0; round < 40; round++) {
            struct problem p = random_problem(kind, &random);
            check_gradients(&p);
        }
}

static void gradients_are_right_when_rows_are_equal_or_zero(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 2);
    for (size_t kind = 0; kind < N_KINDS; kind++)
        for (int round = 0; round < 10; round++) {
            struct problem p = random_problem(kind, &random);
            size_t bytes = p.dim * sizeof(float);
            if (p.n < 4)
                continue;
            memcpy(p.x + p.dim, p.x, bytes);
            memset(p.x + 3 * p.dim, 0, bytes);
            if (round % 2)
                memset(p.y, 0, p.y_dim * sizeof(float));
            check_gradients(&p);
        }
}

/* Every row is of one label, and then each of one of its own. */
static void
gradients_are_right_with_one_label_and_with_as_many_as_rows(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 3);
    for (size_t kind = 0; kind < N_KINDS; kind++)
        for (int round = 0; round < 6; round++) {
            struct problem p = random_problem(kind, &random);
            for (size_t i = 0; i < p.n; i++)
                p.labels[i] = 0;
            check_gradients(&p);
            p.dim = p.y_dim = 9;
            p.n_y = p.n;
            for (size_t i = 0; i < p.n; i++)
                p.labels[i] = (int32_t)i;
            fill(&random, p.x, p.n * p.dim);
            fill(&random, p.y, p.n_y * p.y_dim);
            check_gradients(&p);
        }
}

/* Over logits, numbers whose exponentials are far beyond any float. */
static void huge_logits_are_safe(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 4);
    for (size_t kind = 0; kind < N_KINDS; kind++)
        for (int round = 0; round < 10; round++) {
            struct problem p = random_problem(kind, &random);
            if (!is_over_logits(&p))
                continue;
            for (size_t i = 0; i < p.n * p.dim; i++)
                p.x[i] += (float)(i % 3) * 8192.0F - 4096.0F;
            check_gradients(&p);
            for (size_t i = 0; i < p.n * p.dim; i++)
                p.x[i] *= 1e30F;
            assert_true(isfinite(loss_of(&p)));
        }
}

/* Where all cosines are multiplied by as much as anybody would. */
static void sharp_losses_are_safe(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 5);
    for (size_t kind = 0; kind < N_KINDS; kind++)
        for (int round = 0; round < 10; round++) {
            struct problem p = random_problem(kind, &random);
            float x_grad[ROOM] = {0}, y_grad[ROOM] = {0};
            if (is_over_logits(&p))
                continue;
            p.sharpness = p.sharpness > 1 ? 1000 : 0.001F;
            assert_true(isfinite(p.loss(&p, 1, x_grad, y_grad)));
            for (size_t i = 0; i < ROOM; i++)
                assert_true(isfinite(x_grad[i]) && isfinite(y_grad[i]));
        }
}

/* ---- with little or nothing to count ------------------------------------- */

/* The loss is 0, and not a bit of the gradients is changed. */
static void check_nothing(const struct problem *p)
{
    float x_grad[ROOM], y_grad[ROOM], before[ROOM];
    for (size_t i = 0; i < ROOM; i++)
        x_grad[i] = y_grad[i] = before[i] = i % 2 ? -0.0F : 1e-30F;
    if (p->loss(p, 1, x_grad, y_grad) != 0)
        fail_msg("%s of nothing is not 0", p->name);
    assert_memory_equal(x_grad, before, sizeof(before));
    assert_memory_equal(y_grad, before, sizeof(before));
}

static void nothing_to_count_is_no_loss_and_no_gradient(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 6);
    for (size_t kind = 0; kind < N_KINDS; kind++) {
        struct problem p = random_problem(kind, &random);
        p.n = 0;
        check_nothing(&p);
        if (p.loss == relations || p.loss == contrastive) {
            p.n = 1;
            check_nothing(&p);
        }
        if (p.loss == relations || p.loss == distil)
            continue;
        p.n = 4;
        for (size_t i = 0; i < p.n; i++)
            p.labels[i] = -1;
        check_nothing(&p);
        if (p.loss != contrastive)
            continue;
        for (size_t i = 0; i < p.n; i++)
            p.labels[i] = (int32_t)i;
        check_nothing(&p);
    }
}

static void rows_without_a_label_have_no_gradient(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 7);
    for (size_t kind = 0; kind < N_KINDS; kind++)
        for (int round = 0; round < 10; round++) {
            struct problem p = random_problem(kind, &random);
            float x_grad[ROOM] = {0}, y_grad[ROOM] = {0};
            if (p.loss != cross_entropy && !p.has_y_grad)
                continue;
            p.loss(&p, 1, x_grad, y_grad);
            for (size_t i = 0; i < p.n; i++)
                if (p.labels[i] < 0)
                    assert_true(is_zero(x_grad + i * p.dim, p.dim));
        }
}

static void an_embedding_on_its_centre_is_safe(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 8);
    for (int round = 0; round < 20; round++) {
        struct problem p = random_problem(N_KINDS - 1, &random);
        float x_grad[ROOM] = {0}, y_grad[ROOM] = {0};
        float sign = round % 2 ? 1 : -1; /* and one opposite to it */
        p.labels[0] = 0;
        for (size_t k = 0; k < p.dim; k++)
            p.x[k] = 3 * sign * p.y[k];
        assert_true(isfinite(p.loss(&p, 1, x_grad, y_grad)));
        for (size_t i = 0; i < ROOM; i++)
            assert_true(fabsf(x_grad[i]) < 100 && fabsf(y_grad[i]) < 100);
    }
}

static void a_nan_is_never_hidden(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 9);
    for (size_t kind = 0; kind < N_KINDS; kind++)
        for (int round = 0; round < 10; round++) {
            struct problem p = random_problem(kind, &random);
            size_t at = from_to(&random, 0, p.dim - 1);
            p.labels[0] = p.labels[1] = 0;
            p.n = p.n < 2 ? 2 : p.n;
            p.n_y = p.has_y_grad ? p.n_y : p.n;
            if (p.has_y_grad && round % 2)
                p.y[at] = NAN;
            else
                p.x[at] = round % 4 < 2 ? NAN : INFINITY;
            if (!isnan(loss_of(&p)))
                fail_msg("%s hides a NaN", p.name);
        }
}

static void right_is_the_first_of_the_largest(void **state)
{
    static const float logits[5][3] = {
        {1, 2, 3}, {2, 2, 1}, {2, 2, 1}, {0, 5, 0}, {NAN, 1, 0}};
    static const int32_t labels[5] = {2, 0, 1, -1, 1};
    float grad[5][3] = {{0}};
    size_t n_right = 99;
    (void)state;
    sosie_loss_cross_entropy(*logits, labels, 5, 3, 0, 1, *grad, &n_right);
    assert_int_equal(n_right, 2);
}

/* A class that is ruled out by a logit of -infinity. */
static void cross_entropy_may_rule_labels_out(void **state)
{
    static const float logits[3] = {0, -INFINITY, 0};
    static const int32_t label = 2;
    float grad[3] = {0};
    (void)state;
    assert_true(
        fabs(sosie_loss_cross_entropy(logits, &label, 1, 3, 0, 1, grad, NULL) -
             log(2)) < 1e-7);
    assert_true(grad[0] == 0.5F && grad[1] == 0 && grad[2] == -0.5F);
}

/* Vectors that no machine holds are refused before they are looked at. */
static void too_much_to_hold_is_an_error(void **state)
{
    static const size_t dim = SIZE_MAX / 4;
    static const int32_t labels[2] = {0, 0};
    struct sosie_error err;
    double loss = 7;
    float none = 0;
    (void)state;
    check_fails(
        sosie_loss_relations(&none, &none, 2, dim, 1, 1, &none, &loss, &err),
        SOSIE_NO_MEMORY, &err, "directions");
    check_fails(sosie_loss_contrastive(&none, labels, NULL, 2, dim, 1, 1, &none,
                                       &loss, &err),
                SOSIE_NO_MEMORY, &err, "directions");
    check_fails(sosie_loss_proxy_anchor(&none, &none, labels, 2, dim, 1, 32, 0,
                                        1, &none, &none, &loss, &err),
                SOSIE_NO_MEMORY, &err, "directions");
    check_fails(sosie_loss_arcface(&none, &none, labels, 2, dim, 1, 64, 0, 1,
                                   &none, &none, &loss, &err),
                SOSIE_NO_MEMORY, &err, "directions");
    assert_true(loss == 7 && none == 0);
}

static void the_same_again_is_the_same_in_every_bit(void **state)
{
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 10);
    for (size_t kind = 0; kind < N_KINDS; kind++) {
        struct problem p = random_problem(kind, &random);
        float grads[2][2][ROOM] = {{{0}}};
        double first = p.loss(&p, 0.7F, grads[0][0], grads[0][1]);
        double again = p.loss(&p, 0.7F, grads[1][0], grads[1][1]);
        assert_memory_equal(&first, &again, sizeof(first));
        assert_memory_equal(grads[0], grads[1], sizeof(grads[0]));
    }
}

/* ---- PyTorch's numbers --------------------------------------------------- */

/* An array of the file as the rows of a problem. */
static size_t take_floats(const char *name, const char *part, float *x)
{
    struct golden_array array = golden_array(FILE_NAME, name, part);
    golden_as_floats(&array, x);
    return array.n;
}

static size_t take_numbers(const char *name, const char *part, int32_t *numbers)
{
    struct golden_array array = golden_array(FILE_NAME, name, part);
    assert_true(array.n <= MAX_N);
    for (size_t i = 0; i < array.n; i++)
        numbers[i] = (int32_t)array.values[i];
    return array.n;
}

/* The loss of *p and its gradients are those called `name`. */
static void check_against_torch(const struct problem *p, const char *name,
                                const char *x_part, const char *y_part)
{
    float x_grad[ROOM] = {0}, y_grad[ROOM] = {0};
    float loss = (float)p->loss(p, 1, x_grad, y_grad);
    struct golden_array expected = golden_array(FILE_NAME, name, ".loss");

    check_golden(name, &expected, &loss, 1e-5);
    expected = golden_array(FILE_NAME, name, x_part);
    assert_int_equal(expected.n, p->n * p->dim);
    check_golden(name, &expected, x_grad, 1e-5);
    if (!y_part)
        return;
    expected = golden_array(FILE_NAME, name, y_part);
    assert_int_equal(expected.n, p->n_y * p->y_dim);
    check_golden(name, &expected, y_grad, 1e-5);
}

static void cross_entropy_is_what_pytorch_has(void **state)
{
    struct problem p = {.loss = cross_entropy};
    float grad[ROOM] = {0};
    size_t n_right;
    int32_t expected;
    (void)state;
    p.n = take_numbers("cross_entropy", ".labels", p.labels);
    p.dim = take_floats("cross_entropy", ".logits", p.x) / p.n;
    check_against_torch(&p, "cross_entropy_0.0", ".logits_grad", NULL);
    p.sharpness = 0.1F;
    check_against_torch(&p, "cross_entropy_0.1", ".logits_grad", NULL);

    take_numbers("cross_entropy", ".n_right", &expected);
    sosie_loss_cross_entropy(p.x, p.labels, p.n, p.dim, 0, 1, grad, &n_right);
    assert_int_equal(n_right, expected);
}

static void distillation_is_what_pytorch_has(void **state)
{
    struct problem p = {.loss = distil, .n = 8};
    (void)state;
    p.dim = take_floats("distil", ".logits", p.x) / p.n;
    take_floats("distil", ".teacher", p.y);
    p.sharpness = 1;
    check_against_torch(&p, "distil_1.0", ".logits_grad", NULL);
    p.sharpness = 4;
    check_against_torch(&p, "distil_4.0", ".logits_grad", NULL);
}

static void relations_are_what_pytorch_has(void **state)
{
    struct problem p = {.loss = relations, .n = 9};
    (void)state;
    p.dim = take_floats("relations", ".x", p.x) / p.n;
    p.y_dim = take_floats("relations", ".teacher", p.y) / p.n;
    check_against_torch(&p, "relations", ".x_grad", NULL);
}

static void contrastive_loss_is_what_pytorch_has(void **state)
{
    static const struct {
        const char *name;
        float temperature;
    } cases[] = {{"contrastive", 0.2F}, {"contrastive_groups", 0.5F}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct problem p = {.loss = contrastive};
        p.n = take_numbers(cases[i].name, ".identities", p.labels);
        p.dim = take_floats(cases[i].name, ".x", p.x) / p.n;
        take_numbers(cases[i].name, ".groups", p.groups);
        p.sharpness = cases[i].temperature;
        check_against_torch(&p, cases[i].name, ".x_grad", NULL);
    }
}

static void proxy_anchor_is_what_pytorch_has(void **state)
{
    struct problem p = {.loss = proxy_anchor, .sharpness = 32, .margin = 0.1F};
    (void)state;
    p.n = take_numbers("proxy_anchor", ".labels", p.labels);
    p.dim = p.y_dim = take_floats("proxy_anchor", ".x", p.x) / p.n;
    p.n_y = take_floats("proxy_anchor", ".proxies", p.y) / p.dim;
    check_against_torch(&p, "proxy_anchor", ".x_grad", ".proxies_grad");
}

static void arcface_is_what_pytorch_has(void **state)
{
    struct problem p = {.loss = arcface, .sharpness = 16, .margin = 0.5F};
    (void)state;
    p.n = take_numbers("arcface", ".labels", p.labels);
    p.dim = p.y_dim = take_floats("arcface", ".x", p.x) / p.n;
    p.n_y = take_floats("arcface", ".centres", p.y) / p.dim;
    check_against_torch(&p, "arcface", ".x_grad", ".centres_grad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_central_differences),
        cmocka_unit_test(gradients_are_right_when_rows_are_equal_or_zero),
        cmocka_unit_test(
            gradients_are_right_with_one_label_and_with_as_many_as_rows),
        cmocka_unit_test(huge_logits_are_safe),
        cmocka_unit_test(sharp_losses_are_safe),
        cmocka_unit_test(nothing_to_count_is_no_loss_and_no_gradient),
        cmocka_unit_test(rows_without_a_label_have_no_gradient),
        cmocka_unit_test(an_embedding_on_its_centre_is_safe),
        cmocka_unit_test(a_nan_is_never_hidden),
        cmocka_unit_test(right_is_the_first_of_the_largest),
        cmocka_unit_test(cross_entropy_may_rule_labels_out),
        cmocka_unit_test(too_much_to_hold_is_an_error),
        cmocka_unit_test(the_same_again_is_the_same_in_every_bit),
        cmocka_unit_test(cross_entropy_is_what_pytorch_has),
        cmocka_unit_test(distillation_is_what_pytorch_has),
        cmocka_unit_test(relations_are_what_pytorch_has),
        cmocka_unit_test(contrastive_loss_is_what_pytorch_has),
        cmocka_unit_test(proxy_anchor_is_what_pytorch_has),
        cmocka_unit_test(arcface_is_what_pytorch_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
