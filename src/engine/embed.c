/* embed.c: photo bytes -> pixels -> features and colours -> packed int8.
 *
 * The decoder may shrink a photo as long as it stays larger than the network's
 * input; colours are counted on what it gives, before the fit. */
#include "engine/engine_private.h"

#include <stdlib.h>

enum sosie_status sosie_embedder_create(const struct sosie_model *model,
                                        struct sosie_embedder **out,
                                        struct sosie_error *err)
{
    const struct sosie_model_info *info = sosie_model_info(model);
    struct sosie_embedder *embedder = calloc(1, sizeof(*embedder));
    size_t pixels = sosie_fitted_size(info);
    bool ok = embedder;
    enum sosie_status st;

    for (size_t i = 0; ok && i < SOSIE_EMBED_BATCH; i++)
        ok = (embedder->rgb[i] = malloc(pixels)) != NULL;
    if (ok) {
        embedder->info = info;
        embedder->features =
            calloc(SOSIE_EMBED_BATCH * info->dim, sizeof(float));
        embedder->logits =
            calloc(SOSIE_EMBED_BATCH * info->n_logits + 1, sizeof(float));
        ok = embedder->features && embedder->logits;
    }
    st = ok ? sosie_model_run_create(model, &embedder->run, err)
            : sosie_fail(err, SOSIE_NO_MEMORY, "buffers to embed photos");
    if (st) {
        sosie_embedder_destroy(embedder);
        return st;
    }
    *out = embedder;
    return SOSIE_OK;
}

void sosie_embedder_destroy(struct sosie_embedder *embedder)
{
    if (!embedder)
        return;
    for (size_t i = 0; i < SOSIE_EMBED_BATCH; i++)
        free(embedder->rgb[i]);
    free(embedder->features);
    free(embedder->logits);
    sosie_model_run_destroy(embedder->run);
    free(embedder);
}

size_t sosie_fitted_size(const struct sosie_model_info *info)
{
    return (size_t)info->width * info->height * 3;
}

enum sosie_status sosie_photo_decode(const struct sosie_model_info *info,
                                     const void *bytes, size_t size,
                                     const struct sosie_crop *crop,
                                     uint8_t *rgb, float *colours,
                                     struct sosie_error *err)
{
    struct sosie_decode_options options = {
        .limits = sosie_image_limits_defaults(),
        .min_side = info->width > info->height ? info->width : info->height,
        .crop = crop};
    struct sosie_image image = {0};
    enum sosie_status st =
        sosie_image_decode(bytes, size, &options, &image, err);
    if (st)
        return st;
    if (colours)
        sosie_colour_histogram(&image, colours);
    st =
        sosie_image_fit(&image, info->fit, info->width, info->height, rgb, err);
    sosie_image_release(&image);
    return st;
}

void sosie_embedding_pack(const struct sosie_view *view, float *features,
                          const float *colours, int8_t *packed)
{
    const size_t *dims = view->shape.dims;
    float reduced[SOSIE_WHITEN_DIM];
    const float *parts = features;
    if (view->whitening) {
        sosie_whitening_apply(view->whitening, features, reduced);
        parts = reduced;
    }
    for (size_t j = 0; j < view->shape.n_aspects; j++) {
        sosie_quantise(j && !view->own_aspects ? colours : parts, dims[j],
                       packed);
        parts += dims[j];
        packed += dims[j];
    }
}
