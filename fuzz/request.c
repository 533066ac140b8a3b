/* request.c: any bytes as a request; there is always an answer, errors are
 * JSON, and the backend is only asked what it may be asked.
 *
 *   method target \n content type \n body
 *
 * A multipart body is parts with "\n--\n" between them, each name \n bytes. */
#include "http/fake.h"

#include <math.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition)
{
    if (!condition)
        abort();
}

static enum sosie_status search(struct sosie_engine *engine,
                                const struct sosie_query *query,
                                struct sosie_result *result,
                                struct sosie_error *err)
{
    expect(query->limit <= SOSIE_LIMIT_MAX);
    expect(!query->photo != !query->item);
    expect(query->photo_size <= SOSIE_PHOTO_MAX_BYTES);
    expect(query->weights.n <= SOSIE_MAX_ASPECTS);
    for (size_t i = 0; i < query->weights.n; i++)
        expect(isfinite(query->weights.items[i].weight) &&
               query->weights.items[i].weight >= 0);
    if (query->has_crop)
        expect(query->crop_x >= 0 && query->crop_w > 0 && query->crop_w < 1.1);
    return fake_search(engine, query, result, err);
}

static enum sosie_status photo(struct sosie_engine *engine,
                               const char *class_name, const char *path,
                               int *fd, size_t *size, struct sosie_error *err)
{
    expect(path[0] != '/' && strcmp(path, "..") != 0 &&
           strncmp(path, "../", 3) != 0 && !strstr(path, "/../"));
    return fake_photo(engine, class_name, path, fd, size, err);
}

/* The text up to `end` (or all), which is then stepped over. */
static char *cut(char **at, const char *end)
{
    char *text = *at, *found = strstr(text, end);
    *at = found ? found + strlen(end) : text + strlen(text);
    if (found)
        *found = '\0';
    return text;
}

static void add_part(struct sosie_http_request *request, char *text)
{
    const char *name = cut(&text, "\n");
    struct sosie_http_part *part;
    if (!sosie_http_part_open(request, name, true, &part, NULL))
        expect(!sosie_http_bytes_add(&part->bytes, text, strlen(text),
                                     SOSIE_PHOTO_MAX_BYTES, "part", NULL));
}

static void check_answer(const struct sosie_http_response *r)
{
    const char *type = sosie_http_header_find(r, "Content-Type");
    json_t *json;
    expect(r->status >= 200 && r->status < 600);
    if (r->status >= 400)
        expect(type && strcmp(type, "application/json") == 0);
    if (!type || strcmp(type, "application/json") != 0)
        return;
    json = json_loadb(r->owned, r->size, 0, NULL);
    expect(json != NULL);
    json_decref(json);
}

static void answer(struct sosie_http_app *app,
                   struct sosie_http_request *request)
{
    struct sosie_http_response response;
    const struct sosie_http_route *route = sosie_http_route_find(request);
    sosie_http_response_init(&response);
    if (!sosie_http_refuse_early(app, route, request, request->body.size,
                                 &response))
        sosie_http_handle(app, route, request, &response);
    sosie_http_finish(app, request, &response);
    check_answer(&response);
    sosie_http_response_release(&response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fake fake = FAKE_INIT;
    struct sosie_http_app app = {.backend = fake_backend(&fake)};
    struct sosie_http_request request;
    char *text = calloc(1, size + 1), *at = text;
    const char *method, *target, *type;

    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    method = cut(&at, " ");
    target = cut(&at, "\n");
    type = cut(&at, "\n");
    app.backend.search = search;
    app.backend.photo = photo;
    expect(sosie_http_request_init(&request, target));
    request.method = *method == 'G'   ? SOSIE_HTTP_GET
                     : *method == 'P' ? SOSIE_HTTP_POST
                                      : SOSIE_HTTP_OTHER_METHOD;
    request.if_none_match = type;
    expect(sosie_http_request_set_type(&request, type));
    expect(sosie_http_request_set_id(&request, type));
    if (strcmp(request.content_type, "multipart/form-data") == 0)
        while (*at)
            add_part(&request, cut(&at, "\n--\n"));
    else
        expect(!sosie_http_bytes_add(&request.body, at,
                                     size - (size_t)(at - text),
                                     SOSIE_PHOTO_MAX_BYTES, "body", NULL));
    answer(&app, &request);
    expect(fake.n_results == 0);
    sosie_http_request_release(&request);
    free(text);
    return 0;
}
