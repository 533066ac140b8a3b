/* image.c: any bytes as a photo. What is decoded keeps the limits, has all its
 * pixels, and fits the network; the rest is refused with a reason. */
#include "image/image.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sosie_crop crop = {0.3, 0.2, 0.5, 0.7};
    struct sosie_decode_options options = {
        .limits = {.max_bytes = 1 << 20, .max_pixels = 1 << 18, .max_scans = 9},
        .min_side = (uint32_t)(size % 40),
        .crop = size % 3 ? NULL : &crop};
    struct sosie_image image = {0};
    struct sosie_error err = {.text = ""};
    uint8_t rgb[33 * 20 * 3];

    if (sosie_image_decode(data, size, &options, &image, &err)) {
        expect(err.text[0] && !image.rgb);
        return 0;
    }
    expect(image.width && image.height &&
           (uint64_t)image.width * image.height <= options.limits.max_pixels);
    if (sosie_image_fit(&image,
                        size % 2 ? SOSIE_FIT_SQUASH : SOSIE_FIT_LETTERBOX, 33,
                        20, rgb, &err))
        expect(err.text[0]);
    sosie_image_release(&image);
    return 0;
}
