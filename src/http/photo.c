/* photo.c: GET /static/img/<class>/<path>, the shop's own photos.
 *
 * The address is cut at its slashes before it is decoded, so that a class may
 * have a slash in its name (%2F). What may be read is the catalog's to say:
 * only photos that it knows. */
#include "http/http.h"

#include "base/file.h"
#include "image/image.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum sosie_status read_names(struct sosie_http_request *request,
                                    const char **class_name, const char **path,
                                    struct sosie_error *err)
{
    const char *rest = request->path + strlen("/static/img/");
    size_t size = strcspn(rest, "/");
    enum sosie_status st;
    if (rest[size] == '\0')
        return sosie_fail(err, SOSIE_NOT_FOUND,
                          "a photo's address is /static/img/<class>/<path>");
    st = sosie_http_decode(&request->arena, rest, size, false, class_name, err);
    if (st)
        return st;
    rest += size + 1;
    st = sosie_http_decode(&request->arena, rest, strlen(rest), false, path,
                           err);
    if (st)
        return st;
    if (!sosie_path_is_beneath(*class_name) || !sosie_path_is_beneath(*path))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "the class or path of a photo has an empty part, "
                          "\"..\", \".\" or a backslash");
    return SOSIE_OK;
}

/* By its first bytes; a name may lie, and what is no photo is only bytes. */
static const char *content_type(int fd)
{
    unsigned char head[64];
    ssize_t size = pread(fd, head, sizeof(head), 0);
    switch (sosie_image_sniff(head, size > 0 ? (size_t)size : 0)) {
    case SOSIE_IMAGE_JPEG:
        return "image/jpeg";
    case SOSIE_IMAGE_PNG:
        return "image/png";
    case SOSIE_IMAGE_WEBP:
        return "image/webp";
    case SOSIE_IMAGE_UNKNOWN:
        break;
    }
    return "application/octet-stream";
}

static const char *etag_of(struct sosie_http_request *request, int fd)
{
    struct stat file;
    if (fstat(fd, &file))
        return NULL;
    return sosie_arena_printf(&request->arena, "\"%llx-%llx.%lx\"",
                              (unsigned long long)file.st_size,
                              (unsigned long long)file.st_mtim.tv_sec,
                              (unsigned long)file.st_mtim.tv_nsec);
}

enum sosie_status sosie_http_photo(struct sosie_http_app *app,
                                   struct sosie_http_request *request,
                                   struct sosie_http_response *response,
                                   struct sosie_error *err)
{
    const char *class_name, *path, *etag;
    enum sosie_status st = read_names(request, &class_name, &path, err);
    if (!st)
        st = app->backend.photo(app->backend.engine, class_name, path,
                                &response->fd, &response->size, err);
    if (st)
        return st;
    etag = etag_of(request, response->fd);
    if (!etag)
        return sosie_fail(err, SOSIE_IO, "photo");
    sosie_http_header_add(response, "Cache-Control", "public, max-age=3600");
    if (sosie_http_not_modified(request, response, etag)) {
        close(response->fd);
        response->fd = -1;
        response->size = 0;
        return SOSIE_OK;
    }
    sosie_http_header_add(response, "Content-Type", content_type(response->fd));
    return SOSIE_OK;
}
