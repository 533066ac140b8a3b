/* file.c: whole files, in and out.
 *
 * A file is written beside its place, synced, renamed onto it, and the folder
 * is synced: at every moment the old or the new one is there, whole. */
#include "base/file.h"

#include "base/size.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int call_open(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}

struct sosie_file_ops sosie_file_ops = {call_open, write, fsync, rename};

static enum sosie_status status_of(int code)
{
    return code == ENOENT || code == ENOTDIR ? SOSIE_NOT_FOUND
           : code == ENOMEM                  ? SOSIE_NO_MEMORY
                                             : SOSIE_IO;
}

static enum sosie_status fail_path(const char *path, struct sosie_error *err)
{
    return sosie_fail_errno(err, status_of(errno), "%s", path);
}

/* ---- in ------------------------------------------------------------------ */

static enum sosie_status too_large(const char *name, const char *more,
                                   uint64_t size, size_t max_bytes,
                                   struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_TOO_LARGE,
                      "%s has %s%" PRIu64 " bytes, at most %zu are taken", name,
                      more, size, max_bytes);
}

/* Room for at least one byte more than is used, and the final NUL. */
static bool grow(unsigned char **bytes, size_t used, size_t *room)
{
    size_t wanted = *room ? *room : 16384;
    unsigned char *more;
    if (used + 1 < *room)
        return true;
    if (*room && !sosie_size_mul(*room, 2, &wanted))
        return false;
    more = realloc(*bytes, wanted);
    if (!more)
        return false;
    *bytes = more;
    *room = wanted;
    return true;
}

enum sosie_status sosie_file_read_fd(int fd, const char *name, size_t max_bytes,
                                     unsigned char **bytes, size_t *size,
                                     struct sosie_error *err)
{
    unsigned char *buffer = NULL;
    size_t used = 0, room = 0;
    struct stat info;
    enum sosie_status st = SOSIE_OK;

    /* A size that is known saves the growing; a pipe has none. */
    if (!fstat(fd, &info) && S_ISREG(info.st_mode) && info.st_size > 0) {
        if ((uint64_t)info.st_size > max_bytes)
            return too_large(name, "", (uint64_t)info.st_size, max_bytes, err);
        room = (size_t)info.st_size + 2;
        buffer = malloc(room);
        if (!buffer)
            return sosie_fail(err, SOSIE_NO_MEMORY, "%s", name);
    }
    for (;;) {
        ssize_t n;
        if (!grow(&buffer, used, &room)) {
            st = sosie_fail(err, SOSIE_NO_MEMORY, "%s", name);
            goto out;
        }
        n = read(fd, buffer + used, room - used - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            st = fail_path(name, err);
            goto out;
        }
        if (!n)
            break;
        used += (size_t)n;
        if (used > max_bytes) {
            st = too_large(name, "more than ", max_bytes, max_bytes, err);
            goto out;
        }
    }
    buffer[used] = 0;
    *bytes = buffer;
    *size = used;
    buffer = NULL;
out:
    free(buffer);
    return st;
}

static enum sosie_status open_regular(const char *path, int *fd,
                                      struct stat *info,
                                      struct sosie_error *err)
{
    int opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (opened < 0)
        return fail_path(path, err);
    if (fstat(opened, info) || !S_ISREG(info->st_mode)) {
        close(opened);
        return sosie_fail(err, SOSIE_BAD_INPUT, "%s: not a regular file", path);
    }
    *fd = opened;
    return SOSIE_OK;
}

enum sosie_status sosie_file_read(const char *path, size_t max_bytes,
                                  unsigned char **bytes, size_t *size,
                                  struct sosie_error *err)
{
    struct stat info;
    int fd = -1;
    enum sosie_status st = open_regular(path, &fd, &info, err);
    if (st)
        return st;
    st = sosie_file_read_fd(fd, path, max_bytes, bytes, size, err);
    close(fd);
    return st;
}

enum sosie_status sosie_file_map(const char *path, const void **bytes,
                                 size_t *size, struct sosie_error *err)
{
    struct stat info;
    void *map = NULL;
    int fd = -1;
    enum sosie_status st = open_regular(path, &fd, &info, err);
    if (st)
        return st;
    if (info.st_size > 0) {
        map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED)
            st = fail_path(path, err);
    }
    close(fd);
    if (st)
        return st;
    *bytes = map;
    *size = (size_t)info.st_size;
    return SOSIE_OK;
}

void sosie_file_unmap(const void *bytes, size_t size)
{
    if (bytes)
        munmap((void *)(uintptr_t)bytes, size);
}

/* Holds off writers. The signal that tells of one waiting is one that nobody
 * notices. */
static bool take_lease(int fd)
{
    return !fcntl(fd, F_SETSIG, SIGURG) && !fcntl(fd, F_SETLEASE, F_RDLCK);
}

/* Maps an open file; false if it may change, or has nothing to map. */
static bool map_leased(int fd, struct sosie_file_view *view)
{
    struct stat info;
    void *map;
    if (!take_lease(fd))
        return false;
    if (!fstat(fd, &info) && info.st_size > 0) {
        map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map != MAP_FAILED) {
            *view = (struct sosie_file_view){map, (size_t)info.st_size, fd};
            return true;
        }
    }
    (void)fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
}

enum sosie_status sosie_file_view_open(const char *path, size_t max_bytes,
                                       struct sosie_file_view *view,
                                       struct sosie_error *err)
{
    struct sosie_file_view opened = {.lease = -1};
    struct stat info;
    unsigned char *bytes;
    int fd = -1;
    enum sosie_status st = open_regular(path, &fd, &info, err);
    if (st)
        return st;
    if (map_leased(fd, &opened)) {
        if (opened.size > max_bytes) {
            st = too_large(path, "", opened.size, max_bytes, err);
            sosie_file_view_close(&opened);
        }
    } else {
        st = sosie_file_read_fd(fd, path, max_bytes, &bytes, &opened.size, err);
        close(fd);
        opened.bytes = st ? NULL : bytes;
    }
    if (!st)
        *view = opened;
    return st;
}

void sosie_file_view_close(struct sosie_file_view *view)
{
    if (view->bytes && view->lease >= 0) {
        sosie_file_unmap(view->bytes, view->size);
        close(view->lease); /* and the lease with it */
    } else {
        free((void *)(uintptr_t)view->bytes);
    }
    *view = (struct sosie_file_view){.lease = -1};
}

/* ---- out ----------------------------------------------------------------- */

static bool write_all(int fd, const struct sosie_span *span)
{
    const unsigned char *from = span->bytes;
    size_t left = span->size;
    while (left) {
        ssize_t n = sosie_file_ops.write(fd, from, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        from += n;
        left -= (size_t)n;
    }
    return true;
}

static bool write_and_sync(const char *path, const struct sosie_span *spans,
                           size_t n_spans)
{
    int fd = sosie_file_ops.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                                 0644);
    bool ok = fd >= 0;
    for (size_t i = 0; ok && i < n_spans; i++)
        ok = write_all(fd, &spans[i]);
    ok = ok && !sosie_file_ops.sync(fd);
    if (fd >= 0) {
        int code = errno;
        close(fd);
        errno = code;
    }
    return ok;
}

/* Makes a rename last: the folder's entry must reach the disk too. */
static bool sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == path ? strdup("/")
                   : slash       ? strndup(path, (size_t)(slash - path))
                                 : strdup(".");
    int fd = -1;
    bool ok;
    if (folder)
        fd = sosie_file_ops.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    ok = fd >= 0 && !sosie_file_ops.sync(fd);
    if (fd >= 0) {
        int code = errno;
        close(fd);
        errno = code;
    }
    free(folder);
    return ok;
}

enum sosie_status sosie_file_write(const char *path,
                                   const struct sosie_span *spans,
                                   size_t n_spans, struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.tmp", path) < 0)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%s", path);
    if (!write_and_sync(temporary, spans, n_spans) ||
        sosie_file_ops.rename(temporary, path)) {
        st = fail_path(path, err);
        unlink(temporary);
    } else if (!sync_folder_of(path)) {
        st = fail_path(path, err);
    }
    free(temporary);
    return st;
}

/* ---- piece by piece ------------------------------------------------------ */

/* Opens and locks the temporary. Between the two, who held it may have renamed
 * it: then *taken is false, and the file is not ours to write. */
static enum sosie_status open_locked(struct sosie_file_writer *writer,
                                     bool *taken, struct sosie_error *err)
{
    struct stat ours, there;
    writer->fd = sosie_file_ops.open(writer->temporary,
                                     O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (writer->fd < 0)
        return fail_path(writer->temporary, err);
    if (flock(writer->fd, LOCK_EX | LOCK_NB))
        return errno == EWOULDBLOCK
                   ? sosie_fail(err, SOSIE_CONFLICT,
                                "%s is being written by another process",
                                writer->temporary)
                   : fail_path(writer->temporary, err);
    *taken = !fstat(writer->fd, &ours) && !stat(writer->temporary, &there) &&
             ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
    if (*taken && ftruncate(writer->fd, 0))
        return fail_path(writer->temporary, err);
    return SOSIE_OK;
}

enum sosie_status sosie_file_writer_open(const char *path,
                                         struct sosie_file_writer *writer,
                                         struct sosie_error *err)
{
    struct sosie_file_writer opened = {.path = strdup(path), .fd = -1};
    enum sosie_status st = SOSIE_OK;
    bool taken = false;
    if (!opened.path || asprintf(&opened.temporary, "%s.tmp", path) < 0) {
        free(opened.path);
        return sosie_fail(err, SOSIE_NO_MEMORY, "%s", path);
    }
    while (!st && !taken) {
        if (opened.fd >= 0)
            close(opened.fd);
        st = open_locked(&opened, &taken, err);
    }
    if (!st) {
        *writer = opened;
        return SOSIE_OK;
    }
    if (st == SOSIE_CONFLICT) { /* it is another's, to be left where it is */
        free(opened.temporary);
        opened.temporary = NULL;
    }
    sosie_file_writer_release(&opened);
    return st;
}

/* Makes a file of a name that nobody has, and takes the name away. */
static int open_unnamed(const char *folder)
{
    for (unsigned i = 0;; i++) {
        char *name = NULL;
        int fd, code;
        if (asprintf(&name, "%s/sosie-%ld-%u.tmp", folder, (long)getpid(), i) <
            0)
            return -1;
        fd = sosie_file_ops.open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
                                 0600);
        code = errno;
        if (fd >= 0)
            unlink(name);
        free(name);
        errno = code;
        if (fd >= 0 || code != EEXIST)
            return fd;
    }
}

enum sosie_status
sosie_file_writer_open_unnamed(const char *folder,
                               struct sosie_file_writer *writer,
                               struct sosie_error *err)
{
    struct sosie_file_writer opened = {
        .path = strdup(folder ? folder : "memory"), .fd = -1};
    enum sosie_status st;
    if (!opened.path)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a temporary file");
    opened.fd =
        folder ? open_unnamed(folder) : memfd_create("sosie", MFD_CLOEXEC);
    if (opened.fd >= 0) {
        *writer = opened;
        return SOSIE_OK;
    }
    st = fail_path(opened.path, err);
    sosie_file_writer_release(&opened);
    return st;
}

enum sosie_status sosie_file_writer_add(struct sosie_file_writer *writer,
                                        const struct sosie_span *spans,
                                        size_t n_spans, struct sosie_error *err)
{
    for (size_t i = 0; i < n_spans; i++) {
        if (!write_all(writer->fd, &spans[i]))
            return fail_path(writer->path, err);
        writer->size += spans[i].size;
    }
    return SOSIE_OK;
}

enum sosie_status sosie_file_writer_map(const struct sosie_file_writer *writer,
                                        const void **bytes,
                                        struct sosie_error *err)
{
    void *map = NULL;
    if (writer->size) {
        map = mmap(NULL, writer->size, PROT_READ, MAP_SHARED, writer->fd, 0);
        if (map == MAP_FAILED)
            return fail_path(writer->path, err);
    }
    *bytes = map;
    return SOSIE_OK;
}

enum sosie_status sosie_file_writer_commit(struct sosie_file_writer *writer,
                                           struct sosie_error *err)
{
    if (sosie_file_ops.sync(writer->fd) ||
        sosie_file_ops.rename(writer->temporary, writer->path))
        return fail_path(writer->path, err);
    free(writer->temporary);
    writer->temporary = NULL;
    return sync_folder_of(writer->path) ? SOSIE_OK
                                        : fail_path(writer->path, err);
}

void sosie_file_writer_release(struct sosie_file_writer *writer)
{
    if (writer->temporary)
        unlink(writer->temporary);
    if (writer->fd >= 0)
        close(writer->fd);
    free(writer->temporary);
    free(writer->path);
    *writer = (struct sosie_file_writer){.fd = -1};
}

/* ---- folders and paths --------------------------------------------------- */

enum sosie_status sosie_folder_make(const char *path, struct sosie_error *err)
{
    if (!mkdir(path, 0755) ||
        (errno == EEXIST && sosie_path_kind(path) == SOSIE_PATH_FOLDER))
        return SOSIE_OK;
    return fail_path(path, err);
}

enum sosie_path_kind sosie_path_kind(const char *path)
{
    struct stat info;
    if (stat(path, &info))
        return SOSIE_PATH_NONE;
    return S_ISDIR(info.st_mode) ? SOSIE_PATH_FOLDER : SOSIE_PATH_FILE;
}

bool sosie_path_is_beneath(const char *path)
{
    if (!*path || strchr(path, '\\'))
        return false;
    for (;;) {
        size_t n = strcspn(path, "/");
        if (n == 0 || (n == 1 && path[0] == '.') ||
            (n == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        if (!path[n])
            return true;
        path += n + 1;
    }
}

static int open_beneath(const char *root, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), fd, code;
    if (folder < 0)
        return -1;
    do /* EAGAIN: a rename raced with the look-up; the kernel asks for a retry
        */
        fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
    while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    code = errno;
    close(folder);
    errno = code;
    return fd;
}

enum sosie_status sosie_file_open_beneath(const char *root, const char *path,
                                          int *fd, size_t *size,
                                          struct sosie_error *err)
{
    struct stat info;
    int opened = -1;
    if (sosie_path_is_beneath(path))
        opened = open_beneath(root, path);
    else
        errno = ENOENT;
    if (opened < 0 && errno != ENOENT && errno != ENOTDIR && errno != EXDEV &&
        errno != ELOOP)
        return sosie_fail_errno(err, SOSIE_IO, "%s", path);
    if (opened < 0 || fstat(opened, &info) || !S_ISREG(info.st_mode)) {
        if (opened >= 0)
            close(opened);
        return sosie_fail(err, SOSIE_NOT_FOUND, "%s: no such file", path);
    }
    *fd = opened;
    *size = (size_t)info.st_size;
    return SOSIE_OK;
}
