/* reaper.h: no connection outlives its deadlines.
 *
 * The HTTP library notices only silence: a client that sends a byte a second
 * stays for ever. So each connection is entered here, with the phase that it is
 * in, and a thread shuts down the sockets that have been in theirs for too
 * long.
 *
 * A connection that is refused before its body has come also ends here: closing
 * it with unread bytes would reset it, and the client would lose the answer
 * that says why. The reaper keeps a duplicate of the socket and swallows what
 * still comes, for a short while.
 *
 * Threads: locked inside. */
#ifndef SOSIE_HTTP_REAPER_H
#define SOSIE_HTTP_REAPER_H

#include "sosie/error.h"

#include <stdbool.h>

enum sosie_phase {
    SOSIE_PHASE_HEADER, /* idle, or a header is coming: header deadline */
    SOSIE_PHASE_BODY,   /* body deadline */
    SOSIE_PHASE_WORK,   /* we work: no deadline */
    SOSIE_PHASE_REPLY,  /* the answer goes out: body deadline */
    SOSIE_N_PHASES
};

struct sosie_reaper;
struct sosie_reaped; /* one connection */

SOSIE_MUST_CHECK enum sosie_status
sosie_reaper_create(unsigned header_timeout_ms, unsigned body_timeout_ms,
                    struct sosie_reaper **out, struct sosie_error *err);
/* All connections must have been removed. NULL is allowed. */
void sosie_reaper_destroy(struct sosie_reaper *reaper);

/* `fd` stays open until remove. NULL when out of memory. */
struct sosie_reaped *sosie_reaper_add(struct sosie_reaper *reaper, int fd);

/* To be called before `fd` is closed. */
void sosie_reaper_remove(struct sosie_reaper *reaper,
                         struct sosie_reaped *connection);

/* The connection's deadline starts anew. */
void sosie_reaper_enter(struct sosie_reaper *reaper,
                        struct sosie_reaped *connection,
                        enum sosie_phase phase);

/* When it is removed, bytes will be unread. */
void sosie_reaper_linger(struct sosie_reaper *reaper,
                         struct sosie_reaped *connection);

/* Ends the connections that wait for a request. */
void sosie_reaper_shut_idle(struct sosie_reaper *reaper);

/* Waits until every connection has been removed; false if some are left after
 * `timeout_ms`. */
bool sosie_reaper_wait(struct sosie_reaper *reaper, unsigned timeout_ms);

#endif
