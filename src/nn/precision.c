/* precision.c: the names of precisions. */
#include "sosie/precision.h"

#include <stddef.h>
#include <string.h>

static const char *const names[] = {"f32", "bf16", "int8", "auto"};
enum { N_NAMES = sizeof(names) / sizeof(*names) };

const char *sosie_precision_name(enum sosie_precision precision)
{
    return names[precision];
}

enum sosie_status sosie_precision_parse(const char *name,
                                        enum sosie_precision *precision,
                                        struct sosie_error *err)
{
    for (size_t i = 0; i < N_NAMES; i++)
        if (!strcmp(name, names[i])) {
            *precision = (enum sosie_precision)i;
            return SOSIE_OK;
        }
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "precision is \"%.40s\", expected f32, bf16, int8 or "
                      "auto",
                      name);
}
