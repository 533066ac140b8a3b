/* fake.h: a backend without an engine, for tests of the server.
 *
 * It finds `limit` hits for any photo, remembers what it was asked, and can be
 * told to fail or to hold searches until it is released. */
#ifndef SOSIE_TESTS_FAKE_H
#define SOSIE_TESTS_FAKE_H

#include "http/http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct fake {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool held;                    /* searches wait */
    size_t n_running;             /* searches that have begun and not ended */
    size_t n_searches, n_results; /* results that were not released */
    enum sosie_status fails;      /* what search answers, unless OK */
    bool odd_names;               /* a path that is not UTF-8 */
    struct sosie_query asked;     /* its strings and photo are the copies: */
    char item[64], class_name[64];
    size_t photo_size;
    unsigned char first_byte, last_byte;
    char photo_class[64], photo_path[64];
};

#define FAKE_INIT                                                              \
    {                                                                          \
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER \
    }

static const unsigned char fake_jpeg[] = "\xff\xd8\xff\xe0 a photo";

static void fake_remember(struct fake *fake, const struct sosie_query *query)
{
    const unsigned char *photo = query->photo;
    fake->asked = *query;
    fake->asked.photo = NULL;
    fake->asked.item = fake->asked.class_name = NULL;
    snprintf(fake->item, sizeof(fake->item), "%s",
             query->item ? query->item : "");
    snprintf(fake->class_name, sizeof(fake->class_name), "%s",
             query->class_name ? query->class_name : "");
    fake->photo_size = query->photo_size;
    if (query->photo_size > 0) {
        fake->first_byte = photo[0];
        fake->last_byte = photo[query->photo_size - 1];
    }
}

static enum sosie_status fake_search(struct sosie_engine *engine,
                                     const struct sosie_query *query,
                                     struct sosie_result *result,
                                     struct sosie_error *err)
{
    static struct sosie_class_score classes[] = {{"coat", 0.91234567}};
    struct fake *fake = (struct fake *)engine;
    struct sosie_hit *hits;
    enum sosie_status fails;

    pthread_mutex_lock(&fake->lock);
    fake->n_searches++;
    fake->n_running++;
    pthread_cond_broadcast(&fake->changed);
    while (fake->held)
        pthread_cond_wait(&fake->changed, &fake->lock);
    fake->n_running--;
    fake_remember(fake, query);
    fails = fake->fails;
    fake->n_results += !fails;
    pthread_mutex_unlock(&fake->lock);

    if (fails)
        return sosie_fail(err, fails, "the fake fails at /secret/place");
    hits = calloc(query->limit + 1, sizeof(*hits));
    if (!hits)
        abort();
    for (size_t i = 0; i < query->limit; i++)
        hits[i] = (struct sosie_hit){
            .id = "1163",
            .path = fake->odd_names ? "caf\xe9.jpg" : "1163.jpg",
            .class_name = "coat",
            .score = 0.93,
            .aspects = {0.95, 0.88},
            .fields = "{\"title\":\"Loden\",\"price\":\"19.99 EUR\"}"};
    *result = (struct sosie_result){.classes = classes,
                                    .n_classes = 1,
                                    .hits = hits,
                                    .n_hits = query->limit,
                                    .aspects = {"shape", "colour"},
                                    .n_aspects = 2,
                                    .exact = true,
                                    .decode_ms = 1.23456,
                                    .total_ms = 5.25,
                                    .memory = fake};
    return SOSIE_OK;
}

static void fake_result_release(struct sosie_result *result)
{
    struct fake *fake = result->memory;
    free(result->hits);
    pthread_mutex_lock(&fake->lock);
    fake->n_results--;
    pthread_mutex_unlock(&fake->lock);
}

/* Knows one photo: class "a/b", path "x/1 2.jpg". */
static enum sosie_status fake_photo(struct sosie_engine *engine,
                                    const char *class_name, const char *path,
                                    int *fd, size_t *size,
                                    struct sosie_error *err)
{
    struct fake *fake = (struct fake *)engine;
    snprintf(fake->photo_class, sizeof(fake->photo_class), "%s", class_name);
    snprintf(fake->photo_path, sizeof(fake->photo_path), "%s", path);
    if (strcmp(class_name, "a/b") != 0 || strcmp(path, "x/1 2.jpg") != 0)
        return sosie_fail(err, SOSIE_NOT_FOUND, "no such photo");
    *fd = memfd_create("photo", MFD_CLOEXEC);
    if (*fd < 0 || write(*fd, fake_jpeg, sizeof(fake_jpeg)) < 0)
        abort();
    *size = sizeof(fake_jpeg);
    return SOSIE_OK;
}

static enum sosie_status fake_stats(struct sosie_engine *engine,
                                    struct sosie_engine_stats *stats,
                                    struct sosie_error *err)
{
    (void)engine;
    (void)err;
    *stats = (struct sosie_engine_stats){
        .n_items = 7,
        .n_photos = 9,
        .classes_by = "votes",
        .n_aspects = 2,
        .aspects = {{"shape", 256, 1, 6}, {"colour", 64, 0.5, 1}}};
    return SOSIE_OK;
}

static inline struct sosie_http_backend fake_backend(struct fake *fake)
{
    return (struct sosie_http_backend){
        .engine = (struct sosie_engine *)fake,
        .search = fake_search,
        .result_release = fake_result_release,
        .photo = fake_photo,
        .stats = fake_stats,
    };
}

/* The weight that was asked for; 0 if it was not. */
static inline double fake_weight(const struct fake *fake, const char *aspect)
{
    const struct sosie_weights *weights = &fake->asked.weights;
    for (size_t i = 0; i < weights->n; i++)
        if (!strcmp(weights->items[i].aspect, aspect))
            return weights->items[i].weight;
    return 0;
}

/* Searches wait from now on, or go on. */
static inline void fake_hold(struct fake *fake, bool held)
{
    pthread_mutex_lock(&fake->lock);
    fake->held = held;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
}

/* Returns when `n` searches are running. */
static inline void fake_await(struct fake *fake, size_t n)
{
    pthread_mutex_lock(&fake->lock);
    while (fake->n_running != n)
        pthread_cond_wait(&fake->changed, &fake->lock);
    pthread_mutex_unlock(&fake->lock);
}

#endif
