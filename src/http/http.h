/* http.h: the server's inner contract: a request, a response, and the
 * functions from one to the other.
 *
 * mhd.c receives a request, whole and within its limits, then asks
 * sosie_http_handle() for the response and sends it. Nothing here knows
 * sockets or libmicrohttpd, so tests call handlers directly, over a fake
 * backend. A request and its response are unshared; the app is shared by all
 * threads. */
#ifndef SOSIE_HTTP_HTTP_H
#define SOSIE_HTTP_HTTP_H

#include "base/arena.h"
#include "http/server.h"
#include "sosie/engine.h"
#include "sosie/error.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    SOSIE_HTTP_MAX_PARTS = 8,
    SOSIE_HTTP_TEXT_MAX_BYTES = 16 << 10, /* a field that is no photo */
    SOSIE_HTTP_MAX_HEADERS = 12,          /* of a response */
    SOSIE_HTTP_ID_MAX = 64                /* of an X-Request-Id */
};

/* ---- request ------------------------------------------------------------- */

enum sosie_http_method {
    SOSIE_HTTP_GET,
    SOSIE_HTTP_HEAD,
    SOSIE_HTTP_POST,
    SOSIE_HTTP_OPTIONS,
    SOSIE_HTTP_OTHER_METHOD
};

enum sosie_http_method sosie_http_method_of(const char *name);

/* What a header says of where its request ends. */
struct sosie_http_framing {
    unsigned n_lengths, n_encodings, n_hosts; /* headers of that kind */
    bool chunked;                             /* what the encoding is */
};

/* BAD_INPUT unless the end is beyond doubt; else a proxy in front of us may see
 * two requests where we see one. */
SOSIE_MUST_CHECK enum sosie_status
sosie_http_framing_check(const struct sosie_http_framing *framing,
                         struct sosie_error *err);

/* Bytes that grow as they come, up to a limit. There is always a NUL after the
 * end. All zero bytes: empty. */
struct sosie_http_bytes {
    char *data; /* "" when empty */
    size_t size, room;
};

/* TOO_LARGE, adding nothing, if there would be more than `max_bytes`; `what` is
 * for the message. */
SOSIE_MUST_CHECK enum sosie_status
sosie_http_bytes_add(struct sosie_http_bytes *bytes, const void *data,
                     size_t size, size_t max_bytes, const char *what,
                     struct sosie_error *err);

/* A part of a multipart/form-data body. */
struct sosie_http_part {
    const char *name;
    struct sosie_http_bytes bytes;
};

struct sosie_http_request {
    struct sosie_arena arena; /* owns the strings */
    enum sosie_http_method method;
    const char *path;          /* as sent, percent-encoded, up to '?' */
    const char *query;         /* as sent, after '?'; "" if none */
    const char *content_type;  /* lower case, without parameters; "" if none */
    const char *if_none_match; /* NULL: not sent */
    const char *id;
    struct sosie_http_part parts[SOSIE_HTTP_MAX_PARTS]; /* multipart, or ... */
    size_t n_parts;
    struct sosie_http_bytes body; /* ... the whole body */
};

/* Splits `target` ("/v1/search?limit=3") and makes an id; every other member is
 * empty. False when out of memory: nothing then needs a release. */
bool sosie_http_request_init(struct sosie_http_request *request,
                             const char *target);
void sosie_http_request_release(struct sosie_http_request *request);

/* Each takes a header's value as the client sent it; NULL: not sent. An id that
 * is not [A-Za-z0-9._-]{1,64} is ignored. */
bool sosie_http_request_set_type(struct sosie_http_request *request,
                                 const char *content_type);
bool sosie_http_request_set_id(struct sosie_http_request *request,
                               const char *id);

/* The part of that name; NULL if there is none. */
const struct sosie_http_part *
sosie_http_part_find(const struct sosie_http_request *request,
                     const char *name);

/* The part of that name, made if it is new; BAD_INPUT if there would be too
 * many. `starts`: what comes is the beginning of a part, so if one of that name
 * has bytes already it would be the second: BAD_INPUT. */
SOSIE_MUST_CHECK enum sosie_status
sosie_http_part_open(struct sosie_http_request *request, const char *name,
                     bool starts, struct sosie_http_part **part,
                     struct sosie_error *err);

/* Decodes %XX once (and '+' as a space if `form`). BAD_INPUT if a '%' is not
 * followed by two hexadecimal digits, or stands for a NUL. */
SOSIE_MUST_CHECK enum sosie_status
sosie_http_decode(struct sosie_arena *arena, const char *text, size_t size,
                  bool form, const char **out, struct sosie_error *err);

/* Standard alphabet, line breaks skipped, padding optional. *bytes is owned by
 * the caller (free). BAD_INPUT if it is not base64. */
SOSIE_MUST_CHECK enum sosie_status
sosie_http_base64_decode(const char *text, size_t size, unsigned char **bytes,
                         size_t *n_bytes, struct sosie_error *err);

/* ---- response ------------------------------------------------------------ */

struct sosie_http_header {
    const char *name, *value; /* static, or from the request's arena */
};

struct sosie_http_response {
    unsigned status;
    struct sosie_http_header headers[SOSIE_HTTP_MAX_HEADERS];
    size_t n_headers;
    /* The body, `size` bytes: a file if fd >= 0, else `owned` (malloc) if it is
     * not NULL, else `bytes`, which outlive the server. */
    int fd;
    void *owned;
    const void *bytes;
    size_t size;
};

void sosie_http_response_init(struct sosie_http_response *response);
void sosie_http_response_release(struct sosie_http_response *response);

/* `value` outlives the response (static or of the request's arena); NULL, as
 * from an arena without memory, adds nothing. */
void sosie_http_header_add(struct sosie_http_response *response,
                           const char *name, const char *value);
/* NULL if the response has no such header. */
const char *sosie_http_header_find(const struct sosie_http_response *response,
                                   const char *name);

/* Takes over `json` (NULL: NO_MEMORY) and sends it with status 200. */
SOSIE_MUST_CHECK enum sosie_status
sosie_http_json(struct sosie_http_response *response, json_t *json,
                struct sosie_error *err);

/* Replaces whatever the response was by an error's JSON. What 5xx errors say of
 * the machine's inside goes to the log, not to the client. */
void sosie_http_fail(const struct sosie_http_request *request,
                     struct sosie_http_response *response,
                     const struct sosie_error *err);
void sosie_http_error(const struct sosie_http_request *request,
                      struct sosie_http_response *response, unsigned status,
                      const char *code, const char *message);

unsigned sosie_http_status(enum sosie_status status);

/* Adds the ETag; true, with status 304 and no body, if the client has it. */
bool sosie_http_not_modified(const struct sosie_http_request *request,
                             struct sosie_http_response *response,
                             const char *etag);

/* ---- app, routes, handlers ----------------------------------------------- */

/* What the server needs of an engine: its functions of the same names. */
struct sosie_http_backend {
    struct sosie_engine *engine;
    enum sosie_status (*search)(struct sosie_engine *engine,
                                const struct sosie_query *query,
                                struct sosie_result *result,
                                struct sosie_error *err);
    void (*result_release)(struct sosie_result *result);
    enum sosie_status (*photo)(struct sosie_engine *engine,
                               const char *class_name, const char *path,
                               int *fd, size_t *size, struct sosie_error *err);
    enum sosie_status (*stats)(struct sosie_engine *engine,
                               struct sosie_engine_stats *stats,
                               struct sosie_error *err);
};

struct sosie_http_app {
    struct sosie_http_backend backend;
    const char *cors_origin; /* NULL: none */
    atomic_bool stopping;    /* set by stop, read by /readyz and mhd.c */
};

/* Fills the response, or returns an error that becomes one. */
typedef enum sosie_status sosie_http_handler(
    struct sosie_http_app *app, struct sosie_http_request *request,
    struct sosie_http_response *response, struct sosie_error *err);

struct sosie_http_route {
    const char *path;       /* a prefix of the path if it ends with '/' */
    bool post;              /* POST; otherwise GET and HEAD */
    bool heavy;             /* computes: runs in the pool, not where bytes are
                               received and sent */
    const char *photo_part; /* the part that may be as large as a photo */
    sosie_http_handler *handler;
};

/* The route of a path, whatever the method; the page answers for all others. */
const struct sosie_http_route *
sosie_http_route_find(const struct sosie_http_request *request);

/* Bytes that a request's body may have; depends on its Content-Type. */
size_t sosie_http_body_limit(const struct sosie_http_route *route,
                             const struct sosie_http_request *request);

/* True, with a response, if the header alone already decides it: the address
 * does not take the method, or the body will be too long. `body_size`: as
 * announced, 0 if it was not. */
bool sosie_http_refuse_early(struct sosie_http_app *app,
                             const struct sosie_http_route *route,
                             struct sosie_http_request *request,
                             size_t body_size,
                             struct sosie_http_response *response);

/* The whole way from request to response; never fails to give one. */
void sosie_http_handle(struct sosie_http_app *app,
                       const struct sosie_http_route *route,
                       struct sosie_http_request *request,
                       struct sosie_http_response *response);

/* Adds the headers that every response carries. */
void sosie_http_finish(const struct sosie_http_app *app,
                       const struct sosie_http_request *request,
                       struct sosie_http_response *response);

sosie_http_handler sosie_http_process_image; /* search.c */
sosie_http_handler sosie_http_search;
sosie_http_handler sosie_http_photo;  /* photo.c */
sosie_http_handler sosie_http_health; /* site.c */
sosie_http_handler sosie_http_ready;
sosie_http_handler sosie_http_stats;
sosie_http_handler sosie_http_page;

/* ---- JSON ---------------------------------------------------------------- */

/* Sets the query's member that a field of /v1/search names. Strings of the
 * query point into `value`. BAD_INPUT if there is no such field (says which
 * there are) or the value is of the wrong kind, REFUSED if out of range. */
SOSIE_MUST_CHECK enum sosie_status
sosie_http_field_read(const char *name, json_t *value,
                      struct sosie_query *query, struct sosie_error *err);

/* A number that must be whole and 0 .. SOSIE_LIMIT_MAX. BAD_INPUT if it is no
 * number, REFUSED if it is another one. `name` is for the message. */
SOSIE_MUST_CHECK enum sosie_status
sosie_http_limit_read(const char *name, const json_t *value, size_t *limit,
                      struct sosie_error *err);

/* A JSON string; bytes that are not UTF-8 (file names may have some) become
 * '?'. NULL when out of memory. */
json_t *sosie_http_text(const char *text);

/* What POST /process_image and POST /v1/search answer; NULL when out of
 * memory. `request_id` may be NULL. */
json_t *sosie_http_hits_json(const struct sosie_result *result);
json_t *sosie_http_result_json(const struct sosie_result *result,
                               const char *request_id);

/* ---- start --------------------------------------------------------------- */

/* sosie_server_start over any backend. */
SOSIE_MUST_CHECK enum sosie_status
sosie_server_start_with(const struct sosie_http_backend *backend,
                        const struct sosie_server_options *options,
                        struct sosie_server **out, struct sosie_error *err);

/* A listening socket for "host:port" or "[host]:port". BAD_INPUT if it is not
 * an address, IO if it can't be bound. */
SOSIE_MUST_CHECK enum sosie_status sosie_http_listen(const char *address,
                                                     int *fd, uint16_t *port,
                                                     struct sosie_error *err);

#endif
