/* npy.h: tensors in NumPy's file format, versions 1.0 and 2.0.
 *
 *   "\x93NUMPY", major, minor, length of the header (2 bytes, from 2.0 on 4,
 *   little-endian), the header: a Python dictionary of descr, fortran_order and
 *   shape; then the elements.
 *
 * Only little-endian float32 in C order is read: other types are refused by
 * name. Files are hostile until read. */
#ifndef SOSIE_MODEL_NPY_H
#define SOSIE_MODEL_NPY_H

#include "nn/tensor.h"

/* Where the elements stand, which need not be aligned. */
struct sosie_npy {
    struct sosie_shape shape;
    const unsigned char *data; /* in the bytes that were read */
};

/* Errors: BAD_INPUT if it is no such file or its size contradicts its header,
 * UNSUPPORTED for other types and orders, REFUSED for too many dimensions or
 * elements. */
SOSIE_MUST_CHECK enum sosie_status sosie_npy_read(const void *bytes,
                                                  size_t size,
                                                  struct sosie_npy *npy,
                                                  struct sosie_error *err);

/* The header of a float32 tensor of this shape: a multiple of 64 bytes, after
 * which the elements stand. */
enum { SOSIE_NPY_HEADER_MAX = 256 };
size_t sosie_npy_header(const struct sosie_shape *shape,
                        char header[SOSIE_NPY_HEADER_MAX]);

#endif
