/* server.h: the API and the page over HTTP/1.1.
 *
 * Only mhd.c knows libmicrohttpd; handlers are functions from a request to a
 * response and are tested without sockets. */
#ifndef SOSIE_HTTP_SERVER_H
#define SOSIE_HTTP_SERVER_H

#include "sosie/engine.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sosie_server;

struct sosie_server_options {
    const char *listen; /* "127.0.0.1:5000", "[::1]:5000", "0.0.0.0:0" */
    const char
        *cors_origin;  /* Access-Control-Allow-Origin; NULL: none is sent */
    size_t n_workers;  /* requests handled at once; 0: one a CPU */
    size_t queue_room; /* requests that may wait; more get 503 */
    unsigned header_timeout_ms, body_timeout_ms; /* hard deadlines */
    unsigned max_connections, max_connections_per_ip;
};
/* 127.0.0.1:5000, no CORS, 64 may wait, 10 s, 60 s, 1024, 0 (no limit an IP).
 */
struct sosie_server_options sosie_server_options_defaults(void);

/* Starts to listen and returns. The engine is borrowed until stop. Errors:
 * BAD_INPUT if `listen` is not an address, IO if it can't be bound. */
SOSIE_MUST_CHECK enum sosie_status
sosie_server_start(struct sosie_engine *engine,
                   const struct sosie_server_options *options,
                   struct sosie_server **out, struct sosie_error *err);

/* The port it listens on (for listen ":0"). */
uint16_t sosie_server_port(const struct sosie_server *server);

/* Not ready at once, no new connections, up to 10 s for requests in flight.
 * NULL is allowed. */
void sosie_server_stop(struct sosie_server *server);

#endif
