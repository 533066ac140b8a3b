/* precision.h: what the numbers of a network's forward pass are.
 *
 *   f32   float32 throughout
 *   bf16  weights and activations of convolutions and matrix products in
 *         bfloat16, sums in float32
 *   int8  as the QuantizeLinear and DequantizeLinear nodes of a model say; what
 *         stands between none of them is float32. In f32 and bf16 such nodes
 *         are taken out of the network.
 *   auto  the fastest of those that the CPU has and the model allows */
#ifndef SOSIE_PRECISION_H
#define SOSIE_PRECISION_H

#include "sosie/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* From the most precise to the least. */
enum sosie_precision {
    SOSIE_PRECISION_F32,
    SOSIE_PRECISION_BF16,
    SOSIE_PRECISION_INT8,
    SOSIE_N_PRECISIONS,
    SOSIE_PRECISION_AUTO = SOSIE_N_PRECISIONS
};

/* "f32", "bf16", "int8", "auto". */
SOSIE_API const char *sosie_precision_name(enum sosie_precision precision);

/* The other way; BAD_INPUT says which there are. */
SOSIE_API SOSIE_MUST_CHECK enum sosie_status
sosie_precision_parse(const char *name, enum sosie_precision *precision,
                      struct sosie_error *err);

#ifdef __cplusplus
}
#endif
#endif
