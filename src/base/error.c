/* error.c: filling the caller's error struct. */
#include "sosie/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void append(struct sosie_error *err, const char *text)
{
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, "%s", text);
}

enum sosie_status sosie_fail(struct sosie_error *err, enum sosie_status status,
                             const char *format, ...)
{
    va_list args;
    if (!err)
        return status;
    err->status = status;
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    if (status == SOSIE_NO_MEMORY && !strstr(err->text, "out of memory"))
        append(err, ": out of memory");
    return status;
}

enum sosie_status sosie_fail_errno(struct sosie_error *err,
                                   enum sosie_status status, const char *format,
                                   ...)
{
    int code = errno;
    char reason[128];
    va_list args;
    if (!err)
        return status;
    err->status = status;
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    append(err, ": ");
    append(err, strerror_r(code, reason, sizeof(reason)));
    return status;
}

void sosie_error_prefix(struct sosie_error *err, const char *format, ...)
{
    char old[sizeof(err->text)];
    va_list args;
    if (!err)
        return;
    memcpy(old, err->text, sizeof(old));
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    append(err, ": ");
    append(err, old);
}

const char *sosie_status_word(enum sosie_status status)
{
    switch (status) {
    case SOSIE_OK:
        return "ok";
    case SOSIE_NO_MEMORY:
        return "no_memory";
    case SOSIE_NOT_FOUND:
        return "not_found";
    case SOSIE_BAD_INPUT:
        return "bad_input";
    case SOSIE_TOO_LARGE:
        return "too_large";
    case SOSIE_UNSUPPORTED:
        return "unsupported";
    case SOSIE_REFUSED:
        return "refused";
    case SOSIE_CONFLICT:
        return "conflict";
    case SOSIE_CORRUPT:
        return "corrupt";
    case SOSIE_IO:
        return "io";
    case SOSIE_UNAVAILABLE:
        return "unavailable";
    case SOSIE_CANCELLED:
        return "cancelled";
    }
    return "unknown";
}
