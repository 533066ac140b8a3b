/* pool.c: a ring of jobs under one mutex.
 *
 * `lock` guards every field below it. Workers sleep on `work`, submitters that
 * find the ring full on `room`, sosie_pool_wait on `idle`. */
#include "base/pool.h"

#include "base/size.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

struct job {
    sosie_job *run;
    void *argument;
};

struct worker {
    struct sosie_pool *pool;
    pthread_t thread;
    size_t number;
};

struct sosie_pool {
    pthread_mutex_t lock;
    pthread_cond_t work, room, idle;
    struct job *ring;
    size_t ring_size, head, n_waiting, n_running;
    bool ending;
    size_t n_workers; /* started; fixed after create */
    struct worker *workers;
};

static void *work(void *argument)
{
    struct worker *me = argument;
    struct sosie_pool *pool = me->pool;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct job job;
        while (!pool->n_waiting && !pool->ending)
            pthread_cond_wait(&pool->work, &pool->lock);
        if (!pool->n_waiting)
            break;
        job = pool->ring[pool->head];
        pool->head = (pool->head + 1) % pool->ring_size;
        pool->n_waiting--;
        pool->n_running++;
        pthread_cond_signal(&pool->room);
        pthread_mutex_unlock(&pool->lock);

        job.run(job.argument, me->number);

        pthread_mutex_lock(&pool->lock);
        pool->n_running--;
        if (!pool->n_running && !pool->n_waiting)
            pthread_cond_broadcast(&pool->idle);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static bool start_workers(struct sosie_pool *pool, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct worker *worker = &pool->workers[i];
        worker->pool = pool;
        worker->number = i;
        if (pthread_create(&worker->thread, NULL, work, worker))
            return false;
        pool->n_workers++;
    }
    return true;
}

enum sosie_status sosie_pool_create(size_t n_workers, size_t queue_room,
                                    struct sosie_pool **out,
                                    struct sosie_error *err)
{
    struct sosie_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return sosie_fail(err, SOSIE_NO_MEMORY, "worker pool");
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->room, NULL);
    pthread_cond_init(&pool->idle, NULL);
    pool->ring_size = queue_room ? queue_room : 1;
    pool->ring = calloc(pool->ring_size, sizeof(*pool->ring));
    pool->workers = calloc(n_workers, sizeof(*pool->workers));
    if (!pool->ring || !pool->workers || !start_workers(pool, n_workers)) {
        sosie_pool_destroy(pool);
        return sosie_fail(err, SOSIE_NO_MEMORY,
                          "worker pool of %zu threads can't be started",
                          n_workers);
    }
    *out = pool;
    return SOSIE_OK;
}

static void push(struct sosie_pool *pool, sosie_job *run, void *argument)
{
    size_t tail = (pool->head + pool->n_waiting) % pool->ring_size;
    pool->ring[tail] = (struct job){run, argument};
    pool->n_waiting++;
    pthread_cond_signal(&pool->work);
}

void sosie_pool_submit(struct sosie_pool *pool, sosie_job *job, void *argument)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->n_waiting == pool->ring_size)
        pthread_cond_wait(&pool->room, &pool->lock);
    push(pool, job, argument);
    pthread_mutex_unlock(&pool->lock);
}

bool sosie_pool_try_submit(struct sosie_pool *pool, sosie_job *job,
                           void *argument)
{
    bool taken;
    pthread_mutex_lock(&pool->lock);
    taken = pool->n_waiting < pool->ring_size;
    if (taken)
        push(pool, job, argument);
    pthread_mutex_unlock(&pool->lock);
    return taken;
}

void sosie_pool_wait(struct sosie_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->n_waiting || pool->n_running)
        pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

size_t sosie_pool_size(const struct sosie_pool *pool)
{
    return pool->n_workers;
}

void sosie_pool_destroy(struct sosie_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->n_workers; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->idle);
    pthread_cond_destroy(&pool->room);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool->workers);
    free(pool->ring);
    free(pool);
}

size_t sosie_cpu_count(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
    return n > 0 ? (size_t)n : 1;
}
