/* sheet.h: a contact sheet: many small photos in one picture. */
#ifndef ATELIER_SHEET_H
#define ATELIER_SHEET_H

#include "sosie/error.h"

#include <stddef.h>
#include <stdint.h>

struct sheet {
    const char *path;
    uint64_t seed;
    size_t items, colours, columns;
    size_t only; /* a class, or class_count() for all */
    int width;   /* pixels of each photo */
};

SOSIE_MUST_CHECK enum sosie_status sheet_draw(const struct sheet *sheet,
                                              struct sosie_error *err);

#endif
