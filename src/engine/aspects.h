/* aspects.h: what a catalog's embeddings are made of.
 *
 * A model may bring aspects of its own (model/model.h): parts of its embedding.
 * Of a model without, two are made here: `shape`, its features, whitened where
 * there are photos enough, and `colour`, a histogram of the photo. A catalog
 * remembers which of the two ways it was made in. */
#ifndef SOSIE_ENGINE_ASPECTS_H
#define SOSIE_ENGINE_ASPECTS_H

#include "engine/whiten.h"
#include "index/rows.h"
#include "model/model.h"
#include "sosie/engine.h"

/* Lists the aspects and returns their number; their names are valid as long as
 * the model. `own`: those of the model, which has some; else `whitening` is
 * that of the shape, NULL for none. */
size_t sosie_aspects_list(const struct sosie_model_info *info, bool own,
                          const struct sosie_whitening *whitening,
                          struct sosie_aspect aspects[SOSIE_MAX_ASPECTS]);

/* Makes embeddings (n, dim) such that the cosine of two is the weighted mean of
 * the cosines of their aspects, if the model has its own; else leaves them.
 * Degrees are no matter of embeddings: they are left out. */
void sosie_aspects_weigh(const struct sosie_model_info *info, float *embeddings,
                         size_t n);

#endif
