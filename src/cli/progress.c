/* progress.c: one line on a terminal that is written over and over. */
#include "base/clock.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR = 24 };

const char *cli_grouped(size_t n, char text[32])
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%zu", n), at = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = 0;
    return text;
}

void cli_progress_start(struct cli_progress *progress)
{
    *progress = (struct cli_progress){.on_terminal = isatty(STDERR_FILENO),
                                      .start_ms = sosie_clock_ms()};
}

static void show_rate(double rate, size_t n_left)
{
    size_t seconds = rate > 0 ? (size_t)((double)n_left / rate) : 0;
    fprintf(stderr, "  %.0f/s", rate);
    if (rate > 0)
        fprintf(stderr, "  %zu:%02zu left", seconds / 60, seconds % 60);
}

void cli_progress_show(struct cli_progress *progress,
                       const struct sosie_index_progress *now)
{
    double seconds = (sosie_clock_ms() - progress->start_ms) / 1e3;
    char done[32], all[32], bar[BAR + 1];
    size_t filled = now->n_photos ? now->n_done * BAR / now->n_photos : 0;
    if (!progress->on_terminal)
        return;
    progress->shown = true;
    memset(bar, '-', BAR);
    memset(bar, '#', filled);
    bar[BAR] = 0;
    fprintf(stderr, "\r\033[K%s [%s] %s / %s", now->phase, bar,
            cli_grouped(now->n_done, done), cli_grouped(now->n_photos, all));
    if (seconds > 0.5 && now->n_done)
        show_rate((double)now->n_done / seconds, now->n_photos - now->n_done);
    if (now->n_bad)
        fprintf(stderr, "  %s bad", cli_grouped(now->n_bad, done));
    fflush(stderr);
}

void cli_progress_clear(struct cli_progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}
