/* search.c: query -> embedding -> nearest rows -> classes and hits.
 *
 * The first scan looks at the whole catalog (or the class that was asked for)
 * and serves two ends: hits, and the votes by which the class is predicted.
 * Only a query that is to stay within the prediction needs a second scan. */
#include "engine/engine_private.h"

#include "base/clock.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_VOTERS = 24, /* nearest rows that vote */
    N_CLASSES = 5, /* predicted classes that are told */
    N_TORN = 3     /* classes that a search within the prediction spans */
};
/* A vote weighs exp(score * VOTE_SHARPNESS): a near row counts for more. */
static const double VOTE_SHARPNESS = 16;
/* Classes are added, best first, until they hold this much probability. */
static const double SURE = 0.8;

struct sosie_query sosie_query_defaults(void)
{
    return (struct sosie_query){.limit = SOSIE_LIMIT_DEFAULT};
}

/* ---- checks -------------------------------------------------------------- */

static enum sosie_status check_weights(const struct sosie_weights *weights,
                                       struct sosie_error *err)
{
    double sum = 0;
    for (size_t i = 0; i < weights->n; i++) {
        const struct sosie_weight *item = &weights->items[i];
        if (!(item->weight >= 0 && item->weight <= 1e6))
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "weight of %s is %g, expected 0 to 1000000",
                              item->aspect, item->weight);
        sum += item->weight;
    }
    if (weights->n && sum <= 0)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "all weights are 0, expected one above 0");
    return SOSIE_OK;
}

static enum sosie_status check_query(const struct sosie_query *query,
                                     struct sosie_error *err)
{
    if (query->limit > SOSIE_LIMIT_MAX)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "limit is %zu, expected 0 to %d", query->limit,
                          SOSIE_LIMIT_MAX);
    if (!query->photo == !query->item)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "a search needs a photo or an item's id%s",
                          query->photo ? ", not both" : "");
    return check_weights(&query->weights, err);
}

enum sosie_status sosie_weights_set(struct sosie_weights *weights,
                                    const char *aspect, double weight,
                                    struct sosie_error *err)
{
    struct sosie_weight *item = weights->items;
    while (item < weights->items + weights->n && strcmp(item->aspect, aspect))
        item++;
    if (!*aspect || strlen(aspect) > SOSIE_ASPECT_NAME_MAX)
        return sosie_fail(err, SOSIE_BAD_INPUT, "no aspect is called \"%.64s\"",
                          aspect);
    if (item == weights->items + SOSIE_MAX_ASPECTS)
        return sosie_fail(err, SOSIE_BAD_INPUT, "more than %d weights",
                          SOSIE_MAX_ASPECTS);
    weights->n += item == weights->items + weights->n;
    snprintf(item->aspect, sizeof(item->aspect), "%s", aspect);
    item->weight = weight;
    return SOSIE_OK;
}

enum sosie_status sosie_weights_parse(const char *text,
                                      struct sosie_weights *weights,
                                      struct sosie_error *err)
{
    struct sosie_weights parsed = {0};
    const char *at = text;
    enum sosie_status st;
    do {
        size_t length = strcspn(at, "=,");
        char name[SOSIE_ASPECT_NAME_MAX + 1], *end;
        double weight;
        if (at[length] != '=' || !length || length >= sizeof(name))
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "weights are \"%.100s\", expected "
                              "NAME=NUMBER,... such as shape=1,colour=0.5",
                              text);
        snprintf(name, sizeof(name), "%.*s", (int)length, at);
        weight = strtod(at + length + 1, &end);
        if (end == at + length + 1 || (*end && *end != ','))
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "weight of %s is \"%.100s\", expected a number",
                              name, at + length + 1);
        st = sosie_weights_set(&parsed, name, weight, err);
        if (st)
            return st;
        at = end + 1;
    } while (at[-1]);
    st = check_weights(&parsed, err);
    if (!st)
        *weights = parsed;
    return st;
}

/* ---- the state of one search --------------------------------------------- */

struct search {
    struct sosie_engine *engine;
    const struct sosie_query *query;
    const struct sosie_view *view;
    struct sosie_arena *arena; /* of the result */
    struct sosie_result result;
    int8_t *codes; /* laid out like a row, aligned; from aligned_alloc */
    float scales[SOSIE_MAX_ASPECTS], weights[SOSIE_MAX_ASPECTS];
    double *class_scores;      /* by class id */
    struct sosie_bits allowed; /* classes; words NULL: all */
};

static enum sosie_status no_memory(struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "search");
}

/* ---- aspects ------------------------------------------------------------- */

static size_t find_aspect(const struct sosie_view *view, const char *name)
{
    size_t j = 0;
    while (j < view->shape.n_aspects && strcmp(view->aspects[j].name, name))
        j++;
    return j;
}

static enum sosie_status unknown_aspect(const struct sosie_view *view,
                                        const char *name,
                                        struct sosie_error *err)
{
    char known[SOSIE_MAX_ASPECTS * (SOSIE_ASPECT_NAME_MAX + 5)] = "";
    size_t n = view->shape.n_aspects;
    for (size_t j = 0; j < n; j++) {
        size_t length = strlen(known);
        snprintf(known + length, sizeof(known) - length, "%s%s",
                 !j           ? ""
                 : j + 1 == n ? " and "
                              : ", ",
                 view->aspects[j].name);
    }
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "weights name \"%s\"; the catalog's aspects are %s", name,
                      known);
}

/* The weights of the query, or of the catalog, by aspect and in parts of 1: as
 * floats, tiny ones would be 0. */
static enum sosie_status find_weights(struct search *search,
                                      struct sosie_error *err)
{
    const struct sosie_view *view = search->view;
    const struct sosie_weights *asked = &search->query->weights;
    double weights[SOSIE_MAX_ASPECTS] = {0}, sum = 0;
    for (size_t i = 0; i < asked->n; i++) {
        size_t j = find_aspect(view, asked->items[i].aspect);
        if (j == view->shape.n_aspects)
            return unknown_aspect(view, asked->items[i].aspect, err);
        weights[j] = asked->items[i].weight;
    }
    for (size_t j = 0; j < view->shape.n_aspects; j++) {
        if (!asked->n)
            weights[j] = view->aspects[j].weight;
        sum += weights[j];
    }
    for (size_t j = 0; j < view->shape.n_aspects; j++)
        search->weights[j] = (float)(weights[j] / sum);
    return SOSIE_OK;
}

/* The result outlives the engine. */
static enum sosie_status name_aspects(struct search *search,
                                      struct sosie_error *err)
{
    struct sosie_result *result = &search->result;
    for (; result->n_aspects < search->view->shape.n_aspects;
         result->n_aspects++) {
        const char *name = sosie_arena_strdup(
            search->arena, search->view->aspects[result->n_aspects].name);
        if (!name)
            return no_memory(err);
        result->aspects[result->n_aspects] = name;
    }
    return SOSIE_OK;
}

/* ---- embedding ----------------------------------------------------------- */

/* Lays a packed embedding out like a row. */
static void unpack(struct search *search, const int8_t *packed)
{
    const struct sosie_row_shape *shape = &search->view->shape;
    int8_t *to = search->codes;
    memset(to, 0, sosie_row_stride(shape));
    for (size_t j = 0; j < shape->n_aspects; j++) {
        memcpy(to, packed, shape->dims[j]);
        search->scales[j] = sosie_codes_scale(packed, shape->dims[j]);
        packed += shape->dims[j];
        to += sosie_row_aspect_size(shape, j);
    }
}

static bool predicts_by_model(const struct search *search)
{
    return search->view->label_classes && !search->view->head_classes &&
           search->query->photo;
}

/* The labels' probabilities, softmax(logits / temperature), by class id. */
static void predict_by_model(struct search *search, const float *logits)
{
    const struct sosie_model_info *info =
        sosie_model_info(search->engine->model);
    double largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < info->n_logits; i++)
        largest = fmax(largest, (double)logits[i]);
    for (size_t i = 0; i < info->n_logits; i++)
        sum += exp(((double)logits[i] - largest) / info->temperature);
    for (size_t i = 0; i < info->n_logits; i++)
        search->class_scores[search->view->label_classes[i]] +=
            exp(((double)logits[i] - largest) / info->temperature) / sum;
    search->class_scores[0] = 0; /* labels that the catalog does not have */
}

/* The probabilities of the catalog's head, by class id. */
static enum sosie_status predict_by_head(struct search *search,
                                         struct sosie_error *err)
{
    const struct sosie_view *view = search->view;
    float *x = sosie_arena_alloc(
        search->arena, sosie_row_packed_size(&view->shape), sizeof(*x));
    double *probabilities = sosie_arena_alloc(
        search->arena, view->head.n_classes, sizeof(*probabilities));
    if (!x || !probabilities)
        return no_memory(err);
    sosie_head_input(&view->shape, search->codes, search->scales, x);
    sosie_head_predict(&view->head, x, probabilities);
    for (size_t c = 0; c < view->head.n_classes; c++)
        search->class_scores[view->head_classes[c]] = probabilities[c];
    return SOSIE_OK;
}

/* The decoded photo through the network. */
static enum sosie_status embed_pixels(struct search *search, const uint8_t *rgb,
                                      const float *colours, int8_t *packed,
                                      struct sosie_error *err)
{
    const struct sosie_model_info *info =
        sosie_model_info(search->engine->model);
    bool with_logits = predicts_by_model(search);
    struct sosie_waiting photo = {.rgb = rgb};
    photo.features = sosie_arena_alloc(search->arena, info->dim, sizeof(float));
    if (with_logits)
        photo.logits =
            sosie_arena_alloc(search->arena, info->n_logits, sizeof(float));
    if (!photo.features || (with_logits && !photo.logits))
        return no_memory(err);
    sosie_engine_embed(search->engine, &photo);
    if (photo.status) {
        if (err)
            *err = photo.error;
        return photo.status;
    }
    sosie_embedding_pack(search->view, photo.features, colours, packed);
    if (with_logits)
        predict_by_model(search, photo.logits);
    return SOSIE_OK;
}

static enum sosie_status embed_photo(struct search *search, int8_t *packed,
                                     struct sosie_error *err)
{
    const struct sosie_model_info *info =
        sosie_model_info(search->engine->model);
    const struct sosie_query *query = search->query;
    struct sosie_crop crop = {query->crop_x, query->crop_y, query->crop_w,
                              query->crop_h};
    float colours[SOSIE_COLOUR_DIM];
    double start = sosie_clock_ms();
    uint8_t *rgb = malloc(sosie_fitted_size(info));
    enum sosie_status st =
        rgb ? sosie_photo_decode(info, query->photo, query->photo_size,
                                 query->has_crop ? &crop : NULL, rgb,
                                 search->view->own_aspects ? NULL : colours,
                                 err)
            : no_memory(err);
    search->result.decode_ms = sosie_clock_ms() - start;
    start = sosie_clock_ms();
    if (!st)
        st = embed_pixels(search, rgb, colours, packed, err);
    search->result.embed_ms = sosie_clock_ms() - start;
    free(rgb);
    return st;
}

static enum sosie_status embed_item(struct search *search,
                                    const int8_t **packed,
                                    struct sosie_error *err)
{
    size_t size, expected = sosie_row_packed_size(&search->view->shape);
    enum sosie_status st = sosie_catalog_item_embedding(
        search->engine->catalog, search->query->item, search->arena, packed,
        &size, err);
    if (!st && size != expected)
        st = sosie_fail(err, SOSIE_UNAVAILABLE,
                        "the catalog is being embedded anew: the item has %zu "
                        "elements, expected %zu",
                        size, expected);
    return st;
}

static enum sosie_status embed(struct search *search, struct sosie_error *err)
{
    const struct sosie_row_shape *shape = &search->view->shape;
    int8_t *packed =
        sosie_arena_alloc(search->arena, sosie_row_packed_size(shape), 1);
    const int8_t *embedding = packed;
    enum sosie_status st;
    search->codes = aligned_alloc(64, sosie_row_stride(shape));
    if (!packed || !search->codes)
        return no_memory(err);
    st = search->query->item ? embed_item(search, &embedding, err)
                             : embed_photo(search, packed, err);
    if (!st)
        unpack(search, embedding);
    return st;
}

/* ---- scan ---------------------------------------------------------------- */

/* The k best rows into the arena. */
static enum sosie_status scan(struct search *search, size_t k,
                              struct sosie_top *top, struct sosie_error *err)
{
    struct sosie_scan_query query = {
        .codes = search->codes,
        .classes = search->allowed.words ? &search->allowed : NULL};
    *top = (struct sosie_top){
        .heap = sosie_arena_alloc(search->arena, k, sizeof(*top->heap)),
        .k = k};
    if (!top->heap)
        return no_memory(err);
    memcpy(query.scales, search->scales, sizeof(query.scales));
    memcpy(query.weights, search->weights, sizeof(query.weights));
    for (size_t j = 0; j < search->view->shape.n_aspects; j++)
        query.degrees[j] = search->view->aspects[j].degree;
    sosie_store_search(search->view->store, &query, top);
    return SOSIE_OK;
}

/* ---- classes ------------------------------------------------------------- */

static enum sosie_status find_class(const struct search *search,
                                    const char *name, size_t *id,
                                    struct sosie_error *err)
{
    const struct sosie_class_names *classes = &search->view->classes;
    for (*id = 0; *id < classes->n; ++*id)
        if (classes->names[*id] && !strcmp(classes->names[*id], name))
            return SOSIE_OK;
    return sosie_fail(err, SOSIE_NOT_FOUND,
                      "the catalog has no class \"%.200s\"", name);
}

/* From here on only these classes are searched. */
static enum sosie_status allow(struct search *search, const size_t *ids,
                               size_t n, struct sosie_error *err)
{
    if (!sosie_bits_init(&search->allowed, search->view->classes.n))
        return no_memory(err);
    for (size_t i = 0; i < n; i++)
        sosie_bits_add(&search->allowed, ids[i]);
    return SOSIE_OK;
}

static void vote(struct search *search, const struct sosie_top *top)
{
    double sum = 0;
    for (size_t i = 0; i < top->n && i < N_VOTERS; i++) {
        const struct sosie_neighbour *voter = &top->heap[i];
        double weight =
            exp(((double)voter->score - (double)top->heap[0].score) *
                VOTE_SHARPNESS);
        if (voter->class_id < search->view->classes.n)
            search->class_scores[voter->class_id] += weight;
        sum += weight;
    }
    for (size_t i = 0; sum > 0 && i < search->view->classes.n; i++)
        search->class_scores[i] /= sum;
}

/* The best N_CLASSES classes into the result, and their ids. */
static enum sosie_status rank_classes(struct search *search,
                                      size_t ids[N_CLASSES],
                                      struct sosie_error *err)
{
    struct sosie_result *result = &search->result;
    result->classes =
        sosie_arena_alloc(search->arena, N_CLASSES, sizeof(*result->classes));
    if (!result->classes)
        return no_memory(err);
    while (result->n_classes < N_CLASSES) {
        size_t best = 0;
        for (size_t i = 1; i < search->view->classes.n; i++)
            if (search->class_scores[i] > search->class_scores[best])
                best = i;
        if (!best || !search->view->classes.names[best])
            break;
        ids[result->n_classes] = best;
        result->classes[result->n_classes++] = (struct sosie_class_score){
            .name = sosie_arena_strdup(search->arena,
                                       search->view->classes.names[best]),
            .probability = search->class_scores[best]};
        search->class_scores[best] = 0;
        if (!result->classes[result->n_classes - 1].name)
            return no_memory(err);
    }
    return SOSIE_OK;
}

/* How many of the best classes a search within the prediction spans: the one
 * that is predicted, or the few that it is torn between. */
static size_t count_likely(const struct sosie_result *result)
{
    double sure = 0;
    size_t n = 0;
    while (n < result->n_classes && n < N_TORN && sure < SURE)
        sure += result->classes[n++].probability;
    return n;
}

/* ---- hits ---------------------------------------------------------------- */

static bool is_hit_already(const struct sosie_result *result, const char *id)
{
    for (size_t i = 0; i < result->n_hits; i++)
        if (!strcmp(result->hits[i].id, id))
            return true;
    return false;
}

static double cosine(float score)
{
    return fmin(1, fmax(-1, (double)score));
}

/* Rows to items: an item is hit by its best photo, and never by itself. */
static enum sosie_status collect(struct search *search,
                                 const struct sosie_top *top,
                                 struct sosie_error *err)
{
    struct sosie_result *result = &search->result;
    size_t limit = search->query->limit;
    result->n_hits = 0;
    result->hits =
        sosie_arena_alloc(search->arena, limit, sizeof(*result->hits));
    if (!result->hits)
        return no_memory(err);
    for (size_t i = 0; i < top->n && result->n_hits < limit; i++) {
        const struct sosie_neighbour *row = &top->heap[i];
        struct sosie_photo_info info;
        struct sosie_hit *hit = &result->hits[result->n_hits];
        enum sosie_status st = sosie_catalog_photo_info(
            search->engine->catalog, row->number, search->arena, &info, err);
        if (st == SOSIE_NOT_FOUND)
            continue; /* replaced since the view was made */
        if (st)
            return st;
        if (is_hit_already(result, info.id) ||
            (search->query->item && !strcmp(info.id, search->query->item)))
            continue;
        *hit = (struct sosie_hit){.id = info.id,
                                  .path = info.path,
                                  .class_name = info.class_name,
                                  .fields = info.fields,
                                  .score = cosine(row->score)};
        for (size_t j = 0; j < result->n_aspects; j++)
            hit->aspects[j] = cosine(row->aspects[j]);
        result->n_hits++;
    }
    return SOSIE_OK;
}

/* Items with several photos can fill the first k rows: then more rows are
 * asked for. `top` holds the first k already. */
static enum sosie_status find_hits(struct search *search, struct sosie_top *top,
                                   struct sosie_error *err)
{
    enum sosie_status st = collect(search, top, err);
    while (!st && search->result.n_hits < search->query->limit &&
           top->n == top->k) {
        st = scan(search, top->k * 2, top, err);
        if (!st)
            st = collect(search, top, err);
    }
    return st;
}

/* ---- the whole ----------------------------------------------------------- */

static enum sosie_status find(struct search *search, struct sosie_error *err)
{
    const struct sosie_query *query = search->query;
    /* One more than asked for: the item itself is not a hit. */
    size_t k = query->limit + 1 > N_VOTERS ? query->limit + 1 : N_VOTERS;
    size_t ids[N_CLASSES], chosen = 0;
    struct sosie_top top;
    enum sosie_status st = SOSIE_OK;

    if (query->class_name)
        st = find_class(search, query->class_name, &chosen, err);
    if (!st)
        st = scan(search, k, &top, err);
    if (!st && search->view->head_classes)
        st = predict_by_head(search, err);
    else if (!st && !predicts_by_model(search))
        vote(search, &top);
    if (!st)
        st = rank_classes(search, ids, err);
    if (!st && query->class_name)
        st = allow(search, &chosen, 1, err);
    else if (!st && query->within_predicted && search->result.n_classes)
        st = allow(search, ids, count_likely(&search->result), err);
    if (!st && search->allowed.words)
        st = scan(search, k, &top, err);
    return st ? st : find_hits(search, &top, err);
}

static enum sosie_status run(struct search *search, struct sosie_error *err)
{
    double start;
    enum sosie_status st;
    search->class_scores = sosie_arena_alloc(
        search->arena, search->view->classes.n, sizeof(*search->class_scores));
    if (!search->class_scores)
        return no_memory(err);
    if ((st = name_aspects(search, err)) || (st = find_weights(search, err)) ||
        (st = embed(search, err)))
        return st;
    start = sosie_clock_ms();
    st = find(search, err);
    search->result.search_ms = sosie_clock_ms() - start;
    return st;
}

enum sosie_status sosie_engine_search(struct sosie_engine *engine,
                                      const struct sosie_query *query,
                                      struct sosie_result *result,
                                      struct sosie_error *err)
{
    double start = sosie_clock_ms();
    struct sosie_view *view = NULL;
    struct search search = {.engine = engine, .query = query};
    enum sosie_status st = check_query(query, err);
    if (st)
        return st;
    search.arena = calloc(1, sizeof(*search.arena));
    if (!search.arena)
        return no_memory(err);
    st = sosie_engine_acquire_view(engine, &view, err);
    if (!st) {
        search.view = view;
        st = run(&search, err);
        sosie_engine_drop_view(engine, view);
    }
    free(search.codes);
    free(search.allowed.words);
    search.result.memory = search.arena;
    if (st) {
        sosie_result_release(&search.result);
        return st;
    }
    search.result.exact = true;
    search.result.total_ms = sosie_clock_ms() - start;
    *result = search.result;
    return SOSIE_OK;
}

void sosie_result_release(struct sosie_result *result)
{
    if (result->memory) {
        sosie_arena_release(result->memory);
        free(result->memory);
    }
    *result = (struct sosie_result){0};
}
