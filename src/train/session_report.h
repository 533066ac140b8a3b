/* session_report.h: the course of a training and what came of it, as HTML. */
#ifndef SOSIE_TRAIN_SESSION_REPORT_H
#define SOSIE_TRAIN_SESSION_REPORT_H

#include "train/evaluate.h"
#include "train/session.h"

/* found: of the model at its end; NULL: it was not judged. NO_MEMORY, IO. */
SOSIE_MUST_CHECK enum sosie_status
sosie_session_report(const struct sosie_session_options *options,
                     const struct sosie_dataset *dataset,
                     const struct sosie_trainer_options *trained,
                     const struct sosie_session_epoch *epochs, size_t n,
                     const struct sosie_evaluations *found,
                     struct sosie_error *err);

#endif
