/* source.h: where items come from: folders and feeds, read as one stream.
 *
 *   a folder of class folders  <class>/<file>; id "<class>/<file>", class is
 *                              the folder's name, path is "<file>" (which may
 *                              go deeper: "<class>/a/b.jpg" has path "a/b.jpg")
 *   a plain folder             photos directly in it; id "<file>", no class
 *   a CSV or TSV file          (.csv, .tsv, .txt) RFC 4180, UTF-8, a header
 *                              row; columns by `map`, else by the names of
 *                              Google Merchant feeds (or plainly image, class,
 *                              group); tabs where the header has no comma
 *
 * A folder may hold both kinds. Files in a folder are taken by extension (jpg,
 * jpeg, png, webp, any case), hidden ones left out, in byte order of their
 * path; symbolic links to folders are passed over. In feeds an image that is a
 * URL stands for the file of its last path component (%XX decoded) below the
 * images folder; nothing is downloaded. A class in a feed has its slashes
 * replaced by hyphens, since it is one component of its photos' URLs; without a
 * column for it, it is the last of product_type's or google_product_category's
 * "A > B > C". Rows are numbered as a spreadsheet shows them: the header is row
 * 1, line breaks inside quotes do not count.
 *
 * Threads: unshared. Everything handed out is borrowed until the next call. */
#ifndef SOSIE_CATALOG_SOURCE_H
#define SOSIE_CATALOG_SOURCE_H

#include "sosie/error.h"

#include <stddef.h>

struct sosie_source;

struct sosie_source_item {
    const char *id;
    const char *class_name; /* NULL: none given */
    const char *group;      /* variants of one product; NULL: none given */
    /* A JSON object, its members in the order of the columns: title, price,
     * brand, ... by their Google Merchant names (mapped columns under the name
     * they were mapped to), unknown columns as they are called; empty values
     * are left out, and so are id, class, group and image. "{}" if none. */
    const char *fields;
    /* One or more photos: `paths` are what the catalog stores and shows,
     * beneath the class; `files` are the same files relative to `root`. */
    size_t n_photos;
    const char *const *paths;
    const char *const *files;
    const char *where; /* "feed.csv row 17", or the path of the file */
};

struct sosie_source_options {
    const char *path;   /* folder or file */
    const char *images; /* folder that image columns are relative to; NULL: the
                           feed's own folder. Only for feeds. */
    const char *map;    /* "id=COL,image=COL,class=COL,group=COL,title=COL,...";
                           NULL: Google Merchant names */
    /* A row or file that can't be used: reported, then skipped (of a folder
     * while it is opened). A photo missing among an item's further ones is
     * reported too, and the item handed out without it. May be NULL. */
    void (*bad)(void *context, const char *where, const char *reason);
    void *context;
};

/* Errors: NOT_FOUND if there is nothing at the path or no images folder,
 * UNSUPPORTED for a file that is no feed, BAD_INPUT if a feed has no usable
 * header (says which column is missing and which there are), if `map` is
 * malformed or names a column that is not there. The options' strings need not
 * outlive the call. */
SOSIE_MUST_CHECK enum sosie_status
sosie_source_open(const struct sosie_source_options *options,
                  struct sosie_source **out, struct sosie_error *err);
void sosie_source_close(struct sosie_source *source);

/* The absolute path of the folder that `files` are relative to. */
const char *sosie_source_root(const struct sosie_source *source);

/* The next item; *item is NULL at the end. Bad rows never end the stream; a
 * feed that is cut off inside a quoted field is one bad row. Rows with an id
 * seen before in this source are bad rows ("id was already used in row 3"). */
SOSIE_MUST_CHECK enum sosie_status
sosie_source_next(struct sosie_source *source,
                  const struct sosie_source_item **item,
                  struct sosie_error *err);

/* How many items there will be, at most (for the progress bar). */
size_t sosie_source_count(const struct sosie_source *source);

#endif
