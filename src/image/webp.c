/* webp.c: WebP by libwebp: a still picture, or the first frame of an animation
 * on its canvas. */
#include "image/decoders.h"

#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

static enum sosie_status refuse(const char *what, struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_REFUSED, "WebP is %s", what);
}

/* Decodes a frame into its place on the white canvas, `to`. */
static bool draw_opaque(const WebPIterator *frame, uint8_t *to, size_t room,
                        size_t stride)
{
    return WebPDecodeRGBInto(frame->fragment.bytes, frame->fragment.size, to,
                             room, (int)stride);
}

static bool draw_with_alpha(const WebPIterator *frame, uint8_t *to,
                            size_t stride)
{
    size_t width = (size_t)frame->width, height = (size_t)frame->height;
    int w, h;
    uint8_t *rgba =
        WebPDecodeRGBA(frame->fragment.bytes, frame->fragment.size, &w, &h);
    bool ok = rgba && w == frame->width && h == frame->height;
    if (ok) {
        sosie_rgba_onto_white(rgba, width * height);
        for (size_t row = 0; row < height; row++)
            memcpy(to + row * stride, rgba + row * width * 3, width * 3);
    }
    WebPFree(rgba);
    return ok;
}

static enum sosie_status draw(const WebPIterator *frame,
                              struct sosie_image *canvas,
                              struct sosie_error *err)
{
    size_t x = (size_t)frame->x_offset, y = (size_t)frame->y_offset;
    size_t stride = (size_t)canvas->width * 3, start = y * stride + x * 3;
    uint8_t *to = canvas->rgb + start;
    if (x + (size_t)frame->width > canvas->width ||
        y + (size_t)frame->height > canvas->height)
        return refuse("damaged: a frame lies outside the canvas", err);
    if (frame->has_alpha
            ? draw_with_alpha(frame, to, stride)
            : draw_opaque(frame, to, stride * canvas->height - start, stride))
        return SOSIE_OK;
    return refuse("damaged or truncated: its picture can't be decoded", err);
}

static unsigned find_orientation(const WebPDemuxer *demuxer)
{
    WebPChunkIterator chunk;
    unsigned orientation = 1;
    if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk))
        orientation =
            sosie_exif_orientation(chunk.chunk.bytes, chunk.chunk.size);
    WebPDemuxReleaseChunkIterator(&chunk);
    return orientation;
}

static enum sosie_status decode(const WebPDemuxer *demuxer,
                                const struct sosie_decode_options *options,
                                struct sosie_decoded *decoded,
                                struct sosie_error *err)
{
    uint32_t width = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH);
    uint32_t height = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT);
    WebPIterator frame;
    enum sosie_status st =
        sosie_image_check_size(width, height, &options->limits, err);
    if (!st)
        st = sosie_image_alloc(&decoded->image, width, height, 3, err);
    if (st)
        return st;
    memset(decoded->image.rgb, 255, (size_t)width * height * 3);
    if (WebPDemuxGetFrame(demuxer, 1, &frame))
        st = draw(&frame, &decoded->image, err);
    else
        st = refuse("damaged: it has no frame", err);
    WebPDemuxReleaseIterator(&frame);
    decoded->orientation = find_orientation(demuxer);
    return st;
}

enum sosie_status sosie_webp_decode(const void *bytes, size_t size,
                                    const struct sosie_decode_options *options,
                                    struct sosie_decoded *decoded,
                                    struct sosie_error *err)
{
    const WebPData data = {bytes, size};
    WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
    WebPDemuxer *demuxer = WebPDemuxPartial(&data, &state);
    enum sosie_status st;
    if (demuxer && state == WEBP_DEMUX_DONE)
        st = decode(demuxer, options, decoded, err);
    else
        st = refuse(state == WEBP_DEMUX_PARSE_ERROR ? "damaged" : "truncated",
                    err);
    WebPDemuxDelete(demuxer);
    return st;
}
