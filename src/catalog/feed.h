/* feed.h: the items of a CSV or TSV file; source.h holds the contract. */
#ifndef SOSIE_CATALOG_FEED_H
#define SOSIE_CATALOG_FEED_H

#include "catalog/source.h"

struct sosie_feed;

/* `root` is the folder of the images; borrowed until the feed is closed. */
SOSIE_MUST_CHECK enum sosie_status
sosie_feed_open(const struct sosie_source_options *options, const char *root,
                struct sosie_feed **out, struct sosie_error *err);
void sosie_feed_close(struct sosie_feed *feed);

SOSIE_MUST_CHECK enum sosie_status
sosie_feed_next(struct sosie_feed *feed, const struct sosie_source_item **item,
                struct sosie_error *err);
size_t sosie_feed_count(const struct sosie_feed *feed);

#endif
