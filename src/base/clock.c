/* clock.c: the system's clocks in milliseconds. */
#include "base/clock.h"

#include <time.h>

static double read_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

double sosie_clock_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

double sosie_clock_thread_ms(void)
{
    return read_ms(CLOCK_THREAD_CPUTIME_ID);
}
