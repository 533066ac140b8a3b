/* site.c: the page, what it is told of the catalog, and what watches the
 * server. */
#include "http/http.h"

#include "http/page.h"

/* Alive: it answers at all. */
enum sosie_status sosie_http_health(struct sosie_http_app *app,
                                    struct sosie_http_request *request,
                                    struct sosie_http_response *response,
                                    struct sosie_error *err)
{
    (void)app;
    (void)request;
    return sosie_http_json(response, json_pack("{s:s}", "status", "alive"),
                           err);
}

/* Ready: worth sending requests to. */
enum sosie_status sosie_http_ready(struct sosie_http_app *app,
                                   struct sosie_http_request *request,
                                   struct sosie_http_response *response,
                                   struct sosie_error *err)
{
    struct sosie_engine_stats stats;
    enum sosie_status st;
    (void)request;
    if (atomic_load(&app->stopping))
        return sosie_fail(err, SOSIE_UNAVAILABLE, "the server is stopping");
    st = app->backend.stats(app->backend.engine, &stats, err);
    if (st)
        return st;
    return sosie_http_json(response,
                           json_pack("{s:s, s:I, s:I, s:I}", "status", "ready",
                                     "items", (json_int_t)stats.n_items,
                                     "photos", (json_int_t)stats.n_photos,
                                     "classes", (json_int_t)stats.n_classes),
                           err);
}

static json_t *stats_json(const struct sosie_engine_stats *stats)
{
    json_t *aspects = json_array();
    for (size_t j = 0; j < stats->n_aspects; j++)
        json_array_append_new(
            aspects,
            json_pack("{s:s, s:I, s:f, s:I}", "name", stats->aspects[j].name,
                      "dim", (json_int_t)stats->aspects[j].dim, "weight",
                      stats->aspects[j].weight, "degree",
                      (json_int_t)stats->aspects[j].degree));
    return json_pack(
        "{s:I, s:I, s:I, s:s, s:s, s:o}", "items", (json_int_t)stats->n_items,
        "photos", (json_int_t)stats->n_photos, "classes",
        (json_int_t)stats->n_classes, "classes_by", stats->classes_by,
        "precision", sosie_precision_name(stats->precision), "aspects",
        aspects);
}

/* What the catalog holds, and how its hits are scored. */
enum sosie_status sosie_http_stats(struct sosie_http_app *app,
                                   struct sosie_http_request *request,
                                   struct sosie_http_response *response,
                                   struct sosie_error *err)
{
    struct sosie_engine_stats stats;
    enum sosie_status st = app->backend.stats(app->backend.engine, &stats, err);
    (void)request;
    return st ? st : sosie_http_json(response, stats_json(&stats), err);
}

enum sosie_status sosie_http_page(struct sosie_http_app *app,
                                  struct sosie_http_request *request,
                                  struct sosie_http_response *response,
                                  struct sosie_error *err)
{
    const struct sosie_page_file *file = sosie_page_find(request->path);
    (void)app;
    if (!file)
        return sosie_fail(err, SOSIE_NOT_FOUND, "there is nothing at %.200s",
                          request->path);
    sosie_http_header_add(
        response, "Cache-Control",
        file->immutable ? "public, max-age=31536000, immutable" : "no-cache");
    sosie_http_header_add(
        response, "Content-Security-Policy",
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
        "base-uri 'none'; frame-ancestors 'none'");
    sosie_http_header_add(response, "Referrer-Policy", "no-referrer");
    if (sosie_http_not_modified(request, response, file->etag))
        return SOSIE_OK;
    sosie_http_header_add(response, "Content-Type", file->type);
    response->bytes = file->bytes;
    response->size = file->size;
    return SOSIE_OK;
}
