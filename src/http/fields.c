/* fields.c: the fields of a search, each from JSON or from text.
 *
 * A field comes as a JSON member, a multipart part or a parameter of the
 * address; the latter two are text and arrive here as JSON strings. So every
 * field takes a string beside its own kind: limit "12", within_predicted
 * "true", crop "0.1,0.1,0.5,0.5" or "{\"x\":0.1,...}", weights
 * "shape=1,colour=0.5" or "{\"shape\":1,...}". */
#include "http/http.h"

#include "image/image.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A short text of any JSON value, for messages. */
struct excerpt {
    char text[48];
};

static struct excerpt excerpt_of(const json_t *value)
{
    struct excerpt excerpt;
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII |
                                       JSON_COMPACT | JSON_REAL_PRECISION(15));
    bool fits = text && strlen(text) < sizeof(excerpt.text);
    snprintf(excerpt.text, sizeof(excerpt.text), fits ? "%s" : "%.40s...",
             text ? text : "?");
    free(text);
    return excerpt;
}

/* A JSON number, or a string that is one from end to end. */
static bool read_number(const json_t *value, double *number)
{
    const char *text = json_string_value(value);
    char *end;
    if (json_is_number(value)) {
        *number = json_number_value(value);
        return true;
    }
    /* strtod would also take " 1", "0x1", "inf" and "nan". */
    if (!text || !*text || text[strspn(text, "+-.0123456789eE")])
        return false;
    *number = strtod(text, &end);
    return *end == '\0' && isfinite(*number);
}

enum sosie_status sosie_http_limit_read(const char *name, const json_t *value,
                                        size_t *limit, struct sosie_error *err)
{
    double number;
    enum sosie_status st = SOSIE_OK;
    if (!read_number(value, &number))
        st = SOSIE_BAD_INPUT;
    else if (number < 0 || number > (double)SOSIE_LIMIT_MAX ||
             number != floor(number))
        st = SOSIE_REFUSED;
    if (st)
        return sosie_fail(err, st,
                          "%s is %s, expected a whole number from 0 to %d",
                          name, excerpt_of(value).text, SOSIE_LIMIT_MAX);
    *limit = (size_t)number;
    return SOSIE_OK;
}

static enum sosie_status read_limit(json_t *value, struct sosie_query *query,
                                    struct sosie_error *err)
{
    return sosie_http_limit_read("limit", value, &query->limit, err);
}

static enum sosie_status read_name(const char *field, const json_t *value,
                                   const char **name, struct sosie_error *err)
{
    const char *text = json_string_value(value);
    if (!text || !*text)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%s is %s, expected a text that is not empty", field,
                          excerpt_of(value).text);
    *name = text;
    return SOSIE_OK;
}

static enum sosie_status read_class(json_t *value, struct sosie_query *query,
                                    struct sosie_error *err)
{
    return read_name("class", value, &query->class_name, err);
}

static enum sosie_status read_item(json_t *value, struct sosie_query *query,
                                   struct sosie_error *err)
{
    return read_name("item", value, &query->item, err);
}

static enum sosie_status read_within_predicted(json_t *value,
                                               struct sosie_query *query,
                                               struct sosie_error *err)
{
    const char *text = json_string_value(value);
    bool is_true = json_is_true(value) || (text && strcmp(text, "true") == 0);
    if (!is_true && !json_is_false(value) &&
        !(text && strcmp(text, "false") == 0))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "within_predicted is %s, expected true or false",
                          excerpt_of(value).text);
    query->within_predicted = is_true;
    return SOSIE_OK;
}

static enum sosie_status read_weight_members(json_t *object,
                                             struct sosie_weights *weights,
                                             struct sosie_error *err)
{
    const char *name;
    json_t *member;
    json_object_foreach(object, name, member)
    {
        enum sosie_status st;
        if (!json_is_number(member))
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "the weight of %.64s is %s, expected a number",
                              name, excerpt_of(member).text);
        st = sosie_weights_set(weights, name, json_number_value(member), err);
        if (st)
            return st;
    }
    return SOSIE_OK;
}

static enum sosie_status read_weights(json_t *value, struct sosie_query *query,
                                      struct sosie_error *err)
{
    struct sosie_weights weights = {0};
    double sum = 0;
    const char *text = json_string_value(value);
    json_t *parsed = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL)
                          : json_incref(value);
    enum sosie_status st;

    if (json_is_object(parsed))
        st = read_weight_members(parsed, &weights, err);
    else if (text)
        st = sosie_weights_parse(text, &weights, err);
    else
        st = sosie_fail(err, SOSIE_BAD_INPUT,
                        "weights is %s, expected an object such as "
                        "{\"shape\":1,\"colour\":0.5}",
                        excerpt_of(value).text);
    if (st)
        goto out;
    for (size_t i = 0; i < weights.n; i++) {
        if (weights.items[i].weight < 0)
            sum = -INFINITY;
        sum += weights.items[i].weight;
    }
    if (!(sum > 0 && isfinite(sum))) {
        st = sosie_fail(err, SOSIE_REFUSED,
                        "weights are %s, expected numbers from 0, not all 0",
                        excerpt_of(value).text);
        goto out;
    }
    query->weights = weights;
out:
    json_decref(parsed);
    return st;
}

/* {"x":..,"y":..,"w":..,"h":..} or [x, y, w, h]. */
static bool read_crop_numbers(const json_t *json, double numbers[4])
{
    static const char *const names[4] = {"x", "y", "w", "h"};
    if (!(json_is_object(json) && json_object_size(json) == 4) &&
        !(json_is_array(json) && json_array_size(json) == 4))
        return false;
    for (size_t i = 0; i < 4; i++) {
        const json_t *member = json_is_array(json)
                                   ? json_array_get(json, i)
                                   : json_object_get(json, names[i]);
        if (!json_is_number(member))
            return false;
        numbers[i] = json_number_value(member);
    }
    return true;
}

/* A text is JSON or "x,y,w,h", which brackets make a JSON array. */
static json_t *crop_json(const char *text)
{
    char list[128];
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    int length = snprintf(list, sizeof(list), "[%s]", text);
    if (json || length >= (int)sizeof(list))
        return json;
    return json_loads(list, 0, NULL);
}

static enum sosie_status read_crop(json_t *value, struct sosie_query *query,
                                   struct sosie_error *err)
{
    const char *text = json_string_value(value);
    json_t *parsed = text ? crop_json(text) : json_incref(value);
    double n[4];
    struct sosie_crop crop;
    bool is_crop = read_crop_numbers(parsed, n);

    json_decref(parsed);
    if (!is_crop)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "crop is %s, expected {\"x\":..,\"y\":..,\"w\":..,"
                          "\"h\":..} or x,y,w,h in fractions of the photo",
                          excerpt_of(value).text);
    crop = (struct sosie_crop){n[0], n[1], n[2], n[3]};
    if (sosie_crop_check(&crop, err)) /* numbers, but not of a crop */
        return err->status = SOSIE_REFUSED;
    query->has_crop = true;
    query->crop_x = crop.x;
    query->crop_y = crop.y;
    query->crop_w = crop.w;
    query->crop_h = crop.h;
    return SOSIE_OK;
}

static const struct {
    const char *name;
    enum sosie_status (*read)(json_t *value, struct sosie_query *query,
                              struct sosie_error *err);
} fields[] = {
    {"limit", read_limit},     {"class", read_class},
    {"weights", read_weights}, {"crop", read_crop},
    {"item", read_item},       {"within_predicted", read_within_predicted},
};

enum sosie_status sosie_http_field_read(const char *name, json_t *value,
                                        struct sosie_query *query,
                                        struct sosie_error *err)
{
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (strcmp(fields[i].name, name) == 0)
            return fields[i].read(value, query, err);
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "unknown field \"%.64s\"; there are image (in JSON "
                      "image_base64), limit, class, weights, crop, item, "
                      "within_predicted",
                      name);
}
