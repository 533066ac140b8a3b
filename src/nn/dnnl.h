/* dnnl.h: the part of oneDNN that the engine uses, in one shape for every
 * version of it. Only this header and the two that it includes, one for 2.x
 * (Debian 12 has 2.6) and one for 3.x (Debian 13 has 3.6), know which version
 * that is; both define the same functions.
 *
 * A memory descriptor is a `sosie_md`, borrowed from the `struct sosie_mds` it
 * was made in: that is where they are kept, and released all at once.
 *
 *   sosie_md_strided, sosie_md_tagged, sosie_md_any, sosie_md_as,
 *   sosie_md_channels_like, sosie_pd_md                     make one
 *   sosie_md_type, _size, _equal, _strides                  ask it
 *   sosie_conv_pd, sosie_pool_pd, ... make a primitive descriptor, the caller's
 *   sosie_post_function, sosie_post_sum                     add a post-op */
#ifndef SOSIE_NN_DNNL_H
#define SOSIE_NN_DNNL_H

#include "base/arena.h"

#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* oneDNN runs on as many threads as its OpenMP would; there is no other way to
 * tell it. Declared here because clang finds <omp.h> only for an OpenMP that is
 * not the one that oneDNN uses. The setting is the calling thread's own. */
void omp_set_num_threads(int n);

/* How a convolution or a pool slides. */
struct sosie_conv_window {
    dnnl_dims_t strides, dilations; /* dilations as in ONNX: 1 is dense */
    dnnl_dims_t pads_begin, pads_end;
};

#if DNNL_VERSION_MAJOR == 2
#include "nn/dnnl_2.h"
#elif DNNL_VERSION_MAJOR == 3
#include "nn/dnnl_3.h"
#else
#error "oneDNN 2.x and 3.x are known here"
#endif

/* Numbers of the given sizes in whatever layout the primitive likes best. */
static inline dnnl_status_t sosie_md_any(struct sosie_mds *mds, int rank,
                                         const dnnl_dims_t dims,
                                         dnnl_data_type_t type, sosie_md *out)
{
    return sosie_md_tagged(mds, rank, dims, type, dnnl_format_tag_any, out);
}

/* "brgconv:avx512_core"; valid as long as pd. */
static inline const char *
sosie_pd_implementation(const_dnnl_primitive_desc_t pd)
{
    const char *name = NULL;
    if (dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) ||
        !name)
        return "unknown";
    return name;
}

static inline dnnl_status_t sosie_reorder_pd(dnnl_engine_t engine,
                                             sosie_md from, sosie_md to,
                                             dnnl_primitive_attr_t attr,
                                             dnnl_primitive_desc_t *out)
{
    return dnnl_reorder_primitive_desc_create(out, from, engine, to, engine,
                                              attr);
}

#endif
