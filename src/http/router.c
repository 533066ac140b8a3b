/* router.c: which function answers, and what every answer carries. */
#include "http/http.h"

#include "http/page.h"

#include <string.h>

enum { MULTIPART_ROOM = SOSIE_HTTP_MAX_PARTS * SOSIE_HTTP_TEXT_MAX_BYTES };

/* Photos go out without a turn in the pool: finding one is a look in the
 * catalog, and a page full of them must not push searches out of the queue. */
static const struct sosie_http_route routes[] = {
    {"/process_image", true, true, "filepath", sosie_http_process_image},
    {"/v1/search", true, true, "image", sosie_http_search},
    {"/v1/stats", false, false, NULL, sosie_http_stats},
    {"/static/img/", false, false, NULL, sosie_http_photo},
    {"/healthz", false, false, NULL, sosie_http_health},
    {"/readyz", false, false, NULL, sosie_http_ready},
};
static const struct sosie_http_route page = {"/", false, false, NULL,
                                             sosie_http_page};

static bool fits(const struct sosie_http_route *route, const char *path)
{
    size_t length = strlen(route->path);
    bool is_prefix = route->path[length - 1] == '/';
    return strncmp(route->path, path, length) == 0 &&
           (is_prefix || path[length] == '\0');
}

const struct sosie_http_route *
sosie_http_route_find(const struct sosie_http_request *request)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        if (fits(&routes[i], request->path))
            return &routes[i];
    return &page;
}

size_t sosie_http_body_limit(const struct sosie_http_route *route,
                             const struct sosie_http_request *request)
{
    const size_t photo = SOSIE_PHOTO_MAX_BYTES;
    if (!route->post)
        return 0;
    if (strcmp(request->content_type, "multipart/form-data") == 0)
        return photo + MULTIPART_ROOM;
    if (strcmp(request->content_type, "application/json") == 0)
        return (photo + 2) / 3 * 4 + MULTIPART_ROOM; /* base64 */
    return photo;
}

static bool method_fits(const struct sosie_http_route *route,
                        enum sosie_http_method method)
{
    if (route->post)
        return method == SOSIE_HTTP_POST;
    return method == SOSIE_HTTP_GET || method == SOSIE_HTTP_HEAD;
}

bool sosie_http_refuse_early(struct sosie_http_app *app,
                             const struct sosie_http_route *route,
                             struct sosie_http_request *request,
                             size_t body_size,
                             struct sosie_http_response *response)
{
    size_t limit = sosie_http_body_limit(route, request);
    struct sosie_error err;
    if (!method_fits(route, request->method)) {
        sosie_http_handle(app, route, request, response);
        return true;
    }
    if (body_size <= limit)
        return false;
    (void)sosie_fail(
        &err, SOSIE_TOO_LARGE, "the body has %zu bytes, expected at most %zu%s",
        body_size, limit,
        limit > SOSIE_PHOTO_MAX_BYTES ? " (10 MiB for the photo)" : "");
    sosie_http_fail(request, response, &err);
    return true;
}

/* What a browser asks before it lets another site's page call. */
static void answer_preflight(const struct sosie_http_route *route,
                             struct sosie_http_response *response)
{
    response->status = 204;
    sosie_http_header_add(response, "Access-Control-Allow-Methods",
                          route->post ? "POST" : "GET, HEAD");
    sosie_http_header_add(response, "Access-Control-Allow-Headers",
                          "Content-Type, X-Request-Id");
    sosie_http_header_add(response, "Access-Control-Max-Age", "600");
}

static void refuse_method(const struct sosie_http_route *route,
                          const struct sosie_http_request *request,
                          struct sosie_http_response *response)
{
    const char *allow = route->post ? "POST" : "GET, HEAD";
    sosie_http_error(request, response, 405, "method_not_allowed",
                     route->post ? "this address takes POST only"
                                 : "this address takes GET and HEAD only");
    sosie_http_header_add(response, "Allow", allow);
}

void sosie_http_handle(struct sosie_http_app *app,
                       const struct sosie_http_route *route,
                       struct sosie_http_request *request,
                       struct sosie_http_response *response)
{
    struct sosie_error err;
    bool exists = route != &page || sosie_page_find(request->path);
    if (exists && app->cors_origin && request->method == SOSIE_HTTP_OPTIONS)
        answer_preflight(route, response);
    else if (exists && !method_fits(route, request->method))
        refuse_method(route, request, response);
    else if (route->handler(app, request, response, &err))
        sosie_http_fail(request, response, &err);
}

void sosie_http_finish(const struct sosie_http_app *app,
                       const struct sosie_http_request *request,
                       struct sosie_http_response *response)
{
    sosie_http_header_add(response, "X-Request-Id", request->id);
    sosie_http_header_add(response, "X-Content-Type-Options", "nosniff");
    if (!app->cors_origin)
        return;
    sosie_http_header_add(response, "Access-Control-Allow-Origin",
                          app->cors_origin);
    sosie_http_header_add(response, "Access-Control-Expose-Headers",
                          "X-Request-Id, Retry-After");
    if (strcmp(app->cors_origin, "*") != 0)
        sosie_http_header_add(response, "Vary", "Origin");
}
