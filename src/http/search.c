/* search.c: a photo in, look-alikes out.
 *
 * POST /process_image is the original's call: a part `filepath` with the photo
 * and a part `setting` with {"output_limit": 0..500, "on_cnn": bool}.
 * POST /v1/search takes the photo as part `image`, as the whole body or as
 * `image_base64` of a JSON body, or an `item`; and the fields of fields.c. */
#include "http/http.h"

#include <stdlib.h>
#include <string.h>

static const char kinds[] = "a JPEG, PNG or WebP photo";

static bool is_multipart(const struct sosie_http_request *request)
{
    return strcmp(request->content_type, "multipart/form-data") == 0;
}

static enum sosie_status set_photo(struct sosie_query *query, const char *name,
                                   const void *bytes, size_t size,
                                   struct sosie_error *err)
{
    if (size == 0)
        return sosie_fail(err, SOSIE_BAD_INPUT, "%s is empty, expected %s",
                          name, kinds);
    if (size > SOSIE_PHOTO_MAX_BYTES)
        return sosie_fail(err, SOSIE_TOO_LARGE,
                          "%s has %zu bytes, expected at most %d", name, size,
                          SOSIE_PHOTO_MAX_BYTES);
    query->photo = bytes;
    query->photo_size = size;
    return SOSIE_OK;
}

/* ---- the original's call ------------------------------------------------- */

static enum sosie_status read_setting(const struct sosie_http_part *part,
                                      struct sosie_query *query,
                                      struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    json_error_t where;
    json_t *setting = json_loadb(part->bytes.data, part->bytes.size,
                                 JSON_REJECT_DUPLICATES, &where);
    const json_t *limit = json_object_get(setting, "output_limit");
    const json_t *on_cnn = json_object_get(setting, "on_cnn");

    if (!json_is_object(setting))
        st = sosie_fail(err, SOSIE_BAD_INPUT,
                        "setting is not a JSON object such as "
                        "{\"output_limit\":12,\"on_cnn\":true}%s%s",
                        setting ? "" : ": ", setting ? "" : where.text);
    else if (json_is_string(limit))
        st = sosie_fail(err, SOSIE_BAD_INPUT,
                        "output_limit is the text \"%.40s\", expected a whole "
                        "number from 0 to %d",
                        json_string_value(limit), SOSIE_LIMIT_MAX);
    else if (limit)
        st = sosie_http_limit_read("output_limit", limit, &query->limit, err);
    if (!st && on_cnn && !json_is_boolean(on_cnn))
        st = sosie_fail(err, SOSIE_BAD_INPUT,
                        "on_cnn is not true or false, but that was expected");
    if (!st && on_cnn)
        query->within_predicted = json_is_true(on_cnn);
    json_decref(setting);
    return st;
}

static enum sosie_status
read_process_image(const struct sosie_http_request *request,
                   struct sosie_query *query, struct sosie_error *err)
{
    const struct sosie_http_part *photo, *setting;
    enum sosie_status st;
    if (!is_multipart(request))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "the body is %s%s%s, expected multipart/form-data "
                          "with the parts filepath and setting",
                          *request->content_type ? "\"" : "of no stated type",
                          request->content_type,
                          *request->content_type ? "\"" : "");
    photo = sosie_http_part_find(request, "filepath");
    setting = sosie_http_part_find(request, "setting");
    if (!photo)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "part \"filepath\" is missing, expected %s", kinds);
    query->within_predicted = true;
    st = setting ? read_setting(setting, query, err) : SOSIE_OK;
    if (st)
        return st;
    return set_photo(query, "part \"filepath\"", photo->bytes.data,
                     photo->bytes.size, err);
}

enum sosie_status sosie_http_process_image(struct sosie_http_app *app,
                                           struct sosie_http_request *request,
                                           struct sosie_http_response *response,
                                           struct sosie_error *err)
{
    struct sosie_query query = sosie_query_defaults();
    struct sosie_result result;
    enum sosie_status st = read_process_image(request, &query, err);
    if (!st)
        st = app->backend.search(app->backend.engine, &query, &result, err);
    if (st)
        return st;
    st = sosie_http_json(response, sosie_http_hits_json(&result), err);
    app->backend.result_release(&result);
    return st;
}

/* ---- /v1/search ---------------------------------------------------------- */

/* What a request to /v1/search holds, wherever in the request it was. */
struct search {
    struct sosie_query query; /* points into the two below and the request */
    json_t *fields;
    unsigned char *decoded; /* image_base64 */
};

static enum sosie_status add_text_field(struct search *search, const char *name,
                                        const char *text,
                                        struct sosie_error *err)
{
    json_t *value = json_string(text);
    int failed = 0;
    if (!value)
        return sosie_fail(err, SOSIE_BAD_INPUT, "field \"%.64s\" is not UTF-8",
                          name);
    if (json_object_get(search->fields, name)) {
        json_decref(value);
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "field \"%.64s\" is there twice", name);
    }
    failed = json_object_set_new(search->fields, name, value);
    return failed ? sosie_fail(err, SOSIE_BAD_INPUT,
                               "the name of field \"%.64s\" is not UTF-8", name)
                  : SOSIE_OK;
}

/* limit=3&class=coat */
static enum sosie_status read_address(struct sosie_http_request *request,
                                      struct search *search,
                                      struct sosie_error *err)
{
    const char *at = request->query;
    while (*at) {
        size_t size = strcspn(at, "&"), name_size = strcspn(at, "&=");
        size_t value_at = name_size < size ? name_size + 1 : size;
        const char *name, *value;
        enum sosie_status st;
        if (size > 0) {
            st = sosie_http_decode(&request->arena, at, name_size, true, &name,
                                   err);
            if (!st)
                st = sosie_http_decode(&request->arena, at + value_at,
                                       size - value_at, true, &value, err);
            if (!st)
                st = add_text_field(search, name, value, err);
            if (st)
                return st;
        }
        at += size + (at[size] == '&');
    }
    return SOSIE_OK;
}

static enum sosie_status read_parts(const struct sosie_http_request *request,
                                    struct search *search,
                                    struct sosie_error *err)
{
    for (size_t i = 0; i < request->n_parts; i++) {
        const struct sosie_http_part *part = &request->parts[i];
        enum sosie_status st;
        if (strcmp(part->name, "image") == 0)
            st = set_photo(&search->query, "part \"image\"", part->bytes.data,
                           part->bytes.size, err);
        else if (memchr(part->bytes.data, '\0', part->bytes.size))
            st = sosie_fail(err, SOSIE_BAD_INPUT,
                            "part \"%.64s\" holds a NUL, expected text",
                            part->name);
        else
            st = add_text_field(search, part->name, part->bytes.data, err);
        if (st)
            return st;
    }
    return SOSIE_OK;
}

static enum sosie_status read_base64(const json_t *text, struct search *search,
                                     struct sosie_error *err)
{
    size_t size;
    enum sosie_status st;
    if (!json_is_string(text))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "image_base64 is no text, expected %s in base64",
                          kinds);
    st = sosie_http_base64_decode(json_string_value(text),
                                  json_string_length(text), &search->decoded,
                                  &size, err);
    if (st) {
        sosie_error_prefix(err, "image_base64");
        return st;
    }
    return set_photo(&search->query, "image_base64", search->decoded, size,
                     err);
}

static enum sosie_status
read_json_body(const struct sosie_http_request *request, struct search *search,
               struct sosie_error *err)
{
    json_error_t where;
    json_t *body =
        json_loadb(request->body.data ? request->body.data : "",
                   request->body.size, JSON_REJECT_DUPLICATES, &where);
    enum sosie_status st = SOSIE_OK;
    const char *name;
    json_t *member;
    if (!json_is_object(body)) {
        st = sosie_fail(err, SOSIE_BAD_INPUT,
                        "the body is not a JSON object%s%s", body ? "" : ": ",
                        body ? "" : where.text);
        json_decref(body);
        return st;
    }
    json_object_foreach(body, name, member)
    {
        if (strcmp(name, "image_base64") == 0 && !json_is_null(member))
            st = read_base64(member, search, err);
        else if (json_object_get(search->fields, name))
            st = sosie_fail(err, SOSIE_BAD_INPUT,
                            "field \"%.64s\" is there twice", name);
        else if (!json_is_null(member) &&
                 json_object_set(search->fields, name, member))
            st = sosie_fail(err, SOSIE_NO_MEMORY, "fields");
        if (st)
            break;
    }
    json_decref(body);
    return st;
}

static enum sosie_status read_search(struct sosie_http_request *request,
                                     struct search *search,
                                     struct sosie_error *err)
{
    const char *name;
    json_t *value;
    enum sosie_status st = read_address(request, search, err);
    if (st)
        return st;
    if (is_multipart(request))
        st = read_parts(request, search, err);
    else if (strcmp(request->content_type, "application/json") == 0)
        st = read_json_body(request, search, err);
    else if (request->body.size > 0)
        st = set_photo(&search->query, "the body", request->body.data,
                       request->body.size, err);
    if (st)
        return st;
    json_object_foreach(search->fields, name, value)
    {
        st = sosie_http_field_read(name, value, &search->query, err);
        if (st)
            return st;
    }
    if (!search->query.photo == !search->query.item)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "found %s photo %s item, expected either: a photo as "
                          "part \"image\", as the body or as \"image_base64\" "
                          "in JSON, or an \"item\"",
                          search->query.photo ? "a" : "no",
                          search->query.photo ? "and an" : "and no");
    return SOSIE_OK;
}

enum sosie_status sosie_http_search(struct sosie_http_app *app,
                                    struct sosie_http_request *request,
                                    struct sosie_http_response *response,
                                    struct sosie_error *err)
{
    struct search search = {.query = sosie_query_defaults(),
                            .fields = json_object()};
    struct sosie_result result;
    enum sosie_status st;

    st = search.fields ? read_search(request, &search, err)
                       : sosie_fail(err, SOSIE_NO_MEMORY, "fields");
    if (st)
        goto out;
    st = app->backend.search(app->backend.engine, &search.query, &result, err);
    if (st)
        goto out;
    st = sosie_http_json(response, sosie_http_result_json(&result, request->id),
                         err);
    app->backend.result_release(&result);
out:
    json_decref(search.fields);
    free(search.decoded);
    return st;
}
