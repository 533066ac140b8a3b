/* reaper.c: the table of connections and the thread that watches it. */
#include "http/reaper.h"

#include "base/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_LINGERING = 64,
    LINGER_MS = 5000,
    SWALLOW_BYTES = 64 << 10,
    SWALLOW_TIMES = 16 /* at a stretch, lest one sender holds the thread */
};

struct sosie_reaped {
    struct sosie_reaped *next, *previous;
    int fd;
    enum sosie_phase phase;
    double since_ms;
    bool linger;
};

struct lingering {
    int fd;
    double until_ms;
};

struct sosie_reaper {
    pthread_mutex_t lock; /* guards connections, lingering, stopping */
    pthread_cond_t emptied;
    struct sosie_reaped *connections;
    struct lingering lingering[MAX_LINGERING]; /* only the thread takes out */
    size_t n_lingering;
    bool stopping;

    double timeout_ms[SOSIE_N_PHASES]; /* 0: none */
    int tick_ms;
    int wake; /* eventfd: there is something new to look at */
    pthread_t thread;
};

static void wake(struct sosie_reaper *reaper)
{
    const uint64_t one = 1;
    ssize_t written = write(reaper->wake, &one, sizeof(one));
    (void)written; /* can only fail when it is already awake */
}

static void shut_overdue(struct sosie_reaper *reaper, double now_ms)
{
    for (struct sosie_reaped *c = reaper->connections; c; c = c->next) {
        double timeout_ms = reaper->timeout_ms[c->phase];
        if (timeout_ms > 0 && now_ms - c->since_ms > timeout_ms)
            shutdown(c->fd, SHUT_RDWR);
    }
}

/* Reads what is there; true at the end of the stream. */
static bool swallow(int fd)
{
    char bytes[SWALLOW_BYTES];
    ssize_t size = 1;
    for (int i = 0; i < SWALLOW_TIMES && size > 0; i++)
        size = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    return size == 0;
}

/* Swallows from the `n` sockets that were polled and closes those that are at
 * their end. More may have been added behind them meanwhile. */
static void serve_lingering(struct sosie_reaper *reaper,
                            const struct pollfd *polled, size_t n)
{
    double now_ms = sosie_clock_ms();
    for (size_t i = n; i-- > 0;) {
        struct lingering *l = &reaper->lingering[i];
        bool ended = polled[i].revents && swallow(l->fd);
        if (ended || now_ms > l->until_ms || reaper->stopping) {
            close(l->fd);
            *l = reaper->lingering[--reaper->n_lingering];
        }
    }
}

static void *watch(void *argument)
{
    struct sosie_reaper *reaper = argument;
    struct pollfd polled[MAX_LINGERING + 1];
    pthread_mutex_lock(&reaper->lock);
    while (!reaper->stopping) {
        size_t n = reaper->n_lingering;
        uint64_t wakes;
        shut_overdue(reaper, sosie_clock_ms());
        for (size_t i = 0; i < n; i++)
            polled[i] = (struct pollfd){reaper->lingering[i].fd, POLLIN, 0};
        polled[n] = (struct pollfd){reaper->wake, POLLIN, 0};
        pthread_mutex_unlock(&reaper->lock);
        poll(polled, n + 1, reaper->tick_ms);
        if (polled[n].revents && read(reaper->wake, &wakes, sizeof(wakes)) < 0)
            polled[n].revents = 0; /* somebody else read it: nothing lost */
        pthread_mutex_lock(&reaper->lock);
        serve_lingering(reaper, polled, n);
    }
    pthread_mutex_unlock(&reaper->lock);
    return NULL;
}

/* Looks often enough to be at most a quarter late. */
static int tick_for(unsigned header_timeout_ms, unsigned body_timeout_ms)
{
    unsigned shorter = header_timeout_ms < body_timeout_ms ? header_timeout_ms
                                                           : body_timeout_ms;
    unsigned tick = shorter / 4;
    return tick < 10 ? 10 : tick > 1000 ? 1000 : (int)tick;
}

enum sosie_status sosie_reaper_create(unsigned header_timeout_ms,
                                      unsigned body_timeout_ms,
                                      struct sosie_reaper **out,
                                      struct sosie_error *err)
{
    struct sosie_reaper *reaper = calloc(1, sizeof(*reaper));
    if (!reaper)
        return sosie_fail(err, SOSIE_NO_MEMORY, "connection table");
    reaper->timeout_ms[SOSIE_PHASE_HEADER] = header_timeout_ms;
    reaper->timeout_ms[SOSIE_PHASE_BODY] = body_timeout_ms;
    reaper->timeout_ms[SOSIE_PHASE_REPLY] = body_timeout_ms;
    reaper->tick_ms = tick_for(header_timeout_ms, body_timeout_ms);
    pthread_mutex_init(&reaper->lock, NULL);
    pthread_cond_init(&reaper->emptied, NULL);
    reaper->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (reaper->wake < 0 ||
        pthread_create(&reaper->thread, NULL, watch, reaper)) {
        if (reaper->wake >= 0)
            close(reaper->wake);
        free(reaper);
        return sosie_fail(err, SOSIE_IO, "no thread to watch connections");
    }
    *out = reaper;
    return SOSIE_OK;
}

void sosie_reaper_destroy(struct sosie_reaper *reaper)
{
    if (!reaper)
        return;
    pthread_mutex_lock(&reaper->lock);
    reaper->stopping = true;
    pthread_mutex_unlock(&reaper->lock);
    wake(reaper);
    pthread_join(reaper->thread, NULL);
    for (size_t i = 0; i < reaper->n_lingering; i++)
        close(reaper->lingering[i].fd);
    close(reaper->wake);
    pthread_cond_destroy(&reaper->emptied);
    pthread_mutex_destroy(&reaper->lock);
    free(reaper);
}

struct sosie_reaped *sosie_reaper_add(struct sosie_reaper *reaper, int fd)
{
    struct sosie_reaped *connection = calloc(1, sizeof(*connection));
    if (!connection)
        return NULL;
    connection->fd = fd;
    connection->since_ms = sosie_clock_ms();
    pthread_mutex_lock(&reaper->lock);
    connection->next = reaper->connections;
    if (connection->next)
        connection->next->previous = connection;
    reaper->connections = connection;
    pthread_mutex_unlock(&reaper->lock);
    return connection;
}

static void keep_lingering(struct sosie_reaper *reaper, int fd)
{
    int copy = -1;
    if (reaper->n_lingering < MAX_LINGERING)
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return;
    shutdown(copy, SHUT_WR);
    reaper->lingering[reaper->n_lingering++] =
        (struct lingering){copy, sosie_clock_ms() + (double)LINGER_MS};
    wake(reaper);
}

void sosie_reaper_remove(struct sosie_reaper *reaper,
                         struct sosie_reaped *connection)
{
    pthread_mutex_lock(&reaper->lock);
    if (connection->next)
        connection->next->previous = connection->previous;
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        reaper->connections = connection->next;
    if (connection->linger)
        keep_lingering(reaper, connection->fd);
    if (!reaper->connections)
        pthread_cond_broadcast(&reaper->emptied);
    pthread_mutex_unlock(&reaper->lock);
    free(connection);
}

void sosie_reaper_enter(struct sosie_reaper *reaper,
                        struct sosie_reaped *connection, enum sosie_phase phase)
{
    double now_ms = sosie_clock_ms();
    pthread_mutex_lock(&reaper->lock);
    connection->phase = phase;
    connection->since_ms = now_ms;
    pthread_mutex_unlock(&reaper->lock);
}

void sosie_reaper_linger(struct sosie_reaper *reaper,
                         struct sosie_reaped *connection)
{
    pthread_mutex_lock(&reaper->lock);
    connection->linger = true;
    pthread_mutex_unlock(&reaper->lock);
}

void sosie_reaper_shut_idle(struct sosie_reaper *reaper)
{
    pthread_mutex_lock(&reaper->lock);
    for (struct sosie_reaped *c = reaper->connections; c; c = c->next)
        if (c->phase == SOSIE_PHASE_HEADER)
            shutdown(c->fd, SHUT_RDWR);
    pthread_mutex_unlock(&reaper->lock);
}

bool sosie_reaper_wait(struct sosie_reaper *reaper, unsigned timeout_ms)
{
    struct timespec until;
    bool empty;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&reaper->lock);
    while (reaper->connections &&
           pthread_cond_timedwait(&reaper->emptied, &reaper->lock, &until) == 0)
        ;
    empty = !reaper->connections;
    pthread_mutex_unlock(&reaper->lock);
    return empty;
}
