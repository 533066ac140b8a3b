/* pool.h: worker threads behind a bounded queue.
 *
 * Jobs start in the order in which they were given. Each runs with the number
 * of its worker (0 .. n_workers-1), so that a worker can own an arena or a
 * network's buffers without locks. `main` creates the pools and hands them
 * down; libraries start no threads. Threads: locked inside. */
#ifndef SOSIE_BASE_POOL_H
#define SOSIE_BASE_POOL_H

#include "sosie/error.h"

#include <stdbool.h>
#include <stddef.h>

struct sosie_pool;

typedef void sosie_job(void *argument, size_t worker);

/* `queue_room`: jobs that may wait, beside those that run. */
SOSIE_MUST_CHECK enum sosie_status sosie_pool_create(size_t n_workers,
                                                     size_t queue_room,
                                                     struct sosie_pool **out,
                                                     struct sosie_error *err);

/* Gives a job to the pool; waits while the queue is full. */
void sosie_pool_submit(struct sosie_pool *pool, sosie_job *job, void *argument);

/* The same, but returns false at once when the queue is full. */
bool sosie_pool_try_submit(struct sosie_pool *pool, sosie_job *job,
                           void *argument);

/* Returns when every job given so far has ended. */
void sosie_pool_wait(struct sosie_pool *pool);

size_t sosie_pool_size(const struct sosie_pool *pool);

/* Runs what is queued, then ends the threads. NULL is allowed. */
void sosie_pool_destroy(struct sosie_pool *pool);

/* Processors that this process may run on; at least 1. */
size_t sosie_cpu_count(void);

#endif
