/* picture.c: JPEG by Sosie's own writer, PNG by cairo's. */
#include "picture.h"

#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { QUALITY = 88 };

static bool write_all(int fd, const unsigned char *bytes, size_t size)
{
    while (size) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

static enum sosie_status save(const char *path, const unsigned char *bytes,
                              size_t size, struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    char *temporary = NULL;
    int fd;
    bool ok;
    if (asprintf(&temporary, "%s.tmp", path) < 0)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%s", path);
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ok = fd >= 0 && write_all(fd, bytes, size);
    /* A network's file system may say only now that the disk is full. */
    if (fd >= 0 && close(fd) && ok)
        ok = false;
    if (!ok || rename(temporary, path)) {
        st = sosie_fail_errno(err, SOSIE_IO, "%s", path);
        unlink(temporary);
    }
    free(temporary);
    return st;
}

enum sosie_status picture_save_jpeg(const char *path, const uint8_t *rgb,
                                    int width, int height,
                                    struct sosie_error *err)
{
    const struct sosie_image image = {(uint32_t)width, (uint32_t)height,
                                      (uint8_t *)(uintptr_t)rgb};
    unsigned char *bytes;
    size_t size;
    enum sosie_status st =
        sosie_jpeg_encode(&image, QUALITY, &bytes, &size, err);
    if (st) {
        sosie_error_prefix(err, "%s", path);
        return st;
    }
    st = save(path, bytes, size, err);
    free(bytes);
    return st;
}

/* ---- PNG ----------------------------------------------------------------- */

struct growing {
    unsigned char *bytes;
    size_t size, room;
};

static cairo_status_t grow(void *to, const unsigned char *bytes, unsigned n)
{
    struct growing *all = to;
    if (all->size + n > all->room) {
        size_t room = 2 * (all->size + n);
        unsigned char *more = realloc(all->bytes, room);
        if (!more)
            return CAIRO_STATUS_NO_MEMORY;
        all->bytes = more;
        all->room = room;
    }
    memcpy(all->bytes + all->size, bytes, n);
    all->size += n;
    return CAIRO_STATUS_SUCCESS;
}

enum sosie_status picture_save_png(const char *path, cairo_surface_t *picture,
                                   struct sosie_error *err)
{
    struct growing png = {0};
    enum sosie_status st;
    if (cairo_surface_write_to_png_stream(picture, grow, &png))
        st = sosie_fail(err, SOSIE_NO_MEMORY, "%s", path);
    else
        st = save(path, png.bytes, png.size, err);
    free(png.bytes);
    return st;
}

enum sosie_status picture_save_mask(const char *path, struct canvas *canvas,
                                    struct sosie_error *err)
{
    /* The pieces' mask is not needed any more; its rows are cairo's. */
    cairo_surface_flush(canvas->mask_surface);
    for (int y = 0; y < canvas->height; y++)
        memcpy(canvas->mask + y * canvas->mask_stride,
               canvas->worn + y * canvas->width, (size_t)canvas->width);
    cairo_surface_mark_dirty(canvas->mask_surface);
    return picture_save_png(path, canvas->mask_surface, err);
}

/* ---- looking again ------------------------------------------------------- */

bool picture_is_whole(const char *path)
{
    unsigned char end[2] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool whole = fd >= 0 && lseek(fd, -2, SEEK_END) > 0 &&
                 read(fd, end, 2) == 2 &&
                 ((end[0] == 0xff && end[1] == 0xd9) || /* JPEG: end of image */
                  (end[0] == 0x60 && end[1] == 0x82));  /* PNG: IEND's CRC */
    if (fd >= 0)
        close(fd);
    return whole;
}
