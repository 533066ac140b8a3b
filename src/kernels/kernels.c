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
#endif
    return flags;
}

/* Later assignments win, so they run from portable to newest. */
void sosie_kernels_init(struct sosie_kernels *kernels, unsigned flags)
{
    *kernels = (struct sosie_kernels){"c", sosie_dot_i8_c, sosie_scan_i8_c,
                                      sosie_dot_f32_c, sosie_axpy_f32_c};
#if defined(__x86_64__)
    if (flags & SOSIE_CPU_AVX2)
        *kernels = (struct sosie_kernels){
            "avx2", sosie_dot_i8_avx2, sosie_scan_i8_avx2, sosie_dot_f32_avx2,
            sosie_axpy_f32_avx2};
    if (flags & SOSIE_CPU_AVX512VNNI) {
        kernels->name = "avx512vnni";
        kernels->dot_i8 = sosie_dot_i8_avx512vnni;
        kernels->scan_i8 = sosie_scan_i8_avx512vnni;
    }
#else
    (void)flags;
#endif
}

static struct sosie_kernels chosen; /* written once, by choose() */

static void choose(void)
{
    sosie_kernels_init(&chosen, sosie_cpu_flags());
}

const struct sosie_kernels *sosie_kernels(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose);
    return &chosen;
}
