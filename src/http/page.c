/* page.c: the table of the page's files: what tools/embed_page.py made of
 * web/dist, or one file that says how to get the rest. */
#include "http/page.h"

#include <string.h>

#if SOSIE_HAS_PAGE
extern const struct sosie_page_file sosie_page_files[];
extern const size_t sosie_page_n_files;
#else
static const char NOT_BUILT[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
    "<title>Sosie</title><h1>Sosie</h1>"
    "<p>The API answers here, but this program was built without its page. "
    "<code>scripts/setup</code> builds the page; <code>meson setup "
    "--reconfigure build</code> and <code>ninja -C build</code> then bring it "
    "in.</p></html>\n";
static const struct sosie_page_file sosie_page_files[] = {
    {.path = "/index.html",
     .type = "text/html; charset=utf-8",
     .etag = "\"not-built\"",
     .bytes = (const unsigned char *)NOT_BUILT,
     .size = sizeof(NOT_BUILT) - 1}};
static const size_t sosie_page_n_files = 1;
#endif

const struct sosie_page_file *sosie_page_find(const char *path)
{
    if (!strcmp(path, "/"))
        path = "/index.html";
    for (size_t i = 0; i < sosie_page_n_files; i++)
        if (!strcmp(sosie_page_files[i].path, path))
            return &sosie_page_files[i];
    return NULL;
}
