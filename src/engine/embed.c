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
    size_t pixels = (size_t)info->width * info->height * 3;
    bool ok = embedder;
    enum sosie_status st;

    for (size_t i = 0; ok && i < SOSIE_EMBED_BATCH; i++)
        ok = (embedder->rgb[i] = malloc(pixels)) != NULL;
    if (ok) {
        embedder->info = info;
        embedder->features =
            calloc(SOSIE_EMBED_BATCH * info->dim, sizeof(float));
        embedder->reduced = calloc(SOSIE_WHITEN_DIM, sizeof(float));
        embedder->logits = calloc(info->n_logits + 1, sizeof(float));
        ok = embedder->features && embedder->reduced && embedder->logits;
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
    free(embedder->reduced);
    free(embedder->logits);
    sosie_model_run_destroy(embedder->run);
    free(embedder);
}

enum sosie_status sosie_embedder_decode(struct sosie_embedder *embedder,
                                        size_t i, const void *bytes,
                                        size_t size,
                                        const struct sosie_crop *crop,
                                        struct sosie_error *err)
{
    const struct sosie_model_info *info = embedder->info;
    struct sosie_decode_options options = {
        .limits = sosie_image_limits_defaults(),
        .min_side = info->width > info->height ? info->width : info->height,
        .crop = crop};
    struct sosie_image image = {0};
    enum sosie_status st =
        sosie_image_decode(bytes, size, &options, &image, err);
    if (st)
        return st;
    sosie_colour_histogram(&image, embedder->colours[i]);
    st = sosie_image_fit(&image, info->fit, info->width, info->height,
                         embedder->rgb[i], err);
    sosie_image_release(&image);
    return st;
}

enum sosie_status sosie_embedder_forward(struct sosie_embedder *embedder,
                                         size_t n, bool with_logits,
                                         struct sosie_error *err)
{
    return sosie_model_forward(
        embedder->run, (const uint8_t *const *)embedder->rgb, n,
        embedder->features, with_logits ? embedder->logits : NULL, err);
}

void sosie_embedding_pack(struct sosie_embedder *embedder,
                          const struct sosie_whitening *whitening,
                          float *features, const float *colours, int8_t *packed)
{
    const float *shape = features;
    size_t dim = embedder->info->dim;
    if (whitening) {
        sosie_whitening_apply(whitening, features, embedder->reduced);
        shape = embedder->reduced;
        dim = sosie_whitening_out(whitening);
    }
    sosie_quantise(shape, dim, packed);
    sosie_quantise(colours, SOSIE_COLOUR_DIM, packed + dim);
}
