/* aspects.h: what a model says its embedding is made of, read from its file's
 * metadata (model.h). */
#ifndef SOSIE_MODEL_ASPECTS_H
#define SOSIE_MODEL_ASPECTS_H

#include "base/arena.h"
#include "model/model.h"

/* `aspects`, `weights` and `degrees` are the values of embedding.aspects,
 * embedding.weights and embedding.degrees; NULL: not there. Fills n_aspects and
 * aspects of `info`, whose dim is known; names are of the arena. Errors:
 * BAD_INPUT if they are malformed, or the aspects do not add up to dim;
 * NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_aspects_read(const char *aspects, const char *weights,
                   const char *degrees, struct sosie_arena *arena,
                   struct sosie_model_info *info, struct sosie_error *err);

#endif
