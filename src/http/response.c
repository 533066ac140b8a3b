/* response.c: what a response is made of. */
#include "http/http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

void sosie_http_response_init(struct sosie_http_response *response)
{
    memset(response, 0, sizeof(*response));
    response->status = 200;
    response->fd = -1;
}

void sosie_http_response_release(struct sosie_http_response *response)
{
    if (response->fd >= 0)
        close(response->fd);
    free(response->owned);
    sosie_http_response_init(response);
}

void sosie_http_header_add(struct sosie_http_response *response,
                           const char *name, const char *value)
{
    if (value && response->n_headers < SOSIE_HTTP_MAX_HEADERS)
        response->headers[response->n_headers++] =
            (struct sosie_http_header){name, value};
}

const char *sosie_http_header_find(const struct sosie_http_response *response,
                                   const char *name)
{
    for (size_t i = 0; i < response->n_headers; i++)
        if (strcasecmp(response->headers[i].name, name) == 0)
            return response->headers[i].value;
    return NULL;
}

enum sosie_status sosie_http_json(struct sosie_http_response *response,
                                  json_t *json, struct sosie_error *err)
{
    /* 15 digits print a rounded 0.93 as 0.93, not as 0.93000000000000005. */
    char *text =
        json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(json);
    if (!text)
        return sosie_fail(err, SOSIE_NO_MEMORY, "answer");
    response->owned = text;
    response->size = strlen(text);
    sosie_http_header_add(response, "Content-Type", "application/json");
    sosie_http_header_add(response, "Cache-Control", "no-store");
    return SOSIE_OK;
}

/* If-None-Match is `*` or a list of tags, each perhaps marked weak by W/. */
static bool names_tag(const char *list, const char *etag)
{
    size_t length = strlen(etag);
    list += strspn(list, " \t");
    if (*list == '*')
        return true;
    while (*list) {
        list += strspn(list, " \t,");
        if (strncmp(list, "W/", 2) == 0)
            list += 2;
        if (strncmp(list, etag, length) == 0)
            return true;
        list += strcspn(list, ",");
    }
    return false;
}

bool sosie_http_not_modified(const struct sosie_http_request *request,
                             struct sosie_http_response *response,
                             const char *etag)
{
    sosie_http_header_add(response, "ETag", etag);
    if (!request->if_none_match || !names_tag(request->if_none_match, etag))
        return false;
    response->status = 304;
    return true;
}
