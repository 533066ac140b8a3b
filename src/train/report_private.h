/* report_private.h: what the report's files share. */
#ifndef SOSIE_TRAIN_REPORT_PRIVATE_H
#define SOSIE_TRAIN_REPORT_PRIVATE_H

#include "train/report.h"

#include <stdio.h>

struct sosie_report {
    FILE *to; /* into `text`; NULL once it has ended */
    char *text;
    size_t size;
    bool failed; /* something was left out for want of memory */
};

extern const char *const sosie_report_style[]; /* of CSS; ends with NULL */

void sosie_report_escape(struct sosie_report *report, const char *text);

/* <opening>text</name>, the text escaped. */
void sosie_report_element(struct sosie_report *report, const char *opening,
                          const char *name, const char *text);

#endif
