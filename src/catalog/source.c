/* source.c: a source is a walk through a folder or a feed, told apart by what
 * stands at the path. */
#include "catalog/source.h"

#include "base/file.h"
#include "catalog/feed.h"
#include "catalog/text.h"
#include "catalog/walk.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct sosie_source {
    char *root;              /* absolute */
    struct sosie_walk *walk; /* one of the two is there */
    struct sosie_feed *feed;
};

/* The folder of the images: absolute, owned by the caller. */
static enum sosie_status find_root(const char *folder, char **root,
                                   struct sosie_error *err)
{
    if (sosie_path_kind(folder) != SOSIE_PATH_FOLDER)
        return sosie_fail(err, SOSIE_NOT_FOUND, "%s: no such folder", folder);
    *root = realpath(folder, NULL);
    return *root ? SOSIE_OK : sosie_fail_errno(err, SOSIE_IO, "%s", folder);
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
}

static enum sosie_status check_is_feed(const char *path,
                                       struct sosie_error *err)
{
    static const char *const extensions[] = {".csv", ".tsv", ".txt"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof(extensions) / sizeof(*extensions); i++)
        if (!strcasecmp(dot, extensions[i]))
            return SOSIE_OK;
    return sosie_fail(err, SOSIE_UNSUPPORTED,
                      "%s: expected a folder or a feed (.csv, .tsv, .txt)%s",
                      path, sosie_is_photo_name(path) ? ", found a photo" : "");
}

static enum sosie_status open_feed(struct sosie_source *source,
                                   const struct sosie_source_options *options,
                                   struct sosie_error *err)
{
    char *folder;
    enum sosie_status st = check_is_feed(options->path, err);
    if (st)
        return st;
    folder =
        options->images ? strdup(options->images) : folder_of(options->path);
    if (!folder)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%s", options->path);
    st = find_root(folder, &source->root, err);
    if (!st)
        st = sosie_feed_open(options, source->root, &source->feed, err);
    free(folder);
    return st;
}

static enum sosie_status open_walk(struct sosie_source *source,
                                   const struct sosie_source_options *options,
                                   struct sosie_error *err)
{
    enum sosie_status st = find_root(options->path, &source->root, err);
    return st ? st : sosie_walk_open(options, source->root, &source->walk, err);
}

enum sosie_status sosie_source_open(const struct sosie_source_options *options,
                                    struct sosie_source **out,
                                    struct sosie_error *err)
{
    enum sosie_path_kind kind = sosie_path_kind(options->path);
    enum sosie_status st;
    struct sosie_source *source;
    if (kind == SOSIE_PATH_NONE)
        return sosie_fail(err, SOSIE_NOT_FOUND, "%s: no such file or folder",
                          options->path);
    source = calloc(1, sizeof(*source));
    if (!source)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%s", options->path);
    st = kind == SOSIE_PATH_FOLDER ? open_walk(source, options, err)
                                   : open_feed(source, options, err);
    if (st) {
        sosie_source_close(source);
        if (err)
            sosie_text_make_printable(err->text);
    } else {
        *out = source;
    }
    return st;
}

void sosie_source_close(struct sosie_source *source)
{
    if (!source)
        return;
    sosie_walk_close(source->walk);
    sosie_feed_close(source->feed);
    free(source->root);
    free(source);
}

const char *sosie_source_root(const struct sosie_source *source)
{
    return source->root;
}

enum sosie_status sosie_source_next(struct sosie_source *source,
                                    const struct sosie_source_item **item,
                                    struct sosie_error *err)
{
    return source->walk ? sosie_walk_next(source->walk, item, err)
                        : sosie_feed_next(source->feed, item, err);
}

size_t sosie_source_count(const struct sosie_source *source)
{
    return source->walk ? sosie_walk_count(source->walk)
                        : sosie_feed_count(source->feed);
}
