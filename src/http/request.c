/* request.c: a request's strings and bytes. All of them come from strangers. */
#include "http/http.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum sosie_status sosie_http_bytes_add(struct sosie_http_bytes *bytes,
                                       const void *data, size_t size,
                                       size_t max_bytes, const char *what,
                                       struct sosie_error *err)
{
    if (size > max_bytes - bytes->size)
        return sosie_fail(err, SOSIE_TOO_LARGE,
                          "%s has more than %zu bytes, the most that is read",
                          what, max_bytes);
    if (!bytes->data || size >= bytes->room - bytes->size) {
        /* max_bytes bounds the sum, so nothing here overflows. */
        size_t room = 2 * (bytes->size + size) + 64;
        char *grown;
        if (room > max_bytes + 1)
            room = max_bytes + 1;
        grown = realloc(bytes->data, room);
        if (!grown)
            return sosie_fail(err, SOSIE_NO_MEMORY, "%s", what);
        bytes->data = grown;
        bytes->room = room;
    }
    if (size)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    bytes->data[bytes->size] = '\0';
    return SOSIE_OK;
}

enum sosie_http_method sosie_http_method_of(const char *name)
{
    if (strcmp(name, "GET") == 0)
        return SOSIE_HTTP_GET;
    if (strcmp(name, "HEAD") == 0)
        return SOSIE_HTTP_HEAD;
    if (strcmp(name, "POST") == 0)
        return SOSIE_HTTP_POST;
    return strcmp(name, "OPTIONS") == 0 ? SOSIE_HTTP_OPTIONS
                                        : SOSIE_HTTP_OTHER_METHOD;
}

enum sosie_status
sosie_http_framing_check(const struct sosie_http_framing *framing,
                         struct sosie_error *err)
{
    if (framing->n_lengths > 1 || framing->n_encodings > 1 ||
        framing->n_hosts > 1)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "found %u Content-Length, %u Transfer-Encoding and "
                          "%u Host headers, expected at most one of each",
                          framing->n_lengths, framing->n_encodings,
                          framing->n_hosts);
    if (framing->n_lengths && framing->n_encodings)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "found Content-Length and Transfer-Encoding, "
                          "expected one of them");
    if (framing->n_encodings && !framing->chunked)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "the Transfer-Encoding is not \"chunked\"");
    return SOSIE_OK;
}

static bool make_id(struct sosie_http_request *request)
{
    unsigned long long bits;
    if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
        return false;
    request->id = sosie_arena_printf(&request->arena, "%016llx", bits);
    return request->id != NULL;
}

bool sosie_http_request_init(struct sosie_http_request *request,
                             const char *target)
{
    size_t length = strcspn(target, "?");
    memset(request, 0, sizeof(*request));
    request->method = SOSIE_HTTP_OTHER_METHOD;
    request->content_type = "";
    request->query = "";
    request->path = sosie_arena_strndup(&request->arena, target, length);
    if (target[length] == '?')
        request->query =
            sosie_arena_strdup(&request->arena, target + length + 1);
    if (request->path && request->query && make_id(request))
        return true;
    sosie_http_request_release(request);
    return false;
}

void sosie_http_request_release(struct sosie_http_request *request)
{
    for (size_t i = 0; i < request->n_parts; i++)
        free(request->parts[i].bytes.data);
    request->n_parts = 0;
    free(request->body.data);
    memset(&request->body, 0, sizeof(request->body));
    sosie_arena_release(&request->arena);
}

bool sosie_http_request_set_type(struct sosie_http_request *request,
                                 const char *content_type)
{
    char *type;
    if (!content_type)
        return true;
    type = sosie_arena_strndup(&request->arena, content_type,
                               strcspn(content_type, "; \t"));
    if (!type)
        return false;
    for (char *c = type; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    request->content_type = type;
    return true;
}

bool sosie_http_request_set_id(struct sosie_http_request *request,
                               const char *id)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = id ? strlen(id) : 0;
    char *copy;
    if (length == 0 || length > SOSIE_HTTP_ID_MAX ||
        strspn(id, allowed) != length)
        return true;
    copy = sosie_arena_strdup(&request->arena, id);
    if (copy)
        request->id = copy;
    return copy != NULL;
}

/* Its place among the parts; n_parts if there is none. */
static size_t part_index(const struct sosie_http_request *request,
                         const char *name)
{
    size_t i = 0;
    while (i < request->n_parts && strcmp(request->parts[i].name, name) != 0)
        i++;
    return i;
}

const struct sosie_http_part *
sosie_http_part_find(const struct sosie_http_request *request, const char *name)
{
    size_t i = part_index(request, name);
    return i < request->n_parts ? &request->parts[i] : NULL;
}

enum sosie_status sosie_http_part_open(struct sosie_http_request *request,
                                       const char *name, bool starts,
                                       struct sosie_http_part **out,
                                       struct sosie_error *err)
{
    size_t i = part_index(request, name);
    struct sosie_http_part *part;
    if (i == SOSIE_HTTP_MAX_PARTS)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "the body has more than %d parts",
                          SOSIE_HTTP_MAX_PARTS);
    part = &request->parts[i];
    if (i == request->n_parts) {
        memset(part, 0, sizeof(*part));
        part->name = sosie_arena_strdup(&request->arena, name);
        if (!part->name)
            return sosie_fail(err, SOSIE_NO_MEMORY, "part of the body");
        request->n_parts++;
    } else if (starts && part->bytes.size > 0) {
        return sosie_fail(err, SOSIE_BAD_INPUT, "part \"%.64s\" is there twice",
                          name);
    }
    *out = part;
    return SOSIE_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum sosie_status sosie_http_decode(struct sosie_arena *arena, const char *text,
                                    size_t size, bool form, const char **out,
                                    struct sosie_error *err)
{
    size_t n = 0;
    char *decoded = sosie_arena_alloc(arena, size + 1, 1);
    if (!decoded)
        return sosie_fail(err, SOSIE_NO_MEMORY, "address");
    for (size_t i = 0; i < size; i++) {
        int high, low;
        if (text[i] != '%') {
            decoded[n++] = form && text[i] == '+' ? ' ' : text[i];
            continue;
        }
        high = i + 1 < size ? hex_digit(text[i + 1]) : -1;
        low = i + 2 < size ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "a %% of the address is not followed by the two "
                              "hexadecimal digits of a character");
        decoded[n++] = (char)(high * 16 + low);
        i += 2;
    }
    *out = decoded;
    return SOSIE_OK;
}

/* 0..63; -1 for what is not of the alphabet. */
static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

enum sosie_status sosie_http_base64_decode(const char *text, size_t size,
                                           unsigned char **out, size_t *n_out,
                                           struct sosie_error *err)
{
    unsigned char *bytes = malloc(size / 4 * 3 + 3);
    size_t n = 0, n_digits = 0, i = 0;
    unsigned bits = 0;
    if (!bytes)
        return sosie_fail(err, SOSIE_NO_MEMORY, "base64 text");
    for (; i < size && text[i] != '='; i++) {
        int digit = base64_digit(text[i]);
        if (text[i] == '\r' || text[i] == '\n')
            continue;
        if (digit < 0)
            break;
        bits = bits << 6 | (unsigned)digit;
        if (++n_digits % 4 != 1)
            bytes[n++] =
                (unsigned char)(bits >> (6 - 2 * ((n_digits - 1) % 4)));
    }
    while (i < size && (text[i] == '=' || text[i] == '\r' || text[i] == '\n'))
        i++;
    if (i < size || n_digits % 4 == 1) {
        free(bytes);
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "the text is not base64 (character %zu of %zu)",
                          i + 1 > size ? size : i + 1, size);
    }
    *out = bytes;
    *n_out = n;
    return SOSIE_OK;
}
