/* aspects.c: "shape=256,colour=64", "shape=1,colour=0.55" and "shape=4". */
#include "model/aspects.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char ASPECTS[] = "embedding.aspects";
static const char WEIGHTS[] = "embedding.weights";
static const char DEGREES[] = "embedding.degrees";
static const char NAME_LETTERS[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
enum { MAX_NAME = 31 };

/* One NAME=NUMBER of a list; `text` moves to the next, or to the list's end. */
struct entry {
    const char *name; /* not ended by NUL */
    size_t length;
    double number; /* >= 0 */
};

static bool next_entry(const char **text, struct entry *entry)
{
    char *end;
    entry->name = *text;
    entry->length = strspn(*text, NAME_LETTERS);
    if (!entry->length || entry->length > MAX_NAME ||
        (*text)[entry->length] != '=')
        return false;
    *text += entry->length + 1;
    entry->number = strtod(*text, &end);
    if (end == *text || !(entry->number >= 0 && entry->number <= 1e6) ||
        (*end && *end != ',') || (*end == ',' && !end[1]))
        return false;
    *text = end + (*end == ',');
    return true;
}

static size_t find(const struct sosie_model_info *info,
                   const struct entry *entry)
{
    size_t i = 0;
    while (i < info->n_aspects &&
           (strlen(info->aspects[i].name) != entry->length ||
            memcmp(info->aspects[i].name, entry->name, entry->length) != 0))
        i++;
    return i;
}

static enum sosie_status malformed(const char *key, const char *value,
                                   const char *expected,
                                   struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "metadata '%s' is \"%.80s\"; expected %s", key, value,
                      expected);
}

static enum sosie_status unknown(const char *key, const struct entry *entry,
                                 struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "metadata '%s' names '%.*s', which is not among the "
                      "aspects",
                      key, (int)entry->length, entry->name);
}

static enum sosie_status read_aspects(const char *text,
                                      struct sosie_arena *arena,
                                      struct sosie_model_info *info,
                                      struct sosie_error *err)
{
    static const char expected[] = "NAME=DIMENSIONS,...";
    const char *at = text;
    size_t sum = 0;
    do {
        struct sosie_model_aspect *aspect = &info->aspects[info->n_aspects];
        struct entry entry;
        if (!next_entry(&at, &entry) || entry.number < 1 ||
            entry.number > floor(entry.number))
            return malformed(ASPECTS, text, expected, err);
        if (info->n_aspects == SOSIE_MODEL_MAX_ASPECTS)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "metadata '%s' has more than %d aspects", ASPECTS,
                              SOSIE_MODEL_MAX_ASPECTS);
        if (find(info, &entry) < info->n_aspects)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "metadata '%s' names '%.*s' twice", ASPECTS,
                              (int)entry.length, entry.name);
        aspect->name = sosie_arena_strndup(arena, entry.name, entry.length);
        if (!aspect->name)
            return sosie_fail(err, SOSIE_NO_MEMORY, "names of aspects");
        aspect->dim = (size_t)entry.number;
        aspect->weight = 1;
        aspect->degree = 1;
        info->n_aspects++;
        sum += aspect->dim;
    } while (*at);
    if (sum != info->dim)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "metadata '%s' is \"%.80s\": %zu dimensions in all; "
                          "the embedding has %zu",
                          ASPECTS, text, sum, info->dim);
    return SOSIE_OK;
}

static enum sosie_status read_weights(const char *text,
                                      struct sosie_model_info *info,
                                      struct sosie_error *err)
{
    static const char expected[] =
        "NAME=NUMBER,... with a number of 0 or more for each aspect, and not "
        "all 0";
    bool is_named[SOSIE_MODEL_MAX_ASPECTS] = {false};
    const char *at = text;
    size_t n = 0;
    double sum = 0;
    do {
        struct entry entry;
        size_t i;
        if (!next_entry(&at, &entry))
            return malformed(WEIGHTS, text, expected, err);
        i = find(info, &entry);
        if (i == info->n_aspects)
            return unknown(WEIGHTS, &entry, err);
        n += !is_named[i];
        is_named[i] = true;
        info->aspects[i].weight = entry.number;
    } while (*at);
    for (size_t i = 0; i < info->n_aspects; i++)
        sum += info->aspects[i].weight;
    return n == info->n_aspects && sum > 0
               ? SOSIE_OK
               : malformed(WEIGHTS, text, expected, err);
}

static enum sosie_status read_degrees(const char *text,
                                      struct sosie_model_info *info,
                                      struct sosie_error *err)
{
    const char *at = text;
    do {
        struct entry entry;
        size_t i;
        if (!next_entry(&at, &entry) || entry.number < 1 ||
            entry.number > SOSIE_MODEL_MAX_DEGREE ||
            entry.number > floor(entry.number))
            return malformed(DEGREES, text,
                             "NAME=NUMBER,... with whole numbers from 1 to 16",
                             err);
        i = find(info, &entry);
        if (i == info->n_aspects)
            return unknown(DEGREES, &entry, err);
        info->aspects[i].degree = (unsigned)entry.number;
    } while (*at);
    return SOSIE_OK;
}

enum sosie_status sosie_aspects_read(const char *aspects, const char *weights,
                                     const char *degrees,
                                     struct sosie_arena *arena,
                                     struct sosie_model_info *info,
                                     struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    if ((weights || degrees) && !aspects)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "metadata '%s' is there without '%s'",
                          weights ? WEIGHTS : DEGREES, ASPECTS);
    if (aspects)
        st = read_aspects(aspects, arena, info, err);
    if (!st && weights)
        st = read_weights(weights, info, err);
    if (!st && degrees)
        st = read_degrees(degrees, info, err);
    return st;
}
