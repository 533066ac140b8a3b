/* session.h: a whole training: data set -> pixels -> steps -> model, report.
 *
 * After every epoch the model so far is written to `out` (replaced whole) and
 * judged on photos of val; every few minutes, and when it is told to stop, a
 * checkpoint is written from which it goes on. If one of them can't be written
 * (the disk is full, say), that is told and training goes on: what was written
 * before stays, and the next may succeed. Only the last model must.
 *
 * Threads: unshared. */
#ifndef SOSIE_TRAIN_SESSION_H
#define SOSIE_TRAIN_SESSION_H

#include "train/trainer.h"

enum { SOSIE_SESSION_MAX_MEASURES = 16 };

struct sosie_session_progress {
    const char *phase; /* "reading", "decoding", "training", "judging" */
    size_t n_done, n;  /* photos; views when training */
    size_t n_bad;
    double per_second;   /* views, since it started or went on */
    double seconds_left; /* of training; < 0: not known yet */
    double epoch, loss;  /* of training */
};

/* A number that is measured on val. */
struct sosie_session_measure {
    char name[40];
    double value; /* NAN: not measured */
};

struct sosie_session_epoch {
    double epoch, seconds; /* trained so far */
    double rate, per_second;
    struct sosie_trainer_losses losses; /* means of this epoch */
    size_t n_measures;
    struct sosie_session_measure measures[SOSIE_SESSION_MAX_MEASURES];
};

struct sosie_session_options {
    struct sosie_dataset_options dataset; /* its callbacks are the session's */
    struct sosie_trainer_options trainer;
    const char *out;        /* the ONNX file to be written */
    const char *checkpoint; /* file; NULL: "<out>.checkpoint" */
    bool resume;            /* go on from the checkpoint, which must be there */
    const char *cache;      /* folder for pixels; NULL: that of `out` */
    bool keep_cache;
    const char *report;  /* HTML file; NULL: none */
    double save_every_s; /* between checkpoints */
    size_t n_judged;     /* queries of val, at most; 0: none are judged */
    /* False stops it: a checkpoint is written, and it ends with CANCELLED. */
    bool (*progress)(void *context, const struct sosie_session_progress *now);
    void (*epoch)(void *context, const struct sosie_session_epoch *epoch);
    void (*bad)(void *context, const char *where, const char *reason);
    /* A file that could not be written; training goes on. May be NULL. */
    void (*warn)(void *context, const char *text);
    void *context;
    const struct sosie_onnx_property *metadata; /* added to the file's own */
    size_t n_metadata;
};

struct sosie_session_result {
    size_t n_photos, n_train, n_val, n_bad;
    size_t n_parameters, size_bytes; /* of the file */
    size_t memory_bytes;             /* of training, as planned */
    size_t n_epochs;
    double seconds; /* of training */
    enum sosie_precision precision;
    struct sosie_session_epoch last;
};

struct sosie_session_options sosie_session_options_defaults(void);

/* Errors: those of the data set, the pixels, the trainer; BAD_INPUT for a
 * resume without a checkpoint; CANCELLED; IO. */
SOSIE_MUST_CHECK enum sosie_status
sosie_session_run(const struct sosie_session_options *options,
                  struct sosie_session_result *result, struct sosie_error *err);

#endif
