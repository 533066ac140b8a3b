/* npy.c: a reader of the one kind of dictionary that NumPy writes. */
#include "model/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAGIC = 6, PREFIX_1 = 10, PREFIX_2 = 12 };

/* What is left of the header. */
struct text {
    const char *at, *end;
};

static void skip_space(struct text *text)
{
    while (text->at < text->end && strchr(" \t\n", *text->at) && *text->at)
        text->at++;
}

/* Whether the next thing is `c`, which is then passed. */
static bool take(struct text *text, char c)
{
    skip_space(text);
    if (text->at == text->end || *text->at != c)
        return false;
    text->at++;
    return true;
}

static bool take_word(struct text *text, const char *word)
{
    size_t length = strlen(word);
    skip_space(text);
    if ((size_t)(text->end - text->at) < length ||
        memcmp(text->at, word, length) != 0)
        return false;
    text->at += length;
    return true;
}

/* 'descr' in either kind of quotes, at most size - 1 characters of it. */
static bool take_string(struct text *text, char *string, size_t size)
{
    size_t n = 0;
    char quote = '\'';
    if (!take(text, quote) && !take(text, quote = '"'))
        return false;
    while (text->at < text->end && *text->at != quote) {
        if (n + 1 == size || *text->at < ' ' || *text->at > '~')
            return false;
        string[n++] = *text->at++;
    }
    string[n] = 0;
    return take(text, quote);
}

static bool take_number(struct text *text, size_t *number)
{
    const char *start;
    skip_space(text);
    start = text->at;
    *number = 0;
    for (; text->at < text->end && *text->at >= '0' && *text->at <= '9';
         text->at++)
        if (__builtin_mul_overflow(*number, (size_t)10, number) ||
            __builtin_add_overflow(*number, (size_t)(*text->at - '0'), number))
            return false;
    return text->at > start;
}

/* (), (3,) or (1, 3); *rank counts dimensions that there is no room for. */
static bool take_shape(struct text *text, struct sosie_shape *shape)
{
    bool comma = true;
    *shape = (struct sosie_shape){0};
    if (!take(text, '('))
        return false;
    while (!take(text, ')')) {
        size_t dim;
        if (!comma || !take_number(text, &dim))
            return false;
        if (shape->rank < SOSIE_MAX_RANK)
            shape->dims[shape->rank] = dim;
        shape->rank++;
        comma = take(text, ',');
    }
    return true;
}

struct header {
    char descr[16];
    bool fortran;
    struct sosie_shape shape;
};

/* Each of the three keys once, in any order. */
static bool parse(struct text text, struct header *header)
{
    unsigned seen = 0;
    if (!take(&text, '{'))
        return false;
    while (!take(&text, '}')) {
        char key[16];
        unsigned bit;
        bool ok;
        if (!take_string(&text, key, sizeof(key)) || !take(&text, ':'))
            return false;
        if (!strcmp(key, "descr")) {
            bit = 1;
            ok = take_string(&text, header->descr, sizeof(header->descr));
        } else if (!strcmp(key, "fortran_order")) {
            bit = 2;
            header->fortran = take_word(&text, "True");
            ok = header->fortran || take_word(&text, "False");
        } else {
            bit = 4;
            ok = !strcmp(key, "shape") && take_shape(&text, &header->shape);
        }
        if (!ok || (seen & bit))
            return false;
        seen |= bit;
        if (!take(&text, ',') && (text.at == text.end || *text.at != '}'))
            return false;
    }
    skip_space(&text);
    return seen == 7 && text.at == text.end;
}

static enum sosie_status check_header(const struct header *header,
                                      struct sosie_error *err)
{
    if (strcmp(header->descr, "<f4") != 0)
        return sosie_fail(err, SOSIE_UNSUPPORTED,
                          "its elements are of type %s; expected <f4 "
                          "(little-endian float32)",
                          header->descr);
    if (header->fortran && header->shape.rank > 1)
        return sosie_fail(err, SOSIE_UNSUPPORTED,
                          "it is in Fortran order; expected C order");
    return sosie_shape_check(&header->shape, err);
}

/* Where the header is, in a file whose beginning says how long it is. */
static bool find_header(const unsigned char *bytes, size_t size,
                        struct text *text)
{
    size_t prefix = PREFIX_1, length;
    if (size < PREFIX_2 || memcmp(bytes, "\x93NUMPY", MAGIC) != 0)
        return false;
    length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    if (bytes[6] == 2) {
        prefix = PREFIX_2;
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    }
    if ((bytes[6] != 1 && bytes[6] != 2) || length > size - prefix)
        return false;
    *text = (struct text){(const char *)bytes + prefix,
                          (const char *)bytes + prefix + length};
    return true;
}

enum sosie_status sosie_npy_read(const void *bytes, size_t size,
                                 struct sosie_npy *npy, struct sosie_error *err)
{
    struct header header = {.descr = ""};
    struct text text;
    size_t found, expected;
    enum sosie_status st;
    if (!find_header(bytes, size, &text) || !parse(text, &header))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "not a NumPy file of version 1.0 or 2.0, or its "
                          "header is damaged");
    st = check_header(&header, err);
    if (st)
        return st;
    found = size - (size_t)(text.end - (const char *)bytes);
    expected = sosie_shape_count(&header.shape) * sizeof(float);
    if (found != expected)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%zu bytes of elements; a tensor of %s has %zu",
                          found, sosie_shape_text(&header.shape).text,
                          expected);
    *npy = (struct sosie_npy){header.shape, (const unsigned char *)text.end};
    return SOSIE_OK;
}

size_t sosie_npy_header(const struct sosie_shape *shape,
                        char header[SOSIE_NPY_HEADER_MAX])
{
    char dims[SOSIE_MAX_RANK * 22 + 1] = "";
    size_t used = 0, total, length;
    for (size_t i = 0; i < shape->rank; i++)
        used += (size_t)snprintf(dims + used, sizeof(dims) - used, "%s%zu%s",
                                 i ? " " : "", shape->dims[i],
                                 i + 1 < shape->rank || !i ? "," : "");
    used = (size_t)snprintf(header + PREFIX_1, SOSIE_NPY_HEADER_MAX - PREFIX_1,
                            "{'descr': '<f4', 'fortran_order': False, "
                            "'shape': (%s), }",
                            dims);
    total = (PREFIX_1 + used + 1 + 63) / 64 * 64; /* one for the line's end */
    length = total - PREFIX_1;
    memset(header + PREFIX_1 + used, ' ', total - PREFIX_1 - used);
    header[total - 1] = '\n';
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)(length & 0xff);
    header[9] = (char)(length >> 8);
    return total;
}
