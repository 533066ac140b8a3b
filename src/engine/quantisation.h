/* quantisation.h: a model in 8 bits, calibrated on a shop's photos and measured
 * on others of them. */
#ifndef SOSIE_ENGINE_QUANTISATION_H
#define SOSIE_ENGINE_QUANTISATION_H

#include "engine/agreement.h"
#include "model/quantize.h"
#include "sosie/engine.h"

enum { SOSIE_QUANTISATION_MAX_LABELS = 8 };

struct sosie_quantisation_options {
    const char *model, *out;
    const char *const *sources; /* as of sosie_index_options */
    size_t n_sources;
    const char *images, *map;
    size_t n_calibration; /* photos to calibrate on, at most */
    size_t n_measured;    /* photos to measure with, at most */
    size_t n_workers;
    /* What is tried: the one whose embeddings are nearest to the model's, on
     * some of the photos calibrated on, is kept. At least one method. */
    bool methods[SOSIE_N_RANGE_METHODS];
    bool may_equalise;
    /* What photos may have in common: "class", or the name of a field. */
    const char *labels[SOSIE_QUANTISATION_MAX_LABELS];
    size_t n_labels;
    /* The value of a field in an item's `fields` (catalog/source.h) in *value,
     * to be freed; NULL: it has none. */
    enum sosie_status (*field)(void *context, const char *fields,
                               const char *name, char **value,
                               struct sosie_error *err);
    /* As of sosie_index_options; the phases are "reading", "decoding",
     * "finding ranges", "calibrating", "equalising" and "measuring". May be
     * NULL. */
    bool (*progress)(void *context, const struct sosie_index_progress *now);
    void (*bad)(void *context, const char *where, const char *reason);
    void *context;
};

struct sosie_quantisation_report {
    size_t n_calibration, n_measured, n_bad; /* photos */
    bool held_out; /* none of those measured with was calibrated on */
    size_t size_before, size_after;      /* of the files, bytes */
    struct sosie_quantizer_info network; /* n_equalised: 0 if that lost */
    enum sosie_range_method method;      /* that was kept */
    struct sosie_agreement agreement;
    /* Of each label that any photo has; then of all of them at once. */
    size_t n_labels;
    const char *labels[SOSIE_QUANTISATION_MAX_LABELS];
    double precision[SOSIE_QUANTISATION_MAX_LABELS + 1][2];
    double seconds;
};

/* Reads the model, calibrates, writes `out`, and measures what was written
 * against the model; report->agreement.precision points into the report.
 * Errors: those of reading the model, of the sources and of
 * quantize.h; BAD_INPUT if `out` is the model or too few photos can
 * be read; IO; CANCELLED if progress says so. `out` is written whole or not at
 * all; it is there even if measuring failed. */
SOSIE_MUST_CHECK enum sosie_status
sosie_quantisation_run(const struct sosie_quantisation_options *options,
                       struct sosie_quantisation_report *report,
                       struct sosie_error *err);

#endif
