/* feed.c: rows. Names that Google Merchant feeds have are spelled as there;
 * what they do not know (neck, box, ...) stands behind. */
#include "feed.h"

#include "set.h"

#include <string.h>

const char *feed_header(void)
{
    return "id,title,image_link,item_group_id,product_type,color,pattern,"
           "material,price,brand,sleeve,neck,print,length,fit,view,split,x,y,w,"
           "h\n";
}

void feed_image_path(size_t number, char path[FEED_PATH_ROOM])
{
    snprintf(path, FEED_PATH_ROOM, "images/%04zu/AT%07zu.jpg",
             number / SET_SHARD, number);
}

void feed_mask_path(size_t number, char path[FEED_PATH_ROOM])
{
    snprintf(path, FEED_PATH_ROOM, "masks/%04zu/AT%07zu.png",
             number / SET_SHARD, number);
}

/* A design's photos are all in one split; one design in five is withheld. */
static const char *split_of(const struct item *item)
{
    return (item->design.seed >> 8) % 5 ? "train" : "val";
}

void feed_row(FILE *to, const struct item *item, const struct photo_box *box)
{
    const struct design *d = &item->design;
    bool top = d->neck != NECK_NONE;
    char title[128], path[FEED_PATH_ROOM];
    item_title(item, title, sizeof(title));
    feed_image_path(item->number, path);
    fprintf(to, "AT%07zu,\"%s\",%s,AG%07zu,%s,%s,%s,%s,", item->number, title,
            path, item->group, class_path(d->class), palette_name(item->colour),
            pattern_name(d->fabric.pattern), weave_name(d->fabric.weave));
    fprintf(to, "%zu.%02zu EUR,%s,%s,%s,%s,%s,%s,%s,%s,", d->price_cents / 100,
            d->price_cents % 100, brand_name(d->brand),
            top ? sleeve_name(d->sleeve) : "", neck_name(d->neck),
            print_name(d->print), length_name(d), fit_name(d),
            d->hung ? "hanger" : "flat", split_of(item));
    fprintf(to, "%.5f,%.5f,%.5f,%.5f\n", box->x, box->y, box->w, box->h);
}
