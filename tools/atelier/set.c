/* set.c: folders are drawn by threads, then their rows become the feed. */
#include "set.h"

#include "base/file.h"
#include "feed.h"
#include "picture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* What the threads share. */
struct work {
    const struct set *set;
    size_t shards;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t ended; /* a thread */
    size_t next, done, running;
    enum sosie_status status; /* the first that is not OK stops all */
    struct sosie_error err;
};

static char *path_of(const struct set *set, const char *below)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", set->out, below) < 0 ? NULL : path;
}

static enum sosie_status no_memory(const struct set *set,
                                   struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "%s", set->out);
}

static enum sosie_status make_folder(const struct set *set, const char *below,
                                     struct sosie_error *err)
{
    char *path = path_of(set, below);
    enum sosie_status st =
        path ? sosie_folder_make(path, err) : no_memory(set, err);
    free(path);
    return st;
}

/* ---- a folder ------------------------------------------------------------ */

static size_t shard_end(const struct set *set, size_t shard)
{
    size_t end = (shard + 1) * SET_SHARD;
    return end < set->items ? end : set->items;
}

static void rows_path(size_t shard, char path[FEED_PATH_ROOM])
{
    snprintf(path, FEED_PATH_ROOM, "rows/%04zu.csv", shard);
}

static bool picture_there(const struct set *set, const char *below)
{
    char *path = path_of(set, below);
    bool whole = path && picture_is_whole(path);
    free(path);
    return whole;
}

static bool shard_is_done(const struct set *set, size_t shard)
{
    char below[FEED_PATH_ROOM], *path;
    bool done;
    rows_path(shard, below);
    path = path_of(set, below);
    done = path && sosie_path_kind(path) == SOSIE_PATH_FILE;
    free(path);
    for (size_t i = shard * SET_SHARD; done && i < shard_end(set, shard); i++) {
        feed_image_path(i, below);
        done = picture_there(set, below);
        feed_mask_path(i, below);
        done = done && (!set->masks || picture_there(set, below));
    }
    return done;
}

static enum sosie_status save_item(const struct set *set, struct canvas *canvas,
                                   size_t number, const uint8_t *rgb,
                                   struct sosie_error *err)
{
    char below[FEED_PATH_ROOM], *path;
    enum sosie_status st;
    feed_image_path(number, below);
    path = path_of(set, below);
    st = path ? picture_save_jpeg(path, rgb, canvas->width, canvas->height, err)
              : no_memory(set, err);
    free(path);
    if (st || !set->masks)
        return st;
    feed_mask_path(number, below);
    path = path_of(set, below);
    st = path ? picture_save_mask(path, canvas, err) : no_memory(set, err);
    free(path);
    return st;
}

static enum sosie_status draw_items(struct work *work, size_t shard,
                                    struct canvas *canvas, uint8_t *rgb,
                                    FILE *rows, struct sosie_error *err)
{
    const struct set *set = work->set;
    for (size_t i = shard * SET_SHARD; i < shard_end(set, shard); i++) {
        struct item item = item_at(set->seed, set->colours, i);
        struct photo_box box;
        enum sosie_status st;
        if (*set->stop)
            return sosie_fail(err, SOSIE_CANCELLED, "stopped");
        photo_take(canvas, &item, rgb, &box);
        st = save_item(set, canvas, i, rgb, err);
        if (st)
            return st;
        feed_row(rows, &item, &box);
        pthread_mutex_lock(&work->lock);
        work->done++;
        pthread_mutex_unlock(&work->lock);
    }
    return SOSIE_OK;
}

static enum sosie_status make_shard_folders(const struct set *set, size_t shard,
                                            struct sosie_error *err)
{
    char below[FEED_PATH_ROOM];
    enum sosie_status st;
    snprintf(below, sizeof(below), "images/%04zu", shard);
    st = make_folder(set, below, err);
    if (st || !set->masks)
        return st;
    snprintf(below, sizeof(below), "masks/%04zu", shard);
    return make_folder(set, below, err);
}

static enum sosie_status draw_shard(struct work *work, size_t shard,
                                    struct canvas *canvas, uint8_t *rgb,
                                    struct sosie_error *err)
{
    char below[FEED_PATH_ROOM], *path, *text = NULL;
    size_t size = 0;
    FILE *rows = open_memstream(&text, &size);
    enum sosie_status st = rows ? make_shard_folders(work->set, shard, err)
                                : no_memory(work->set, err);
    if (!st)
        st = draw_items(work, shard, canvas, rgb, rows, err);
    if (rows && fclose(rows) && !st)
        st = no_memory(work->set, err);
    if (!st) {
        rows_path(shard, below);
        path = path_of(work->set, below);
        st = path ? sosie_file_write(path, &(struct sosie_span){text, size}, 1,
                                     err)
                  : no_memory(work->set, err);
        free(path);
    }
    free(text);
    return st;
}

/* ---- threads ------------------------------------------------------------- */

/* The next folder; false if there is none, or all have to stop. */
static bool take_shard(struct work *work, size_t *shard)
{
    bool more;
    pthread_mutex_lock(&work->lock);
    more = !work->status && work->next < work->shards;
    if (more)
        *shard = work->next++;
    pthread_mutex_unlock(&work->lock);
    return more;
}

static void end_thread(struct work *work, enum sosie_status st,
                       const struct sosie_error *err)
{
    pthread_mutex_lock(&work->lock);
    if (st && !work->status) {
        work->status = st;
        work->err = *err;
    }
    work->running--;
    pthread_cond_signal(&work->ended);
    pthread_mutex_unlock(&work->lock);
}

static void *draw_shards(void *argument)
{
    struct work *work = argument;
    const struct set *set = work->set;
    int height = set->width * 6 / 5;
    size_t shard;
    struct sosie_error err;
    struct canvas canvas = {0};
    uint8_t *rgb = malloc((size_t)set->width * (size_t)height * 3);
    enum sosie_status st = rgb ? canvas_init(&canvas, set->width, height, &err)
                               : no_memory(set, &err);
    while (!st && take_shard(work, &shard)) {
        if (!shard_is_done(set, shard)) {
            st = draw_shard(work, shard, &canvas, rgb, &err);
            continue;
        }
        pthread_mutex_lock(&work->lock);
        work->done += shard_end(set, shard) - shard * SET_SHARD;
        pthread_mutex_unlock(&work->lock);
    }
    canvas_release(&canvas);
    free(rgb);
    end_thread(work, st, &err);
    return NULL;
}

/* Until all threads have ended. */
static void watch(struct work *work)
{
    const struct set *set = work->set;
    pthread_mutex_lock(&work->lock);
    while (work->running) {
        struct timespec until;
        size_t done = work->done;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 100000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_mutex_unlock(&work->lock);
        if (set->progress)
            set->progress(set->argument, done, set->items);
        pthread_mutex_lock(&work->lock);
        if (work->running)
            pthread_cond_timedwait(&work->ended, &work->lock, &until);
    }
    pthread_mutex_unlock(&work->lock);
}

static enum sosie_status draw_all(const struct set *set,
                                  struct sosie_error *err)
{
    struct work work = {.set = set,
                        .shards = (set->items + SET_SHARD - 1) / SET_SHARD,
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .ended = PTHREAD_COND_INITIALIZER};
    pthread_t threads[SET_MAX_JOBS];
    size_t n = 0, wanted = set->jobs < work.shards ? set->jobs : work.shards;
    work.running = wanted;
    while (n < wanted && !pthread_create(&threads[n], NULL, draw_shards, &work))
        n++;
    pthread_mutex_lock(&work.lock);
    work.running -= wanted - n;
    pthread_mutex_unlock(&work.lock);
    watch(&work);
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    if (!n)
        return sosie_fail(err, SOSIE_NO_MEMORY, "no thread can be started");
    if (work.status)
        *err = work.err;
    return work.status;
}

/* ---- the feed ------------------------------------------------------------ */

static enum sosie_status add_rows(const struct set *set, size_t shard,
                                  struct sosie_file_writer *feed,
                                  struct sosie_error *err)
{
    char below[FEED_PATH_ROOM], *path;
    struct sosie_span span = {0};
    unsigned char *bytes = NULL;
    enum sosie_status st;
    rows_path(shard, below);
    path = path_of(set, below);
    st = path ? sosie_file_read(path, 1 << 24, &bytes, &span.size, err)
              : no_memory(set, err);
    span.bytes = bytes;
    if (!st)
        st = sosie_file_writer_add(feed, &span, 1, err);
    free(bytes);
    free(path);
    return st;
}

/* Everything drawn so far reaches the disk. */
static enum sosie_status sync_all(const struct set *set,
                                  struct sosie_error *err)
{
    int fd = open(set->out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum sosie_status st = SOSIE_OK;
    if (fd < 0 || syncfs(fd))
        st = sosie_fail_errno(err, SOSIE_IO, "%s", set->out);
    if (fd >= 0)
        close(fd);
    return st;
}

static enum sosie_status write_feed(const struct set *set,
                                    struct sosie_error *err)
{
    struct sosie_file_writer feed = {.fd = -1};
    const char *header = feed_header();
    const struct sosie_span first = {header, strlen(header)};
    char *path = path_of(set, "feed.csv");
    enum sosie_status st = path ? sync_all(set, err) : no_memory(set, err);
    if (!st)
        st = sosie_file_writer_open(path, &feed, err);
    if (!st)
        st = sosie_file_writer_add(&feed, &first, 1, err);
    for (size_t i = 0; !st && i * SET_SHARD < set->items; i++)
        st = add_rows(set, i, &feed, err);
    if (!st)
        st = sosie_file_writer_commit(&feed, err);
    sosie_file_writer_release(&feed);
    free(path);
    return st;
}

/* They are in the feed; what cannot be removed does no harm. */
static void remove_rows(const struct set *set)
{
    char below[FEED_PATH_ROOM], *path;
    for (size_t i = 0; i * SET_SHARD < set->items; i++) {
        rows_path(i, below);
        path = path_of(set, below);
        if (path)
            unlink(path);
        free(path);
    }
    path = path_of(set, "rows");
    if (path)
        rmdir(path);
    free(path);
}

/* ---- what is there already ----------------------------------------------- */

enum { SETTINGS_ROOM = 256 };

static void settings_of(const struct set *set, char text[SETTINGS_ROOM])
{
    snprintf(text, SETTINGS_ROOM,
             "--items %zu --colours %zu --seed %llu --size %d%s\n", set->items,
             set->colours, (unsigned long long)set->seed, set->width,
             set->masks ? " --masks" : "");
}

static bool folder_is_empty(const char *path)
{
    DIR *folder = opendir(path);
    bool empty = true;
    for (struct dirent *e; folder && empty && (e = readdir(folder));)
        empty = e->d_name[0] == '.';
    if (folder)
        closedir(folder);
    return empty;
}

/* Opens the file of the settings, made if OUT is new or empty, and locks it. */
static enum sosie_status lock(const struct set *set, const char *path, int *fd,
                              struct sosie_error *err)
{
    enum sosie_status st = sosie_folder_make(set->out, err);
    if (st)
        return st;
    if (sosie_path_kind(path) == SOSIE_PATH_NONE && !folder_is_empty(set->out))
        return sosie_fail(err, SOSIE_CONFLICT,
                          "%s: there are other files; give an empty or a new "
                          "folder",
                          set->out);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*fd < 0)
        return sosie_fail_errno(err, SOSIE_IO, "%s", path);
    if (!flock(*fd, LOCK_EX | LOCK_NB))
        return SOSIE_OK;
    if (errno == EWOULDBLOCK)
        return sosie_fail(err, SOSIE_CONFLICT,
                          "%s: is being drawn by another process", set->out);
    return sosie_fail_errno(err, SOSIE_IO, "%s", path);
}

/* Makes sure that OUT is ours: new, or begun with the same settings. */
static enum sosie_status claim(const struct set *set, const char *path, int fd,
                               struct sosie_error *err)
{
    char wanted[SETTINGS_ROOM];
    unsigned char *found = NULL;
    size_t size = 0, length;
    enum sosie_status st =
        sosie_file_read_fd(fd, path, 1 << 16, &found, &size, err);
    settings_of(set, wanted);
    length = strlen(wanted);
    /* A line without an end: who began it was killed before anything else. */
    if (!st && !memchr(found, '\n', size)) {
        if (ftruncate(fd, 0) || pwrite(fd, wanted, length, 0) < (ssize_t)length)
            st = sosie_fail_errno(err, SOSIE_IO, "%s", path);
    } else if (!st && strcmp((char *)found, wanted)) {
        found[strcspn((char *)found, "\n")] = 0;
        st = sosie_fail(err, SOSIE_CONFLICT,
                        "%s: was drawn with %.150s; give these or another "
                        "folder",
                        set->out, (char *)found);
    }
    free(found);
    return st;
}

static enum sosie_status draw_claimed(const struct set *set, bool *there,
                                      struct sosie_error *err)
{
    char *feed = path_of(set, "feed.csv");
    enum sosie_status st = feed ? SOSIE_OK : no_memory(set, err);
    *there = feed && sosie_path_kind(feed) == SOSIE_PATH_FILE;
    free(feed);
    if (st || *there)
        return st;
    st = make_folder(set, "images", err);
    if (!st && set->masks)
        st = make_folder(set, "masks", err);
    if (!st)
        st = make_folder(set, "rows", err);
    if (!st)
        st = draw_all(set, err);
    if (!st)
        st = write_feed(set, err);
    if (!st)
        remove_rows(set);
    return st;
}

enum sosie_status set_draw(const struct set *set, bool *there,
                           struct sosie_error *err)
{
    char *path = path_of(set, "atelier.txt");
    int fd = -1;
    enum sosie_status st =
        path ? lock(set, path, &fd, err) : no_memory(set, err);
    if (!st)
        st = claim(set, path, fd, err);
    if (!st)
        st = draw_claimed(set, there, err);
    if (fd >= 0)
        close(fd);
    free(path);
    return st;
}
