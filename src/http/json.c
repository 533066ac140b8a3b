/* json.c: search results as JSON. */
#include "http/http.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *sosie_http_text(const char *text)
{
    json_t *json = json_string(text);
    char *copy;
    if (json)
        return json;
    copy = strdup(text);
    if (!copy)
        return NULL;
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    json = json_string(copy);
    free(copy);
    return json;
}

/* Rounded: nobody reads more digits, and an answer with 500 hits shrinks. */
static json_t *score(double value)
{
    return json_real(round(value * 1e4) / 1e4);
}

static json_t *milliseconds(double value)
{
    return json_real(round(value * 1e3) / 1e3);
}

/* Puts `item` (which it takes over) at the end of `array`, or frees the array
 * and returns NULL. */
static json_t *append(json_t *array, json_t *item)
{
    if (json_array_append_new(array, item) == 0)
        return array;
    json_decref(array);
    return NULL;
}

json_t *sosie_http_hits_json(const struct sosie_result *result)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < result->n_hits; i++) {
        const struct sosie_hit *hit = &result->hits[i];
        array = append(array, json_pack("{s:o, s:o, s:o, s:o}", "path",
                                        sosie_http_text(hit->path), "class",
                                        sosie_http_text(hit->class_name), "id",
                                        sosie_http_text(hit->id), "score",
                                        score(hit->score)));
    }
    return array;
}

static json_t *classes_json(const struct sosie_result *result)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < result->n_classes; i++)
        array =
            append(array, json_pack("{s:o, s:o}", "class",
                                    sosie_http_text(result->classes[i].name),
                                    "probability",
                                    score(result->classes[i].probability)));
    return array;
}

static json_t *aspects_json(const struct sosie_result *result,
                            const struct sosie_hit *hit)
{
    json_t *object = json_object();
    for (size_t i = 0; object && i < result->n_aspects; i++)
        if (json_object_set_new(object, result->aspects[i],
                                score(hit->aspects[i]))) {
            json_decref(object);
            return NULL;
        }
    return object;
}

/* The catalog keeps an item's fields as the text of a JSON object. */
static json_t *fields_json(const struct sosie_hit *hit)
{
    json_t *object = hit->fields ? json_loads(hit->fields, 0, NULL) : NULL;
    return object ? object : json_object();
}

static json_t *full_hits_json(const struct sosie_result *result)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < result->n_hits; i++) {
        const struct sosie_hit *hit = &result->hits[i];
        array = append(array, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "id",
                                        sosie_http_text(hit->id), "path",
                                        sosie_http_text(hit->path), "class",
                                        sosie_http_text(hit->class_name),
                                        "score", score(hit->score), "aspects",
                                        aspects_json(result, hit), "fields",
                                        fields_json(hit)));
    }
    return array;
}

json_t *sosie_http_result_json(const struct sosie_result *result,
                               const char *request_id)
{
    return json_pack("{s:o, s:o, s:b, s:n, s:{s:o, s:o, s:o, s:o}, s:s?}",
                     "classes", classes_json(result), "hits",
                     full_hits_json(result), "exact", (int)result->exact,
                     "next", "took_ms", "decode",
                     milliseconds(result->decode_ms), "embed",
                     milliseconds(result->embed_ms), "search",
                     milliseconds(result->search_ms), "total",
                     milliseconds(result->total_ms), "request_id", request_id);
}
