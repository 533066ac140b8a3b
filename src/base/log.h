/* log.h: what the program does, one line each, on stderr.
 *
 * Text for people ("12:04:31 info  server: listening on ...") or one JSON
 * object a line for machines ({"time":..,"level":..,"area":..,"message":..}).
 * A line is written with one write(2), so lines of several threads never mix.
 * Photos' bytes and keys are never logged. Threads: any number at once;
 * sosie_log_setup is called once, before they start. */
#ifndef SOSIE_BASE_LOG_H
#define SOSIE_BASE_LOG_H

#include "sosie/error.h"

#include <stdbool.h>

enum sosie_log_level {
    SOSIE_LOG_DEBUG,
    SOSIE_LOG_INFO,
    SOSIE_LOG_WARN,
    SOSIE_LOG_ERROR
};

/* Lines below `least` are dropped. Without this call: text, from INFO. */
void sosie_log_setup(enum sosie_log_level least, bool json);

/* `area` is the room that speaks ("http", "catalog"). */
void sosie_log(enum sosie_log_level level, const char *area, const char *format,
               ...) SOSIE_PRINTF(3, 4);

#endif
