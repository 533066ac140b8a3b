/* trainer.h: photos and labels -> a network that finds what looks alike.
 *
 *   pixels -> views -> shards forward -> losses over the whole batch
 *          -> shards backward -> gradients summed -> one step
 *
 * A batch is made of pairs of views. The first of a pair keeps its colours, the
 * second need not: it is another view of the same photo, or of another photo of
 * the same identity (a variant of the product), its hue turned. So that
 *   shape    is drawn together within a pair, and over an identity
 *            (contrastive), whatever the colour
 *   colour   is learned from the first views alone: by their labels
 *            (contrastive), and by the colours counted in them (relations to
 *            the histogram of image/colour.h), which every photo has
 *   kind     is what the other labels are read from
 *   heads    learn their labels (cross-entropy); of colour from first views
 *            alone
 *   teacher  how another network relates the photos, as they are, is kept by
 *            the first views' shape (relations)
 *
 * Without a loss of identity all views are first ones.
 *
 * Everything is drawn from the seed, the number of the step and the place in
 * the batch, and sums have a fixed order: the same options give the same
 * network on one kind of machine, with any number of workers, and resumed as
 * well as uninterrupted.
 *
 * Threads: a trainer is unshared; it works with as many as it is told. */
#ifndef SOSIE_TRAIN_TRAINER_H
#define SOSIE_TRAIN_TRAINER_H

#include "train/augment.h"
#include "train/dataset.h"
#include "train/optimiser.h"
#include "train/pixels.h"
#include "train/student.h"

#include "sosie/precision.h"

struct sosie_trainer;

/* What the losses count, each relative to the others; 0: not taken. */
struct sosie_loss_weights {
    float heads, identity, colour, histogram, teacher;
};

struct sosie_trainer_options {
    struct sosie_student_options student; /* its heads are filled in */
    const char *teacher;                  /* ONNX file; NULL: none */
    size_t batch;                         /* views; a multiple of `shard` */
    size_t shard;                         /* views one thread takes at once */
    double epochs;                        /* views of every photo, in pairs */
    size_t n_workers;
    struct sosie_loss_weights weights;
    float smoothing, temperature;
    struct sosie_augmentation first, second; /* of a pair's views */
    struct sosie_optimiser_options optimiser;
    float rate; /* at its peak; 0: 2e-4 for a file's network, else 5e-4 */
    float aspect_rate, head_rate; /* multiply it for what no file gave */
    size_t repeats; /* of photos of products that there are several of, in an
                       epoch */
    size_t like;    /* batches whose photos are sorted by kind, if the heads
                       count for less than half of identity; 1: none */
    double warm_up; /* share of the steps */
    enum sosie_precision precision; /* F32, BF16, or AUTO: the faster here */
    bool plain;                     /* plain C instead of oneDNN */
    uint64_t seed;
    /* Called while a teacher looks at the photos; false ends it with CANCELLED.
     * May be NULL. */
    bool (*progress)(void *context, size_t n_done, size_t n);
    void *context;
};

/* Those that `sosie train` starts from. */
struct sosie_trainer_options sosie_trainer_options_defaults(void);

/* Means over the steps since the last time it was asked. */
struct sosie_trainer_losses {
    double total, heads, identity, colour, histogram, teacher;
    double right[SOSIE_DATASET_MAX_COLUMNS]; /* share of views, by label */
    double grad_norm;
    size_t n_steps;
};

/* dataset, pixels: stay until it is destroyed.
 * Errors: BAD_INPUT for a label with less than two values or a data set without
 * photos to train on, those of the student, NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_trainer_create(const struct sosie_dataset *dataset,
                     const struct sosie_pixels *pixels,
                     const struct sosie_trainer_options *options,
                     struct sosie_trainer **out, struct sosie_error *err);
/* NULL is allowed. */
void sosie_trainer_destroy(struct sosie_trainer *trainer);

/* What it does; the student's heads and the precision are filled in. */
const struct sosie_trainer_options *
sosie_trainer_options(const struct sosie_trainer *trainer);

size_t sosie_trainer_n_steps(const struct sosie_trainer *trainer); /* in all */
size_t
sosie_trainer_step_number(const struct sosie_trainer *trainer); /* done */
size_t sosie_trainer_steps_per_epoch(const struct sosie_trainer *trainer);
float sosie_trainer_rate(const struct sosie_trainer *trainer);
/* Bytes of activations, gradients and parameters. */
size_t sosie_trainer_memory(const struct sosie_trainer *trainer);

/* The loss of the last step; NAN before the first. */
double sosie_trainer_loss(const struct sosie_trainer *trainer);
size_t sosie_trainer_n_parameters(const struct sosie_trainer *trainer);

/* One step. Errors: REFUSED if the loss is no number any more (the parameters
 * are those from before). */
SOSIE_MUST_CHECK enum sosie_status
sosie_trainer_step(struct sosie_trainer *trainer, struct sosie_error *err);

struct sosie_trainer_losses
sosie_trainer_take_losses(struct sosie_trainer *trainer);

/* The network as it is now (its averaged parameters, if they are kept): an ONNX
 * file, *bytes is the caller's (free). */
SOSIE_MUST_CHECK enum sosie_status
sosie_trainer_write(struct sosie_trainer *trainer,
                    const struct sosie_onnx_property *metadata,
                    size_t n_metadata, unsigned char **bytes, size_t *size,
                    struct sosie_error *err);

/* Everything that is needed to go on, in one file, which is replaced whole.
 * `extra`: bytes of the caller's (what it wants to report). */
SOSIE_MUST_CHECK enum sosie_status
sosie_trainer_save(const struct sosie_trainer *trainer, const char *path,
                   const void *extra, size_t extra_size,
                   struct sosie_error *err);
/* The precision that a checkpoint's training was in, which goes on in the same:
 * AUTO might choose another the next time. Errors: those of reading a file,
 * CORRUPT. */
SOSIE_MUST_CHECK enum sosie_status
sosie_trainer_saved_precision(const char *path, enum sosie_precision *precision,
                              struct sosie_error *err);
/* *extra is the caller's (free). Errors: CORRUPT if the file is damaged,
 * BAD_INPUT if it belongs to other options or another data set; nothing is
 * changed then. */
SOSIE_MUST_CHECK enum sosie_status
sosie_trainer_resume(struct sosie_trainer *trainer, const char *path,
                     unsigned char **extra, size_t *extra_size,
                     struct sosie_error *err);

#endif
