/* mhd.c: the server, and the one file that knows libmicrohttpd.
 *
 * Its threads accept, parse and receive, and send. A request that computes
 * waits for a turn in a pool with a bounded queue, its connection suspended:
 *
 *   on_address -> on_request: begin -> receive... -> dispatch -> reply
 *                                                        \-> queue -> run_job
 *                                  on_request: reply <- resume <-/
 *
 * An exchange (one request and its response) belongs to the thread of its
 * connection, or while that is suspended to the pool's; it ends in
 * on_completed. libmicrohttpd 0.9 lets some things pass that a server should
 * not, so on top of it there are hard deadlines (reaper.h), strict framing
 * (sosie_http_framing_check) and a running count of bytes (receive). */
#include "http/http.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "http/reaper.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    MAX_IO_THREADS = 4,
    CONNECTION_MEMORY = 64 << 10, /* the longest header */
    PARSER_MEMORY = 64 << 10,
    SILENCE_S = 15,             /* no byte either way */
    DRAIN_MAX_BYTES = 64 << 20, /* of a body that is refused already */
    QUEUE_MAX_MS = 10000,       /* a job waits; later nobody may be there */
    STOP_MS = 10000,
    STOP_STEP_MS = 50
};

struct sosie_server {
    struct sosie_http_app app;
    struct MHD_Daemon *daemon;
    struct sosie_reaper *reaper;
    struct sosie_pool *pool;
    pthread_mutex_t gate; /* guards `closed`: then nothing enters the pool */
    bool closed;
    char *cors_origin;
    uint16_t port;
};

enum stage { NEW, RECEIVING, WORKING, ANSWERED };

struct exchange {
    struct sosie_server *server;
    struct MHD_Connection *connection;
    struct sosie_reaped *reaped;
    enum stage stage;
    struct sosie_http_request request;
    struct sosie_http_response response;
    bool decided; /* the response is there; the rest of the body is dropped */
    bool close;   /* after the response */
    const struct sosie_http_route *route;
    struct MHD_PostProcessor *parser; /* NULL: the body is taken as it is */
    size_t body_limit, n_received;    /* bytes */
    double queued_ms;
};

/* ---- response ------------------------------------------------------------ */

static void refuse(struct exchange *x, const struct sosie_error *err)
{
    sosie_http_fail(&x->request, &x->response, err);
    x->decided = true;
}

/* Moves the body over to libmicrohttpd. */
static struct MHD_Response *make_response(struct sosie_http_response *r)
{
    struct MHD_Response *made;
    if (r->fd >= 0) {
        made = MHD_create_response_from_fd64(r->size, r->fd);
        if (made)
            r->fd = -1;
    } else if (r->owned) {
        made = MHD_create_response_from_buffer(r->size, r->owned,
                                               MHD_RESPMEM_MUST_FREE);
        if (made)
            r->owned = NULL;
    } else {
        made = MHD_create_response_from_buffer(r->size, (void *)r->bytes,
                                               MHD_RESPMEM_PERSISTENT);
    }
    return made;
}

static enum MHD_Result reply(struct exchange *x)
{
    struct sosie_http_response *r = &x->response;
    struct MHD_Response *made;
    enum MHD_Result queued;

    x->stage = ANSWERED;
    sosie_reaper_enter(x->server->reaper, x->reaped, SOSIE_PHASE_REPLY);
    sosie_http_finish(&x->server->app, &x->request, r);
    made = make_response(r);
    if (!made)
        return MHD_NO;
    for (size_t i = 0; i < r->n_headers; i++)
        MHD_add_response_header(made, r->headers[i].name, r->headers[i].value);
    if (x->close || atomic_load(&x->server->app.stopping))
        MHD_add_response_header(made, "Connection", "close");
    queued = MHD_queue_response(x->connection, r->status, made);
    MHD_destroy_response(made);
    sosie_log(SOSIE_LOG_DEBUG, "http", "request %s: %s %u", x->request.id,
              x->route ? x->route->path : "-", r->status);
    return queued;
}

/* ---- header -------------------------------------------------------------- */

static const char *header(const struct exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result count_framing(void *context, enum MHD_ValueKind kind,
                                     const char *name, const char *value)
{
    struct sosie_http_framing *framing = context;
    (void)kind;
    framing->n_lengths += strcasecmp(name, "Content-Length") == 0;
    framing->n_hosts += strcasecmp(name, "Host") == 0;
    if (strcasecmp(name, "Transfer-Encoding") == 0) {
        framing->n_encodings++;
        framing->chunked = value && strcasecmp(value, "chunked") == 0;
    }
    return MHD_YES;
}

static size_t announced_size(const struct exchange *x)
{
    const char *text = header(x, "Content-Length");
    /* libmicrohttpd has checked that it is a number. */
    return text ? (size_t)strtoull(text, NULL, 10) : 0;
}

static enum MHD_Result on_part(void *context, enum MHD_ValueKind kind,
                               const char *name, const char *filename,
                               const char *type, const char *encoding,
                               const char *data, uint64_t offset, size_t size)
{
    struct exchange *x = context;
    struct sosie_http_part *part;
    struct sosie_error err;
    enum sosie_status st;
    size_t limit = SOSIE_HTTP_TEXT_MAX_BYTES;
    char what[96];
    (void)kind;
    (void)filename;
    (void)type;
    (void)encoding;

    if (!name)
        name = "";
    if (strcmp(name, x->route->photo_part) == 0)
        limit = SOSIE_PHOTO_MAX_BYTES;
    snprintf(what, sizeof(what), "part \"%.64s\"", name);
    st = sosie_http_part_open(&x->request, name, offset == 0, &part, &err);
    if (!st)
        st = sosie_http_bytes_add(&part->bytes, data, size, limit, what, &err);
    if (st)
        refuse(x, &err);
    return st ? MHD_NO : MHD_YES;
}

static void open_parser(struct exchange *x)
{
    struct sosie_error err;
    if (!x->route->post ||
        strcmp(x->request.content_type, "multipart/form-data") != 0)
        return;
    x->parser =
        MHD_create_post_processor(x->connection, PARSER_MEMORY, on_part, x);
    if (x->parser)
        return;
    (void)sosie_fail(&err, SOSIE_BAD_INPUT,
                     "the multipart/form-data body has no boundary");
    refuse(x, &err);
}

/* The header is complete. */
static enum MHD_Result begin(struct exchange *x, const char *method)
{
    struct sosie_http_request *request = &x->request;
    struct sosie_http_framing framing = {0};
    struct sosie_error err;
    bool has_body;

    x->stage = RECEIVING;
    sosie_reaper_enter(x->server->reaper, x->reaped, SOSIE_PHASE_BODY);
    request->method = sosie_http_method_of(method);
    request->if_none_match = header(x, "If-None-Match");
    if (!sosie_http_request_set_type(request, header(x, "Content-Type")) ||
        !sosie_http_request_set_id(request, header(x, "X-Request-Id")))
        return MHD_NO;
    x->route = sosie_http_route_find(request);
    x->body_limit = sosie_http_body_limit(x->route, request);

    MHD_get_connection_values(x->connection, MHD_HEADER_KIND, count_framing,
                              &framing);
    has_body = framing.n_encodings > 0 || announced_size(x) > 0;
    if (sosie_http_framing_check(&framing, &err)) {
        refuse(x, &err);
        x->close = true;
    } else if (sosie_http_refuse_early(&x->server->app, x->route, request,
                                       announced_size(x), &x->response)) {
        x->decided = true;
        x->close = has_body;
    } else if (has_body) {
        open_parser(x);
        x->close = x->decided;
    }
    if (!x->close)
        return MHD_YES;
    sosie_reaper_linger(x->server->reaper, x->reaped);
    return reply(x);
}

/* ---- body ---------------------------------------------------------------- */

static enum sosie_status take_bytes(struct exchange *x, const char *data,
                                    size_t size, struct sosie_error *err)
{
    if (!x->parser)
        return sosie_http_bytes_add(&x->request.body, data, size, x->body_limit,
                                    "the body", err);
    if (x->n_received > x->body_limit)
        return sosie_fail(err, SOSIE_TOO_LARGE,
                          "the body has more than %zu bytes, the most that is "
                          "read",
                          x->body_limit);
    if (MHD_post_process(x->parser, data, size) != MHD_YES && !x->decided)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "the multipart/form-data body is malformed");
    return SOSIE_OK;
}

static enum MHD_Result receive(struct exchange *x, const char *data,
                               size_t *size)
{
    struct sosie_error err;
    x->n_received += *size;
    if (!x->decided && take_bytes(x, data, *size, &err))
        refuse(x, &err);
    *size = 0;
    /* A response can only be sent when the body has come; not at any price. */
    return x->decided && x->n_received > DRAIN_MAX_BYTES ? MHD_NO : MHD_YES;
}

static void close_parser(struct exchange *x)
{
    struct sosie_error err;
    bool complete =
        !x->parser || MHD_destroy_post_processor(x->parser) == MHD_YES;
    x->parser = NULL;
    if (complete || x->decided)
        return;
    (void)sosie_fail(&err, SOSIE_BAD_INPUT,
                     "the multipart/form-data body ends before its last "
                     "boundary");
    refuse(x, &err);
}

/* ---- work ---------------------------------------------------------------- */

static void refuse_busy(struct exchange *x, const char *why)
{
    struct sosie_error err;
    (void)sosie_fail(&err, SOSIE_UNAVAILABLE, "%s; try again in a second", why);
    refuse(x, &err);
}

static void run_job(void *argument, size_t worker)
{
    struct exchange *x = argument;
    (void)worker;
    if (sosie_clock_ms() - x->queued_ms > (double)QUEUE_MAX_MS)
        refuse_busy(x, "the request waited for too long");
    else
        sosie_http_handle(&x->server->app, x->route, &x->request, &x->response);
    MHD_resume_connection(x->connection);
}

static enum MHD_Result queue(struct exchange *x)
{
    struct sosie_server *server = x->server;
    bool closed;
    pthread_mutex_lock(&server->gate);
    closed = server->closed;
    if (!closed) {
        x->stage = WORKING;
        x->queued_ms = sosie_clock_ms();
        sosie_reaper_enter(server->reaper, x->reaped, SOSIE_PHASE_WORK);
        /* First suspend, then queue: the job may end before this returns. */
        MHD_suspend_connection(x->connection);
        if (!sosie_pool_try_submit(server->pool, run_job, x)) {
            refuse_busy(x, "too many requests are waiting");
            MHD_resume_connection(x->connection);
        }
    }
    pthread_mutex_unlock(&server->gate);
    if (!closed)
        return MHD_YES;
    refuse_busy(x, "the server is stopping");
    return reply(x);
}

/* The request is complete. */
static enum MHD_Result dispatch(struct exchange *x)
{
    close_parser(x);
    if (x->decided)
        return reply(x);
    if (x->route->heavy)
        return queue(x);
    sosie_http_handle(&x->server->app, x->route, &x->request, &x->response);
    return reply(x);
}

/* ---- libmicrohttpd's callbacks ------------------------------------------- */

static void on_connection(void *context, struct MHD_Connection *connection,
                          void **reaped,
                          enum MHD_ConnectionNotificationCode what)
{
    struct sosie_server *server = context;
    const union MHD_ConnectionInfo *info;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*reaped)
            sosie_reaper_remove(server->reaper, *reaped);
        return;
    }
    info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *reaped = info ? sosie_reaper_add(server->reaper, info->connect_fd) : NULL;
}

/* The first line has come. What this returns is on_request's *context. */
static void *on_address(void *context, const char *target,
                        struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct exchange *x = calloc(1, sizeof(*x));
    if (!x)
        return NULL;
    x->reaped = info ? info->socket_context : NULL;
    if (!x->reaped || !sosie_http_request_init(&x->request, target)) {
        free(x);
        return NULL;
    }
    sosie_http_response_init(&x->response);
    x->server = context;
    x->connection = connection;
    return x;
}

/* Addresses are decoded once, by us, after they are cut at their slashes. */
static size_t keep_encoded(void *context, struct MHD_Connection *connection,
                           char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static enum MHD_Result on_request(void *server,
                                  struct MHD_Connection *connection,
                                  const char *url, const char *method,
                                  const char *version, const char *data,
                                  size_t *size, void **context)
{
    struct exchange *x = *context;
    (void)server;
    (void)connection;
    (void)url;
    (void)version;
    if (!x)
        return MHD_NO; /* on_address had no memory */
    switch (x->stage) {
    case NEW:
        return begin(x, method);
    case RECEIVING:
        return *size > 0 ? receive(x, data, size) : dispatch(x);
    case WORKING:
        return reply(x);
    case ANSWERED:
        break;
    }
    return MHD_NO;
}

static void on_completed(void *server, struct MHD_Connection *connection,
                         void **context, enum MHD_RequestTerminationCode code)
{
    struct exchange *x = *context;
    (void)server;
    (void)connection;
    (void)code;
    *context = NULL;
    if (!x)
        return;
    sosie_reaper_enter(x->server->reaper, x->reaped, SOSIE_PHASE_HEADER);
    if (x->parser)
        MHD_destroy_post_processor(x->parser);
    sosie_http_response_release(&x->response);
    sosie_http_request_release(&x->request);
    free(x);
}

__attribute__((format(printf, 2, 0))) static void
on_log(void *server, const char *format, va_list values)
{
    char line[256];
    (void)server;
    vsnprintf(line, sizeof(line), format, values);
    line[strcspn(line, "\r\n")] = '\0';
    sosie_log(SOSIE_LOG_DEBUG, "http", "%s", line);
}

/* ---- start and stop ------------------------------------------------------ */

struct sosie_server_options sosie_server_options_defaults(void)
{
    return (struct sosie_server_options){.listen = "127.0.0.1:5000",
                                         .queue_room = 64,
                                         .header_timeout_ms = 10000,
                                         .body_timeout_ms = 60000,
                                         .max_connections = 1024};
}

static void ignore_sigpipe(void)
{
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

static enum sosie_status
start_daemon(struct sosie_server *server,
             const struct sosie_server_options *options, int listen_fd,
             struct sosie_error *err)
{
    size_t cpus = sosie_cpu_count();
    unsigned n_threads =
        cpus < MAX_IO_THREADS ? (unsigned)cpus : MAX_IO_THREADS;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME |
            MHD_USE_ERROR_LOG,
        0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_log,
        server, MHD_OPTION_LISTEN_SOCKET, listen_fd,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_THREAD_POOL_SIZE, n_threads,
        MHD_OPTION_CONNECTION_LIMIT, options->max_connections,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, options->max_connections_per_ip,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
        MHD_OPTION_URI_LOG_CALLBACK, on_address, server,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_encoded, NULL, MHD_OPTION_END);
    return server->daemon
               ? SOSIE_OK
               : sosie_fail(err, SOSIE_IO, "the HTTP server does not start");
}

static void release(struct sosie_server *server)
{
    sosie_pool_destroy(server->pool);
    sosie_reaper_destroy(server->reaper);
    pthread_mutex_destroy(&server->gate);
    free(server->cors_origin);
    free(server);
}

static enum sosie_status set_origin(struct sosie_server *server,
                                    const char *origin, struct sosie_error *err)
{
    if (!origin)
        return SOSIE_OK;
    for (const char *c = origin; *c; c++)
        if (*c <= ' ' || *c > '~')
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "the CORS origin is no address such as "
                              "https://shop.example, or *");
    server->cors_origin = strdup(origin);
    server->app.cors_origin = server->cors_origin;
    return server->cors_origin ? SOSIE_OK
                               : sosie_fail(err, SOSIE_NO_MEMORY, "server");
}

enum sosie_status
sosie_server_start_with(const struct sosie_http_backend *backend,
                        const struct sosie_server_options *options,
                        struct sosie_server **out, struct sosie_error *err)
{
    struct sosie_server *server = calloc(1, sizeof(*server));
    size_t n_workers =
        options->n_workers ? options->n_workers : sosie_cpu_count();
    int listen_fd = -1;
    enum sosie_status st;
    if (!server)
        return sosie_fail(err, SOSIE_NO_MEMORY, "server");
    ignore_sigpipe();
    server->app.backend = *backend;
    pthread_mutex_init(&server->gate, NULL);
    st = set_origin(server, options->cors_origin, err);
    if (!st)
        st = sosie_pool_create(n_workers, options->queue_room, &server->pool,
                               err);
    if (!st)
        st =
            sosie_reaper_create(options->header_timeout_ms,
                                options->body_timeout_ms, &server->reaper, err);
    if (!st)
        st = sosie_http_listen(options->listen, &listen_fd, &server->port, err);
    if (!st)
        st = start_daemon(server, options, listen_fd, err);
    if (st) {
        release(server);
        return st;
    }
    *out = server;
    return SOSIE_OK;
}

enum sosie_status sosie_server_start(struct sosie_engine *engine,
                                     const struct sosie_server_options *options,
                                     struct sosie_server **out,
                                     struct sosie_error *err)
{
    const struct sosie_http_backend backend = {
        .engine = engine,
        .search = sosie_engine_search,
        .result_release = sosie_result_release,
        .photo = sosie_engine_photo,
        .stats = sosie_engine_stats,
    };
    return sosie_server_start_with(&backend, options, out, err);
}

uint16_t sosie_server_port(const struct sosie_server *server)
{
    return server->port;
}

void sosie_server_stop(struct sosie_server *server)
{
    MHD_socket listen_fd;
    bool empty = false;
    if (!server)
        return;
    atomic_store(&server->app.stopping, true);
    listen_fd = MHD_quiesce_daemon(server->daemon);
    if (listen_fd != MHD_INVALID_SOCKET)
        close(listen_fd);
    /* Again and again: a connection whose request ends now is idle then. */
    for (unsigned ms = 0; ms < STOP_MS && !empty; ms += STOP_STEP_MS) {
        sosie_reaper_shut_idle(server->reaper);
        empty = sosie_reaper_wait(server->reaper, STOP_STEP_MS);
    }
    if (!empty)
        sosie_log(SOSIE_LOG_WARN, "http", "some requests were cut off");
    pthread_mutex_lock(&server->gate);
    server->closed = true;
    pthread_mutex_unlock(&server->gate);
    /* What is queued runs and resumes its connections; libmicrohttpd must not
     * be stopped while one is suspended. */
    sosie_pool_destroy(server->pool);
    server->pool = NULL;
    MHD_stop_daemon(server->daemon);
    release(server);
}
