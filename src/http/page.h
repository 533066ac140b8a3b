/* page.h: the React page, built into the program.
 *
 * web/dist is embedded at build time when Meson is given -Dweb_dist; without it
 * there is one built-in page that says how to build the real one. */
#ifndef SOSIE_HTTP_PAGE_H
#define SOSIE_HTTP_PAGE_H

#include <stdbool.h>
#include <stddef.h>

struct sosie_page_file {
    const char *path; /* "/index.html", "/assets/index-1a2b3c.js" */
    const char *type; /* Content-Type */
    const char *etag; /* with its quotes */
    bool immutable;   /* its name holds its hash */
    const unsigned char *bytes;
    size_t size;
};

/* The file for a URL path ("/" is "/index.html"); NULL if there is none. */
const struct sosie_page_file *sosie_page_find(const char *path);

#endif
