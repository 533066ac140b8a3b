/* csv.c: any bytes as a CSV file; what comes out is text, and it ends. */
#include "catalog/csv.h"

#include "catalog/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sosie_csv csv;
    struct sosie_error err;
    bool found = true;
    size_t last = 0;

    sosie_csv_init(&csv, (const char *)data, size, size % 2 ? ',' : '\t');
    while (found) {
        enum sosie_status st = sosie_csv_next(&csv, &found, &err);
        if (csv.row <= last || (st && st != SOSIE_BAD_INPUT))
            abort();
        last = csv.row;
        for (size_t i = 0; !st && found && i < csv.n_fields; i++)
            if (!sosie_text_is_utf8(csv.fields[i], strlen(csv.fields[i])))
                abort();
    }
    sosie_csv_release(&csv);
    return 0;
}
