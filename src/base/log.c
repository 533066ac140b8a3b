/* log.c: one write(2) a line; jansson escapes the JSON. */
#include "base/log.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { LINE_ROOM = 1200 };

static struct {
    enum sosie_log_level least;
    bool json;
} setup = {SOSIE_LOG_INFO, false}; /* written once, before threads start */

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void sosie_log_setup(enum sosie_log_level least, bool json)
{
    setup.least = least;
    setup.json = json;
}

static int text_line(char *line, enum sosie_log_level level, const char *area,
                     const char *message)
{
    char clock[16];
    struct tm now;
    time_t seconds = time(NULL);
    localtime_r(&seconds, &now);
    strftime(clock, sizeof(clock), "%H:%M:%S", &now);
    return snprintf(line, LINE_ROOM, "%s %-5s %s: %s\n", clock,
                    level_names[level], area, message);
}

static int json_line(char *line, enum sosie_log_level level, const char *area,
                     const char *message)
{
    struct timeval now;
    json_t *object;
    char *text;
    int length;
    gettimeofday(&now, NULL);
    object = json_pack("{s:f,s:s,s:s,s:s}", "time",
                       (double)now.tv_sec + (double)now.tv_usec / 1e6, "level",
                       level_names[level], "area", area, "message", message);
    text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(16))
                  : NULL;
    /* A message that is not UTF-8 can't be JSON; say at least that. */
    length = snprintf(line, LINE_ROOM, "%s\n",
                      text ? text : "{\"message\":\"unprintable\"}");
    free(text);
    json_decref(object);
    return length;
}

void sosie_log(enum sosie_log_level level, const char *area, const char *format,
               ...)
{
    char message[LINE_ROOM - 200], line[LINE_ROOM];
    va_list args;
    int length;
    if (level < setup.least)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    length = (setup.json ? json_line : text_line)(line, level, area, message);
    if (length >= LINE_ROOM) {
        length = LINE_ROOM - 1;
        line[length - 1] = '\n';
    }
    if (write(STDERR_FILENO, line, (size_t)length) < 0)
        return; /* nowhere left to say it */
}
