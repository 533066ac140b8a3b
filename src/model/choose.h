/* choose.h: which precision a network is fastest in, on this machine.
 *
 * The flags of a CPU cannot tell: bfloat16 is twice as fast as float32 on some
 * and slower on others. So the network itself is timed in each precision, for
 * some tens of milliseconds, and the answer is kept in the user's cache folder,
 * a small file for each CPU, version of Sosie and model. A file that can't be
 * read is no answer, and one that can't be written is no error. */
#ifndef SOSIE_MODEL_CHOOSE_H
#define SOSIE_MODEL_CHOOSE_H

#include "base/hash.h"
#include "nn/net.h"

#include <stdbool.h>

/* What an earlier process found, or false. */
bool sosie_choice_recall(const struct sosie_digest *model,
                         enum sosie_precision *precision);
void sosie_choice_remember(const struct sosie_digest *model,
                           enum sosie_precision precision);

struct sosie_candidate {
    enum sosie_precision precision;
    struct sosie_net *net;
    struct sosie_net_run *run; /* while it is timed */
    double ms;                 /* found: the least that a pass took */
};

/* The index of the fastest; of those within 3% of it, the most precise. The
 * candidates stand from the most precise to the least. */
SOSIE_MUST_CHECK enum sosie_status
sosie_choice_time(struct sosie_candidate *candidates, size_t n, size_t *best,
                  struct sosie_error *err);

#endif
