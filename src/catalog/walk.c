/* walk.c: a folder's photos, listed once and sorted by the bytes of their path.
 *
 * Folders are opened relative to the one above, never through a symbolic link,
 * so a walk can't leave its root or go in circles. A link to a file is listed;
 * whether it stays below the root is checked when it is read. */
#include "catalog/walk.h"

#include "base/arena.h"
#include "base/size.h"
#include "catalog/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DEPTH = 16 };

struct sosie_walk {
    struct sosie_arena arena; /* holds the paths and `folder` */
    const char *folder;       /* as the caller called it */
    const char **paths;       /* "<class>/a/b.jpg" */
    size_t n_paths, room, next;

    /* The item in hand. */
    struct sosie_arena names;
    struct sosie_source_item item;
    const char *path, *file;
};

/* What list_folder and those it calls share. */
struct listing {
    struct sosie_walk *walk;
    const struct sosie_source_options *options;
    struct sosie_error *err;
};

bool sosie_is_photo_name(const char *name)
{
    static const char *const extensions[] = {".jpg", ".jpeg", ".png", ".webp"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof(extensions) / sizeof(*extensions); i++)
        if (!strcasecmp(dot, extensions[i]))
            return true;
    return false;
}

/* ---- list ---------------------------------------------------------------- */

static enum sosie_status no_memory(const struct listing *l)
{
    return sosie_fail(l->err, SOSIE_NO_MEMORY, "%s: list of photos",
                      l->walk->folder);
}

static enum sosie_status report(const struct listing *l, const char *path,
                                const char *reason)
{
    char *where;
    if (!l->options->bad)
        return SOSIE_OK;
    where = sosie_arena_printf(&l->walk->arena, "%s/%s", l->walk->folder, path);
    if (!where)
        return no_memory(l);
    sosie_text_make_printable(where);
    l->options->bad(l->options->context, where, reason);
    return SOSIE_OK;
}

static enum sosie_status report_errno(const struct listing *l, const char *path)
{
    char reason[128];
    return report(l, path, strerror_r(errno, reason, sizeof(reason)));
}

static enum sosie_status add_path(const struct listing *l, const char *path)
{
    struct sosie_walk *walk = l->walk;
    if (walk->n_paths == walk->room) {
        size_t room = walk->room ? walk->room : 512, size;
        const char **more = NULL;
        if (sosie_size_mul(room, 2, &room) &&
            sosie_size_mul(room, sizeof(*more), &size))
            more = realloc(walk->paths, size);
        if (!more)
            return no_memory(l);
        walk->paths = more;
        walk->room = room;
    }
    walk->paths[walk->n_paths++] = path;
    return SOSIE_OK;
}

/* S_IFDIR, S_IFREG, or 0 for what is passed over: links to folders, devices.
 * A link that leads nowhere counts as a file, so that reading it says so. */
static mode_t kind_of(int folder, const struct dirent *entry)
{
    struct stat info;
    if (entry->d_type == DT_DIR)
        return S_IFDIR;
    if (entry->d_type == DT_REG)
        return S_IFREG;
    if (fstatat(folder, entry->d_name, &info, AT_SYMLINK_NOFOLLOW))
        return 0;
    if (!S_ISLNK(info.st_mode))
        return S_ISDIR(info.st_mode) || S_ISREG(info.st_mode)
                   ? info.st_mode & S_IFMT
                   : 0;
    return fstatat(folder, entry->d_name, &info, 0) || S_ISREG(info.st_mode)
               ? S_IFREG
               : 0;
}

static enum sosie_status list_folder(const struct listing *l, int folder,
                                     const char *path, size_t depth);

/* Opens a folder in a folder and lists it. */
static enum sosie_status list_below(const struct listing *l, int above,
                                    const char *name, const char *path,
                                    size_t depth)
{
    int folder;
    if (depth > MAX_DEPTH)
        return report(l, path, "too many folders in each other");
    folder =
        openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return folder < 0 ? report_errno(l, path)
                      : list_folder(l, folder, path, depth);
}

static enum sosie_status list_entry(const struct listing *l, int folder,
                                    const struct dirent *entry,
                                    const char *above, size_t depth)
{
    const char *name = entry->d_name, *path, *fault;
    mode_t kind = *name == '.' ? 0 : kind_of(folder, entry);
    if (!kind || (kind == S_IFREG && !sosie_is_photo_name(name)))
        return SOSIE_OK;
    path = sosie_arena_printf(&l->walk->arena, "%s%s%s", above,
                              *above ? "/" : "", name);
    if (!path)
        return no_memory(l);
    /* A backslash is refused where photos are opened: see
     * sosie_path_is_beneath. */
    fault = strchr(name, '\\') ? "holds a backslash" : sosie_text_fault(name);
    if (fault) {
        char reason[64];
        snprintf(reason, sizeof(reason), "the name %s", fault);
        return report(l, path, reason);
    }
    return kind == S_IFDIR ? list_below(l, folder, name, path, depth + 1)
                           : add_path(l, path);
}

/* Closes `folder`. */
static enum sosie_status list_folder(const struct listing *l, int folder,
                                     const char *path, size_t depth)
{
    enum sosie_status st = SOSIE_OK;
    const struct dirent *entry;
    DIR *stream = fdopendir(folder);
    if (!stream) {
        st = report_errno(l, path);
        close(folder);
        return st;
    }
    while (!st && (errno = 0, entry = readdir(stream)))
        st = list_entry(l, folder, entry, path, depth);
    if (!st && errno)
        st = report_errno(l, path);
    closedir(stream);
    return st;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum sosie_status list_all(const struct listing *l, const char *root)
{
    enum sosie_status st;
    int folder = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return sosie_fail_errno(l->err, SOSIE_IO, "%s", l->options->path);
    st = list_folder(l, folder, "", 0);
    if (!st && l->walk->n_paths)
        qsort(l->walk->paths, l->walk->n_paths, sizeof(*l->walk->paths),
              by_bytes);
    return st;
}

/* ---- the walk ------------------------------------------------------------ */

enum sosie_status sosie_walk_open(const struct sosie_source_options *options,
                                  const char *root, struct sosie_walk **out,
                                  struct sosie_error *err)
{
    size_t n = strlen(options->path);
    enum sosie_status st;
    struct sosie_walk *walk = calloc(1, sizeof(*walk));
    if (!walk)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%s", options->path);
    while (n > 1 && options->path[n - 1] == '/')
        n--;
    walk->folder = sosie_arena_strndup(&walk->arena, options->path, n);
    if (walk->folder)
        st = list_all(&(struct listing){walk, options, err}, root);
    else
        st = sosie_fail(err, SOSIE_NO_MEMORY, "%s", options->path);
    if (st)
        sosie_walk_close(walk);
    else
        *out = walk;
    return st;
}

void sosie_walk_close(struct sosie_walk *walk)
{
    if (!walk)
        return;
    sosie_arena_release(&walk->names);
    sosie_arena_release(&walk->arena);
    free(walk->paths);
    free(walk);
}

enum sosie_status sosie_walk_next(struct sosie_walk *walk,
                                  const struct sosie_source_item **item,
                                  struct sosie_error *err)
{
    const char *slash, *class_name = NULL, *where;
    if (walk->next == walk->n_paths) {
        *item = NULL;
        return SOSIE_OK;
    }
    walk->file = walk->paths[walk->next];
    slash = strchr(walk->file, '/');
    walk->path = slash ? slash + 1 : walk->file;

    sosie_arena_release(&walk->names);
    where = sosie_arena_printf(&walk->names, "%s/%s", walk->folder, walk->file);
    if (slash)
        class_name = sosie_arena_strndup(&walk->names, walk->file,
                                         (size_t)(slash - walk->file));
    if (!where || (slash && !class_name))
        return sosie_fail(err, SOSIE_NO_MEMORY, "%s", walk->file);

    walk->item = (struct sosie_source_item){.id = walk->file,
                                            .class_name = class_name,
                                            .fields = "{}",
                                            .n_photos = 1,
                                            .paths = &walk->path,
                                            .files = &walk->file,
                                            .where = where};
    walk->next++;
    *item = &walk->item;
    return SOSIE_OK;
}

size_t sosie_walk_count(const struct sosie_walk *walk)
{
    return walk->n_paths;
}
