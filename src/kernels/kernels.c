/* kernels.c: what the machine has, and which path of each kernel that means. */
#include "kernels/paths.h"

#include <pthread.h>

unsigned sosie_cpu_flags(void)
{
    unsigned flags = 0;
#if defined(__x86_64__)
    /* These ask the CPU, and whether the system saves the wider registers. */
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        flags |= SOSIE_CPU_AVX2;
    if (__builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni"))
        flags |= SOSIE_CPU_AVX512VNNI;
    if ((flags & SOSIE_CPU_AVX512VNNI) && __builtin_cpu_supports("avx512vbmi"))
        flags |= SOSIE_CPU_AVX512VBMI;
#endif
    return flags;
}

/* Those of 8-bit networks. */
#define SOSIE_SET_Q(kernels, path)                                             \
    do {                                                                       \
        (kernels)->qconv = sosie_qconv_##path;                                 \
        (kernels)->qdepthwise = sosie_qdepthwise_##path;                       \
        (kernels)->qaffine = sosie_qaffine_##path;                             \
        (kernels)->qadd = sosie_qadd_##path;                                   \
        (kernels)->qmul = sosie_qmul_##path;                                   \
        (kernels)->qaccumulate = sosie_qaccumulate_##path;                     \
        (kernels)->qmax = sosie_qmax_##path;                                   \
        (kernels)->qquantise = sosie_qquantise_##path;                         \
        (kernels)->qdequantise = sosie_qdequantise_##path;                     \
    } while (0)

/* Later assignments win, so they run from portable to newest. */
void sosie_kernels_init(struct sosie_kernels *kernels, unsigned flags)
{
    *kernels = (struct sosie_kernels){.name = "c",
                                      .dot_i8 = sosie_dot_i8_c,
                                      .scan_i8 = sosie_scan_i8_c,
                                      .dot_f32 = sosie_dot_f32_c,
                                      .axpy_f32 = sosie_axpy_f32_c,
                                      .qconv_size = sosie_qconv_size_c,
                                      .qconv_pack = sosie_qconv_pack_c,
                                      .qmap = sosie_qmap_c};
    SOSIE_SET_Q(kernels, c);
#if defined(__x86_64__)
    if (flags & SOSIE_CPU_AVX2) {
        kernels->name = "avx2";
        kernels->dot_i8 = sosie_dot_i8_avx2;
        kernels->scan_i8 = sosie_scan_i8_avx2;
        kernels->dot_f32 = sosie_dot_f32_avx2;
        kernels->axpy_f32 = sosie_axpy_f32_avx2;
        kernels->qconv_size = sosie_qconv_size_avx2;
        kernels->qconv_pack = sosie_qconv_pack_avx2;
        kernels->qmap = sosie_qmap_avx2;
        SOSIE_SET_Q(kernels, avx2);
    }
    if (flags & SOSIE_CPU_AVX512VNNI) {
        kernels->name = "avx512vnni";
        kernels->dot_i8 = sosie_dot_i8_avx512vnni;
        kernels->scan_i8 = sosie_scan_i8_avx512vnni;
        kernels->qconv_size = sosie_qconv_size_c;
        kernels->qconv_pack = sosie_qconv_pack_c;
        SOSIE_SET_Q(kernels, avx512vnni);
    }
    if (flags & SOSIE_CPU_AVX512VBMI)
        kernels->qmap = sosie_qmap_avx512vbmi;
#else
    (void)flags;
#endif
}

static struct sosie_kernels chosen; /* written once, by choose() */
static unsigned allowed = ~0U;

void sosie_kernels_limit(unsigned flags)
{
    allowed = flags;
}

static void choose(void)
{
    sosie_kernels_init(&chosen, sosie_cpu_flags() & allowed);
}

const struct sosie_kernels *sosie_kernels(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose);
    return &chosen;
}
