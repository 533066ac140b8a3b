/* error.h: the one way in which Sosie reports failure.
 *
 * A function that can fail returns a status and, through its last parameter,
 * fills a struct that lives on the caller's stack: no global or per-thread
 * buffer, no allocation, so reporting "out of memory" needs no memory. Messages
 * say what was found and what was expected, in lower case, without a final
 * full stop. On failure, outputs are not written. */
#ifndef SOSIE_ERROR_H
#define SOSIE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SOSIE_MUST_CHECK __attribute__((warn_unused_result))
#define SOSIE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define SOSIE_API __attribute__((visibility("default")))
#else
#define SOSIE_MUST_CHECK
#define SOSIE_PRINTF(fmt, args)
#define SOSIE_API
#endif

/* The command line maps these to exit codes (cli/main.c) and the server to HTTP
 * statuses (http/status.c). */
enum sosie_status {
    SOSIE_OK,
    SOSIE_NO_MEMORY,
    SOSIE_NOT_FOUND,   /* no such item, class, file */
    SOSIE_BAD_INPUT,   /* malformed, or not a value that is allowed */
    SOSIE_TOO_LARGE,   /* more bytes than are taken */
    SOSIE_UNSUPPORTED, /* of a kind that is not read */
    SOSIE_REFUSED,     /* readable but refused: too many pixels, truncated */
    SOSIE_CONFLICT, /* does not fit what is stored, or somebody else writes */
    SOSIE_CORRUPT,  /* stored data fails its integrity check */
    SOSIE_IO,       /* the disk or the network failed */
    SOSIE_UNAVAILABLE, /* not now: busy, starting, stopping */
    SOSIE_CANCELLED    /* stopped because the caller asked for it */
};

/* Filled by the function that detects a failure; callers on the way up may
 * prepend context (sosie_error_prefix) but add no second message. */
struct sosie_error {
    enum sosie_status status;
    char text[508];
};

/* Fills `err` (which may be NULL) and returns `status`, so that a failing
 * function can end with `return sosie_fail(...)`. The message of NO_MEMORY
 * names what there was no room for; ": out of memory" is added. */
SOSIE_API enum sosie_status sosie_fail(struct sosie_error *err,
                                       enum sosie_status status,
                                       const char *format, ...)
    SOSIE_PRINTF(3, 4);

/* The same with ": <strerror(errno)>" appended; errno is read on entry. */
SOSIE_API enum sosie_status sosie_fail_errno(struct sosie_error *err,
                                             enum sosie_status status,
                                             const char *format, ...)
    SOSIE_PRINTF(3, 4);

/* Puts "<format>: " in front of the message. `err` may be NULL. */
SOSIE_API void sosie_error_prefix(struct sosie_error *err, const char *format,
                                  ...) SOSIE_PRINTF(2, 3);

/* The lower-case word for a status ("not_found"): the `code` of API errors. */
SOSIE_API const char *sosie_status_word(enum sosie_status status);

#ifdef __cplusplus
}
#endif
#endif
