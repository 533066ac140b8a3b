/* aspects.c: the model's own, or shape and colour. */
#include "engine/aspects.h"

#include "image/colour.h"

#include <math.h>

/* What a model may have, a catalog can keep. */
_Static_assert((int)SOSIE_MAX_ASPECTS == SOSIE_ASPECTS_MAX, "index/rows.h");
_Static_assert((int)SOSIE_MAX_ASPECTS == SOSIE_MODEL_MAX_ASPECTS,
               "model/model.h");

/* Chosen on the validation photos of a fashion catalog; README has the figures.
 */
static const double SHAPE_WEIGHT = 1, COLOUR_WEIGHT = 0.55;

size_t sosie_aspects_list(const struct sosie_model_info *info, bool own,
                          const struct sosie_whitening *whitening,
                          struct sosie_aspect aspects[SOSIE_MAX_ASPECTS])
{
    for (size_t j = 0; own && j < info->n_aspects; j++)
        aspects[j] = (struct sosie_aspect){
            info->aspects[j].name, info->aspects[j].dim,
            info->aspects[j].weight, info->aspects[j].degree};
    if (own)
        return info->n_aspects;
    aspects[0] = (struct sosie_aspect){
        "shape", whitening ? sosie_whitening_out(whitening) : info->dim,
        SHAPE_WEIGHT, 1};
    aspects[1] =
        (struct sosie_aspect){"colour", SOSIE_COLOUR_DIM, COLOUR_WEIGHT, 1};
    return 2;
}

/* Makes a vector this long; one of zeros stays. */
static void stretch(float *x, size_t n, double length)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (double)x[i] * (double)x[i];
    for (size_t i = 0; squares > 0 && i < n; i++)
        x[i] = (float)((double)x[i] * length / sqrt(squares));
}

void sosie_aspects_weigh(const struct sosie_model_info *info, float *embeddings,
                         size_t n)
{
    double sum = 0;
    for (size_t j = 0; j < info->n_aspects; j++)
        sum += info->aspects[j].weight;
    for (size_t i = 0; i < n; i++) {
        float *part = embeddings + i * info->dim;
        for (size_t j = 0; j < info->n_aspects; j++) {
            stretch(part, info->aspects[j].dim,
                    sqrt(info->aspects[j].weight / sum));
            part += info->aspects[j].dim;
        }
    }
}
