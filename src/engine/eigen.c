/* eigen.c: A = H T H', T tridiagonal, by Householder reflections; T = Z D Z' by
 * QL with implicit shifts; the wanted columns of H Z are the eigenvectors.
 *
 * All inner loops run along rows, so that the compiler can use vectors. */
#include "engine/eigen.h"

#include "base/size.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

struct tridiagonal {
    size_t n;
    double *diagonal, *below; /* below[i] couples i and i + 1 */
    double *z;                /* (n, n): row j is column j of Z */
    double *betas;            /* of the reflections; their vectors stay in A */
    double *work;             /* n */
};

static void add_scaled(double *restrict y, double alpha,
                       const double *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += alpha * x[i];
}

static double dot(const double *x, const double *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/* Step k clears row and column k beyond the first off-diagonal element, by the
 * reflection I - beta v v'. v stays in row k of A, right of the diagonal. */
static void reflect(double *a, struct tridiagonal *t, size_t k)
{
    size_t n = t->n, m = n - k - 1;
    double *v = a + k * n + k + 1, *p = t->work;
    double norm = sqrt(dot(v, v, m)), beta, half;

    t->diagonal[k] = a[k * n + k];
    t->below[k] = v[0] > 0 ? -norm : norm;
    t->betas[k] = 0;
    if (norm <= 0)
        return;
    v[0] -= t->below[k];
    beta = t->betas[k] = 2 / dot(v, v, m);
    for (size_t i = 0; i < m; i++)
        p[i] = 0;
    for (size_t i = 0; i < m; i++) /* p = beta A v; A is symmetric */
        add_scaled(p, beta * v[i], a + (k + 1 + i) * n + k + 1, m);
    half = beta / 2 * dot(v, p, m);
    add_scaled(p, -half, v, m);
    for (size_t i = 0; i < m; i++) { /* A -= v p' + p v' */
        double *row = a + (k + 1 + i) * n + k + 1;
        add_scaled(row, -v[i], p, m);
        add_scaled(row, -p[i], v, m);
    }
}

static void rotate_rows(double *restrict low, double *restrict high, double c,
                        double s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double f = high[i];
        high[i] = s * low[i] + c * f;
        low[i] = c * low[i] - s * f;
    }
}

/* One implicit QL sweep over l .. m (algorithm 8.3.2 with Wilkinson's shift),
 * which makes below[l] smaller. */
static void sweep(struct tridiagonal *t, size_t l, size_t m)
{
    double *d = t->diagonal, *e = t->below;
    double g = (d[l + 1] - d[l]) / (2 * e[l]), r = hypot(g, 1);
    double s = 1, c = 1, p = 0;
    size_t i = m;

    g = d[m] - d[l] + e[l] / (g + copysign(r, g));
    while (i-- > l) {
        double f = s * e[i], b = c * e[i];
        r = hypot(f, g);
        e[i + 1] = r;
        if (r <= 0) { /* splits here; the rest is for the next sweep */
            d[i + 1] -= p;
            e[m] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        rotate_rows(t->z + i * t->n, t->z + (i + 1) * t->n, c, s, t->n);
    }
    d[l] -= p;
    e[l] = g;
    e[m] = 0;
}

/* The first m >= l after which T falls apart. */
static size_t split_after(const struct tridiagonal *t, size_t l)
{
    size_t m = l;
    for (; m + 1 < t->n; m++) {
        double size = fabs(t->diagonal[m]) + fabs(t->diagonal[m + 1]);
        if (fabs(t->below[m]) <= DBL_EPSILON * size)
            break;
    }
    return m;
}

static bool diagonalise(struct tridiagonal *t)
{
    for (size_t l = 0; l < t->n; l++) {
        size_t m = split_after(t, l);
        for (int tries = 0; m != l; tries++) {
            if (tries == 60)
                return false;
            sweep(t, l, m);
            m = split_after(t, l);
        }
    }
    return true;
}

/* Picks the m largest and takes their vectors back through the reflections. */
static void collect(const double *a, struct tridiagonal *t, size_t m,
                    double *values, double *vectors)
{
    size_t n = t->n;
    for (size_t j = 0; j < m; j++) {
        double *x = vectors + j * n;
        size_t best = 0;
        for (size_t i = 1; i < n; i++)
            if (t->diagonal[i] > t->diagonal[best])
                best = i;
        values[j] = t->diagonal[best];
        t->diagonal[best] = -INFINITY; /* taken */
        for (size_t i = 0; i < n; i++)
            x[i] = t->z[best * n + i];
        for (size_t k = n - 1; k-- > 0;) {
            const double *v = a + k * n + k + 1;
            double *rest = x + k + 1;
            add_scaled(rest, -t->betas[k] * dot(v, rest, n - k - 1), v,
                       n - k - 1);
        }
    }
}

static bool make(struct tridiagonal *t, size_t n)
{
    size_t size;
    t->n = n;
    if (!sosie_size_mul(n, n, &size))
        return false;
    t->z = calloc(size, sizeof(double));
    t->diagonal = calloc(n, sizeof(double));
    t->below = calloc(n, sizeof(double));
    t->betas = calloc(n, sizeof(double));
    t->work = calloc(n, sizeof(double));
    return t->z && t->diagonal && t->below && t->betas && t->work;
}

enum sosie_status sosie_eigen_symmetric(double *a, size_t n, size_t m,
                                        double *values, double *vectors,
                                        struct sosie_error *err)
{
    struct tridiagonal t = {0};
    enum sosie_status st = SOSIE_OK;

    if (!make(&t, n)) {
        st =
            sosie_fail(err, SOSIE_NO_MEMORY, "eigenvectors of %zu x %zu", n, n);
        goto out;
    }
    for (size_t k = 0; k + 1 < n; k++)
        reflect(a, &t, k);
    t.diagonal[n - 1] = a[n * n - 1];
    for (size_t i = 0; i < n; i++)
        t.z[i * n + i] = 1;
    if (!diagonalise(&t)) {
        st = sosie_fail(err, SOSIE_BAD_INPUT,
                        "eigenvectors of %zu x %zu do not converge", n, n);
        goto out;
    }
    collect(a, &t, m, values, vectors);
out:
    free(t.z);
    free(t.diagonal);
    free(t.below);
    free(t.betas);
    free(t.work);
    return st;
}
