/* file.h: whole files in and out, so that a crash leaves the old or the new.
 *
 * Errors of all functions: NOT_FOUND when the path does not exist, IO for the
 * rest, with the path in the message. Threads: any number at once. */
#ifndef SOSIE_BASE_FILE_H
#define SOSIE_BASE_FILE_H

#include "sosie/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The system calls behind every write, so that a test can make the n-th one
 * fail. `sosie_file_ops` is the table in use; only tests change it, before any
 * thread starts. */
struct sosie_file_ops {
    int (*open)(const char *path, int flags, mode_t mode);
    ssize_t (*write)(int fd, const void *bytes, size_t size);
    int (*sync)(int fd);
    int (*rename)(const char *from, const char *to);
};
extern struct sosie_file_ops sosie_file_ops;

/* Reads a whole file. *bytes is owned by the caller (free) and has a NUL after
 * its end. TOO_LARGE when it holds more than `max_bytes`; BAD_INPUT when it is
 * not a regular file. */
SOSIE_MUST_CHECK enum sosie_status
sosie_file_read(const char *path, size_t max_bytes, unsigned char **bytes,
                size_t *size, struct sosie_error *err);

/* The same from a file that is already open (pipes too: `-` for stdin), from
 * where it stands. `name` is for the message. */
SOSIE_MUST_CHECK enum sosie_status sosie_file_read_fd(int fd, const char *name,
                                                      size_t max_bytes,
                                                      unsigned char **bytes,
                                                      size_t *size,
                                                      struct sosie_error *err);

struct sosie_span {
    const void *bytes;
    size_t size;
};

/* Writes the spans, in order, to "<path>.tmp", syncs it, renames it to `path`
 * and syncs the folder. On failure the temporary is removed and what was at
 * `path` is still there. */
SOSIE_MUST_CHECK enum sosie_status
sosie_file_write(const char *path, const struct sosie_span *spans,
                 size_t n_spans, struct sosie_error *err);

/* A large file, written piece by piece, then mapped. */
struct sosie_file_writer {
    char *path;      /* where it will be; of an unnamed one: for messages */
    char *temporary; /* its name until then; NULL: it has none */
    int fd;
    size_t size; /* bytes written so far */
};

/* Starts "<path>.tmp", locked. CONFLICT if another process is writing it. The
 * writer is to be released, whatever happens after. */
SOSIE_MUST_CHECK enum sosie_status
sosie_file_writer_open(const char *path, struct sosie_file_writer *writer,
                       struct sosie_error *err);
/* Starts a file without a name in the folder, or, where that is NULL, in
 * memory: nothing of it is left when it is released and not mapped any more. */
SOSIE_MUST_CHECK enum sosie_status
sosie_file_writer_open_unnamed(const char *folder,
                               struct sosie_file_writer *writer,
                               struct sosie_error *err);
SOSIE_MUST_CHECK enum sosie_status
sosie_file_writer_add(struct sosie_file_writer *writer,
                      const struct sosie_span *spans, size_t n_spans,
                      struct sosie_error *err);
/* A read-only mapping of what was written; release with sosie_file_unmap. */
SOSIE_MUST_CHECK enum sosie_status
sosie_file_writer_map(const struct sosie_file_writer *writer,
                      const void **bytes, struct sosie_error *err);
/* Syncs the file, renames it to its path, syncs the folder. */
SOSIE_MUST_CHECK enum sosie_status
sosie_file_writer_commit(struct sosie_file_writer *writer,
                         struct sosie_error *err);
/* Closes the file; one that was not committed is removed. */
void sosie_file_writer_release(struct sosie_file_writer *writer);

/* A read-only mapping of a whole file; release with sosie_file_unmap. An empty
 * file maps to NULL, 0. */
SOSIE_MUST_CHECK enum sosie_status sosie_file_map(const char *path,
                                                  const void **bytes,
                                                  size_t *size,
                                                  struct sosie_error *err);
void sosie_file_unmap(const void *bytes, size_t size);

/* A whole file to look at for a moment, mapped if it can't change meanwhile: a
 * lease makes whoever opens it for writing, or cuts it, wait until the view is
 * closed (or for the system's lease-break-time, 45 s, so be done by then).
 * Where no lease is to be had (someone has it open for writing; it is another
 * user's; the file system has none), it is read instead. */
struct sosie_file_view {
    const void *bytes;
    size_t size;
    int lease; /* the file that is mapped; -1: `bytes` were read */
};

/* Errors: as sosie_file_read. */
SOSIE_MUST_CHECK enum sosie_status
sosie_file_view_open(const char *path, size_t max_bytes,
                     struct sosie_file_view *view, struct sosie_error *err);
/* One that is all zero, or closed, is allowed. */
void sosie_file_view_close(struct sosie_file_view *view);

/* Makes the folder if it is not there (its parent must be). */
SOSIE_MUST_CHECK enum sosie_status sosie_folder_make(const char *path,
                                                     struct sosie_error *err);

/* What stands at a path. */
enum sosie_path_kind { SOSIE_PATH_NONE, SOSIE_PATH_FILE, SOSIE_PATH_FOLDER };
enum sosie_path_kind sosie_path_kind(const char *path);

/* True for a relative path that stays below its folder: not empty, not
 * absolute, no component "", "." or "..", no NUL, no backslash. */
bool sosie_path_is_beneath(const char *path);

/* Opens `path` for reading below the folder `root`: symbolic links may not
 * lead out of it (openat2 with RESOLVE_BENEATH). NOT_FOUND for anything that
 * is not a regular file there. */
SOSIE_MUST_CHECK enum sosie_status
sosie_file_open_beneath(const char *root, const char *path, int *fd,
                        size_t *size, struct sosie_error *err);

#endif
