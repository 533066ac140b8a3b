/* clock.h: how long something took. */
#ifndef SOSIE_BASE_CLOCK_H
#define SOSIE_BASE_CLOCK_H

/* Milliseconds on a clock that never goes back; only differences mean
 * anything. */
double sosie_clock_ms(void);
/* The same of the time that the calling thread was on a CPU. */
double sosie_clock_thread_ms(void);

#endif
