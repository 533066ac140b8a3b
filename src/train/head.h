/* head.h: fits a class head on what a catalog has stored (engine/head.h).
 *
 * No photo is read and no network run: the head is a multinomial logistic
 * regression on the embeddings of the photos that have a class. A tenth of
 * them, whole products, is held out to choose its decay and its temperature,
 * and to say how often it is right. */
#ifndef SOSIE_TRAIN_HEAD_H
#define SOSIE_TRAIN_HEAD_H

#include "sosie/engine.h"

struct sosie_head_options {
    const char *catalog;
    size_t n_workers; /* 0: one a CPU */
    /* Asked now and then; false: stop, CANCELLED. May be NULL. */
    bool (*go_on)(void *context);
    void *context;
};

struct sosie_head_report {
    size_t n_photos, n_held_out, n_classes;
    double votes;    /* share of the held-out photos that the neighbours' votes
                        get right */
    double accuracy; /* that the head does */
    double temperature;
    double error_before, error_after; /* expected calibration error, at
                                         temperature 1 and at this one */
    double decay;
    bool kept; /* the catalog has the head; else it is worse than the votes, and
                  the catalog has none */
    double seconds;
};

/* Errors: those of opening a catalog for writing; BAD_INPUT if it has too few
 * photos or classes; REFUSED if it has too many; CANCELLED, IO, NO_MEMORY. On
 * failure the catalog's head stays as it was. */
SOSIE_MUST_CHECK enum sosie_status
sosie_head_fit(const struct sosie_head_options *options,
               struct sosie_head_report *report, struct sosie_error *err);

#endif
