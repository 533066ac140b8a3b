/* trainer_private.h: what the trainer's files share.
 *
 *   trainer.c         create, one step, the network written
 *   trainer_batch.c   which photos, their views, forward and backward
 *   trainer_losses.c  the losses of a batch and their gradients
 *   trainer_start.c   aspects that start from the data; what a teacher sees
 *   trainer_whiten.c  a shape from a file, whitened on the photos at hand
 *   trainer_save.c    checkpoints */
#ifndef SOSIE_TRAIN_TRAINER_PRIVATE_H
#define SOSIE_TRAIN_TRAINER_PRIVATE_H

#include "base/pool.h"
#include "image/colour.h"
#include "model/model.h"
#include "nn/trainable.h"
#include "train/trainer.h"

/* With so many photos of products that there are several of, what sets those
 * apart is learned from them. */
enum { TRAINER_ENOUGH = 1000 };
enum { MAX_TRAINED = SOSIE_STUDENT_ASPECTS + SOSIE_DATASET_MAX_COLUMNS + 1 };

/* A batch: views in pairs, 2j and 2j + 1. All arrays are (batch, ...). */
struct trainer_batch {
    size_t *photos; /* of the data set */
    int32_t *identities, *groups;
    int32_t *labels[SOSIE_DATASET_MAX_COLUMNS]; /* as a head counts them */
    /* Aspects, heads, features, as the student has them. */
    float *outputs[MAX_TRAINED];
    float *grads[MAX_TRAINED]; /* those of the features stay 0 */
    size_t dims[MAX_TRAINED];
    size_t n_outputs;
    /* Of first views alone, (batch / 2, ...): */
    float *histograms;
    float *teacher; /* NULL: there is none */
    /* Room to gather rows of first views, and their gradients. */
    float *rows, *row_grads;
    int32_t *row_labels;
};

/* One thread's part of a batch. */
struct trainer_shard {
    struct sosie_trainer *trainer;
    size_t first; /* view */
    struct sosie_trainable_run *run;
    uint8_t *rgb; /* a view */
    enum sosie_status status;
    struct sosie_error error;
};

struct sosie_trainer {
    struct sosie_trainer_options options;
    const struct sosie_dataset *dataset;
    const struct sosie_pixels *pixels;
    struct sosie_arena arena;

    size_t columns[SOSIE_DATASET_MAX_COLUMNS]; /* of each head */
    size_t *train;                             /* photos to train on */
    size_t n_train;
    float *taught; /* (n_train, teacher_dim): how a teacher sees them, unit
                      length; NULL: there is none */
    size_t teacher_dim;
    size_t *order, n_order; /* places there, as this epoch takes them */
    size_t order_of;        /* the epoch; SIZE_MAX: none yet */
    bool turned;            /* how shards look at photos */
    size_t *siblings;       /* train photos, by identity */
    size_t *first_sibling;  /* n_identities + 1 */
    size_t n_related;       /* photos with siblings */

    struct sosie_input input;
    struct sosie_trainable *trainable;
    struct sosie_student students[2]; /* what its graph borrows from */
    size_t n_students;
    float *params, *grads;
    size_t n_floats;
    const struct sosie_param *param_list;
    size_t n_params;
    struct sosie_slice_options *slices;
    size_t n_slices;
    struct sosie_optimiser optimiser;

    struct sosie_pool *pool;
    struct trainer_shard *shards;
    size_t n_shards;
    struct trainer_batch batch;
    size_t step, n_steps, steps_per_epoch;
    struct sosie_trainer_losses losses; /* sums */
    double last_loss;
};

/* A parameter of an aspect or a head that no file gave. */
bool trainer_is_new(const struct sosie_trainer *t,
                    const struct sosie_param *param);
/* Fills the batch of the next step, forward to the outputs. */
SOSIE_MUST_CHECK enum sosie_status trainer_forward(struct sosie_trainer *t,
                                                   struct sosie_error *err);
/* From the outputs' gradients to t->grads. */
SOSIE_MUST_CHECK enum sosie_status trainer_backward(struct sosie_trainer *t,
                                                    struct sosie_error *err);
/* From the outputs to their gradients. */
SOSIE_MUST_CHECK enum sosie_status trainer_losses(struct sosie_trainer *t,
                                                  struct sosie_error *err);
/* Room for photos, views and what is made of them. */
SOSIE_MUST_CHECK enum sosie_status trainer_batch_init(struct sosie_trainer *t,
                                                      struct sosie_error *err);
void trainer_batch_release(struct sosie_trainer *t);
/* Aspects that no file gave start as the linear discriminants of what they are
 * to tell apart: products, whatever their colour; colours; kinds. */
SOSIE_MUST_CHECK enum sosie_status trainer_start(struct sosie_trainer *t,
                                                 struct sosie_error *err);
/* Whitens the shape by its parameters, if they are a file's and there are
 * photos enough. features: (n, dim). */
SOSIE_MUST_CHECK enum sosie_status trainer_whiten(struct sosie_trainer *t,
                                                  const float *features,
                                                  size_t n,
                                                  struct sosie_error *err);
/* Shows all photos to the teacher, if there is one. */
SOSIE_MUST_CHECK enum sosie_status trainer_ask_teacher(struct sosie_trainer *t,
                                                       struct sosie_error *err);
/* The features (n, dim) of photos as they are or, `turned`, as the second views
 * of pairs. */
SOSIE_MUST_CHECK enum sosie_status trainer_look(struct sosie_trainer *t,
                                                const size_t *photos, size_t n,
                                                bool turned, float *rows,
                                                struct sosie_error *err);
size_t trainer_features_dim(const struct sosie_trainer *t);
/* Which photos are trained on. */
SOSIE_MUST_CHECK enum sosie_status trainer_find_photos(struct sosie_trainer *t,
                                                       struct sosie_error *err);

#endif
