/* choose.c: passes in turn, the least time of each; a small file a model. */
#include "model/choose.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "kernels/kernels.h"
#include "model/network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the memory ---------------------------------------------------------- */

enum { CPUINFO_MAX_BYTES = 16 << 20, ANSWER_MAX_BYTES = 16 };

/* Lines of /proc/cpuinfo that tell one kind of CPU from another; clocks and
 * numbers of cores, which it has as well, change all the time. */
static bool tells_the_cpu(const char *line)
{
    static const char *const starts[] = {"vendor_id", "cpu family", "model",
                                         "stepping",  "cache size", "flags",
                                         "Features",  "CPU "};
    for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++)
        if (!strncmp(line, starts[i], strlen(starts[i])))
            return true;
    return false;
}

/* What this CPU is, as text; NULL if that is not to be had. */
static const char *describe_cpu(struct sosie_arena *arena)
{
    unsigned char *bytes;
    size_t size;
    const char *text = "";
    if (sosie_file_read("/proc/cpuinfo", CPUINFO_MAX_BYTES, &bytes, &size,
                        NULL))
        return NULL;
    for (char *line = (char *)bytes; *line && *line != '\n';) {
        size_t length = strcspn(line, "\n");
        if (text && tells_the_cpu(line))
            text =
                sosie_arena_printf(arena, "%s%.*s\n", text, (int)length, line);
        line += length + (line[length] == '\n');
    }
    free(bytes);
    return text && *text ? text : NULL;
}

/* The folder for answers, made if need be; NULL if there is none. */
static const char *answers_folder(struct sosie_arena *arena)
{
    static const char *const below[] = {"", "/sosie", "/sosie/precision"};
    const char *folder = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (!folder || *folder != '/') {
        if (!home || *home != '/')
            return NULL;
        folder = sosie_arena_printf(arena, "%s/.cache", home);
    }
    for (size_t i = 0; i < sizeof(below) / sizeof(*below); i++) {
        const char *path =
            folder ? sosie_arena_printf(arena, "%s%s", folder, below[i]) : NULL;
        if (!path || sosie_folder_make(path, NULL))
            return NULL;
        if (i + 1 == sizeof(below) / sizeof(*below))
            folder = path;
    }
    return folder;
}

/* The file of the answer for this CPU, program and model. */
static const char *answer_path(struct sosie_arena *arena,
                               const struct sosie_digest *model)
{
    const char *cpu = describe_cpu(arena), *folder = answers_folder(arena);
    const char *key;
    char hex[33];
    struct sosie_digest digest;
    sosie_digest_hex(model, hex);
    if (!cpu || !folder)
        return NULL;
    /* The kernels' name: --cpu may have left some instructions out. */
    key = sosie_arena_printf(arena, "%s%s\n%s\n%s\n", cpu,
                             sosie_kernels()->name, SOSIE_VERSION, hex);
    if (!key)
        return NULL;
    digest = sosie_digest_of(key, strlen(key));
    sosie_digest_hex(&digest, hex);
    return sosie_arena_printf(arena, "%s/%s", folder, hex);
}

bool sosie_choice_recall(const struct sosie_digest *model,
                         enum sosie_precision *precision)
{
    struct sosie_arena arena = SOSIE_ARENA_INIT;
    const char *path = answer_path(&arena, model);
    enum sosie_precision found = SOSIE_PRECISION_AUTO;
    unsigned char *bytes = NULL;
    size_t size;
    if (path && !sosie_file_read(path, ANSWER_MAX_BYTES, &bytes, &size, NULL) &&
        size && bytes[size - 1] == '\n') {
        bytes[size - 1] = 0;
        if (sosie_precision_parse((const char *)bytes, &found, NULL))
            found = SOSIE_PRECISION_AUTO;
    }
    free(bytes);
    sosie_arena_release(&arena);
    if (found != SOSIE_PRECISION_AUTO)
        *precision = found;
    return found != SOSIE_PRECISION_AUTO;
}

void sosie_choice_remember(const struct sosie_digest *model,
                           enum sosie_precision precision)
{
    struct sosie_arena arena = SOSIE_ARENA_INIT;
    const char *path = answer_path(&arena, model);
    const char *name = sosie_precision_name(precision);
    const struct sosie_span spans[] = {{name, strlen(name)}, {"\n", 1}};
    struct sosie_error err;
    if (path && sosie_file_write(path, spans, 2, &err))
        sosie_log(SOSIE_LOG_DEBUG, "model",
                  "the precision is not remembered: "
                  "%s",
                  err.text);
    sosie_arena_release(&arena);
}

/* ---- the timing ---------------------------------------------------------- */

enum { BUDGET_MS = 60, MIN_ROUNDS = 3 };
static const double TIE = 1.03;

/* One pass of each. It stays on this thread, whose time on the CPU shows what
 * is the faster, whatever else the machine does meanwhile. The first round only
 * warms up. */
static enum sosie_status round_of(struct sosie_candidate *candidates, size_t n,
                                  bool counts, struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    for (size_t i = 0; i < n && !st; i++) {
        size_t n_inputs = sosie_net_graph(candidates[i].net)->n_inputs;
        double start, ms;
        for (size_t k = 0; k < n_inputs; k++)
            sosie_network_fill(candidates[i].net, candidates[i].run, k, NULL);
        start = sosie_clock_thread_ms();
        st = sosie_net_run_forward(candidates[i].run, ~0U, err);
        ms = sosie_clock_thread_ms() - start;
        if (counts && (candidates[i].ms <= 0 || ms < candidates[i].ms))
            candidates[i].ms = ms;
    }
    return st;
}

static size_t pick(const struct sosie_candidate *candidates, size_t n)
{
    double least = candidates[0].ms;
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        least = candidates[i].ms < least ? candidates[i].ms : least;
    while (candidates[best].ms > least * TIE)
        best++;
    return best;
}

enum sosie_status sosie_choice_time(struct sosie_candidate *candidates,
                                    size_t n, size_t *best,
                                    struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    double start;
    for (size_t i = 0; i < n && !st; i++)
        st = sosie_net_run_create(candidates[i].net, &candidates[i].run, err);
    start = sosie_clock_thread_ms();
    for (size_t round = 0;
         !st && (round <= MIN_ROUNDS ||
                 sosie_clock_thread_ms() - start < (double)BUDGET_MS);
         round++)
        st = round_of(candidates, n, round > 0, err);
    for (size_t i = 0; i < n; i++) {
        sosie_net_run_destroy(candidates[i].run);
        candidates[i].run = NULL;
    }
    if (!st)
        *best = pick(candidates, n);
    return st;
}
