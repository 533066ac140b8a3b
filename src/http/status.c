/* status.c: what HTTP says for each of our statuses, and errors as JSON. */
#include "http/http.h"

#include "base/log.h"

#include <string.h>

/* No default: a new status must choose its code here. */
unsigned sosie_http_status(enum sosie_status status)
{
    switch (status) {
    case SOSIE_OK:
        return 200;
    case SOSIE_BAD_INPUT:
        return 400;
    case SOSIE_NOT_FOUND:
        return 404;
    case SOSIE_CONFLICT:
        return 409;
    case SOSIE_TOO_LARGE:
        return 413;
    case SOSIE_UNSUPPORTED:
        return 415;
    case SOSIE_REFUSED:
        return 422;
    case SOSIE_CORRUPT:
    case SOSIE_IO:
        return 500;
    case SOSIE_NO_MEMORY:
    case SOSIE_UNAVAILABLE:
    case SOSIE_CANCELLED:
        return 503;
    }
    return 500;
}

void sosie_http_error(const struct sosie_http_request *request,
                      struct sosie_http_response *response, unsigned status,
                      const char *code, const char *message)
{
    static const char no_memory[] =
        "{\"error\":{\"code\":\"no_memory\",\"message\":\"out of memory\"}}";
    json_t *json =
        json_pack("{s:{s:s, s:o, s:s}}", "error", "code", code, "message",
                  sosie_http_text(message), "request_id", request->id);

    sosie_http_response_release(response);
    if (sosie_http_json(response, json, NULL)) {
        response->bytes = no_memory;
        response->size = strlen(no_memory);
        sosie_http_header_add(response, "Content-Type", "application/json");
    }
    response->status = status;
    if (status == 503)
        sosie_http_header_add(response, "Retry-After", "1");
}

void sosie_http_fail(const struct sosie_http_request *request,
                     struct sosie_http_response *response,
                     const struct sosie_error *err)
{
    unsigned status = sosie_http_status(err->status);
    const char *message = err->text;
    if (status == 500) {
        sosie_log(SOSIE_LOG_ERROR, "http", "request %s: %s", request->id,
                  err->text);
        message = "the server met a fault; its log says more under this "
                  "request's id";
    }
    sosie_http_error(request, response, status, sosie_status_word(err->status),
                     message);
}
