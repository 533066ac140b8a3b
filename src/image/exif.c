/* exif.c: the orientation, out of a TIFF structure that may be hostile; and
 * pixels turned by it.
 *
 * EXIF 2.3, 4.6.2: "II*\0" or "MM\0*", the offset of the first directory, a
 * count, entries of 12 bytes: tag, type, count, value. Nothing else is read. */
#include "image/decoders.h"

#include <stdlib.h>
#include <string.h>

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, ENTRY_SIZE = 12 };

struct tiff {
    const uint8_t *bytes;
    size_t size;
    bool big_endian;
};

static uint32_t read16(const struct tiff *tiff, size_t at)
{
    const uint8_t *p = tiff->bytes + at;
    return tiff->big_endian ? (uint32_t)p[0] << 8 | p[1]
                            : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t read32(const struct tiff *tiff, size_t at)
{
    uint32_t a = read16(tiff, at), b = read16(tiff, at + 2);
    return tiff->big_endian ? a << 16 | b : b << 16 | a;
}

unsigned sosie_exif_orientation(const uint8_t *bytes, size_t size)
{
    struct tiff tiff;
    size_t at, n;
    if (size >= 6 && !memcmp(bytes, "Exif\0\0", 6)) {
        bytes += 6;
        size -= 6;
    }
    if (size < 8 || (memcmp(bytes, "II*\0", 4) && memcmp(bytes, "MM\0*", 4)))
        return 1;
    tiff = (struct tiff){bytes, size, bytes[0] == 'M'};
    at = read32(&tiff, 4);
    if (at > size - 2)
        return 1;
    n = read16(&tiff, at);
    for (at += 2; n-- && at <= size && size - at >= ENTRY_SIZE;
         at += ENTRY_SIZE) {
        if (read16(&tiff, at) != TAG_ORIENTATION)
            continue;
        if (read16(&tiff, at + 2) == TYPE_SHORT && read32(&tiff, at + 4) == 1) {
            unsigned value = read16(&tiff, at + 8);
            return value >= 1 && value <= 8 ? value : 1;
        }
        return 1;
    }
    return 1;
}

bool sosie_orientation_turns(unsigned orientation)
{
    return orientation >= 5;
}

/* Where the upright picture's pixel (0, 0) lies in the file's, and how far, in
 * pixels, it is to the next one to the right and below. */
struct walk {
    ptrdiff_t start, right, down;
};

static struct walk walk_of(unsigned orientation, ptrdiff_t w, ptrdiff_t h)
{
    ptrdiff_t last = w * h - 1;
    switch (orientation) {
    case 2: /* mirrored */
        return (struct walk){w - 1, -1, w};
    case 3: /* upside down */
        return (struct walk){last, -1, -w};
    case 4: /* mirrored and upside down */
        return (struct walk){last - w + 1, 1, -w};
    case 5: /* transposed */
        return (struct walk){0, w, 1};
    case 6: /* to be turned to the right */
        return (struct walk){last - w + 1, -w, 1};
    case 7: /* transposed over the other diagonal */
        return (struct walk){last, -w, -1};
    case 8: /* to be turned to the left */
        return (struct walk){w - 1, w, -1};
    default:
        return (struct walk){0, 1, w};
    }
}

enum sosie_status sosie_image_orient(struct sosie_image *image,
                                     unsigned orientation,
                                     struct sosie_error *err)
{
    struct walk walk = walk_of(orientation, image->width, image->height);
    bool turns = sosie_orientation_turns(orientation);
    struct sosie_image upright;
    uint8_t *to;
    enum sosie_status st;
    if (orientation == 1)
        return SOSIE_OK;
    st = sosie_image_alloc(&upright, turns ? image->height : image->width,
                           turns ? image->width : image->height, 3, err);
    if (st)
        return st;
    to = upright.rgb;
    for (uint32_t y = 0; y < upright.height; y++) {
        const uint8_t *from =
            image->rgb + 3 * (walk.start + (ptrdiff_t)y * walk.down);
        for (uint32_t x = 0; x < upright.width; x++) {
            memcpy(to, from, 3);
            to += 3;
            if (x + 1 < upright.width)
                from += 3 * walk.right;
        }
    }
    sosie_image_release(image);
    *image = upright;
    return SOSIE_OK;
}
