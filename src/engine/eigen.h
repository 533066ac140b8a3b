/* eigen.h: eigenvectors of a symmetric matrix, for the whitening PCA. */
#ifndef SOSIE_ENGINE_EIGEN_H
#define SOSIE_ENGINE_EIGEN_H

#include "sosie/error.h"

#include <stddef.h>

/* The `m` largest eigenvalues, falling, and their eigenvectors as the rows of
 * `vectors` (m, n), each of unit length. `a` (n, n) is symmetric and is
 * destroyed.
 *
 * Householder tridiagonalisation and the implicit QL method (Golub and Van
 * Loan, Matrix Computations, 4th ed., 8.3), in double: about 4 n^3 operations,
 * some seconds for n = 1280. Errors: NO_MEMORY; BAD_INPUT when it does not
 * converge (NaN or infinity in `a`). */
SOSIE_MUST_CHECK enum sosie_status
sosie_eigen_symmetric(double *a, size_t n, size_t m, double *values,
                      double *vectors, struct sosie_error *err);

#endif
