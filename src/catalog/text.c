/* text.c: UTF-8, decoded one code point at a time. */
#include "catalog/text.h"

#include <stdint.h>
#include <string.h>

/* Bytes of the code point at `at` (1..4), or 0 if it is none. */
static size_t decode(const char *at, const char *end, uint32_t *point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)*at;
    size_t n = first < 0x80             ? 1
               : (first & 0xe0) == 0xc0 ? 2
               : (first & 0xf0) == 0xe0 ? 3
               : (first & 0xf8) == 0xf0 ? 4
                                        : 0;
    if (n == 0 || (size_t)(end - at) < n)
        return 0;
    *point = n == 1 ? first : first & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        unsigned char next = (unsigned char)at[i];
        if ((next & 0xc0) != 0x80)
            return 0;
        *point = *point << 6 | (next & 0x3f);
    }
    if (*point < least[n] || *point > 0x10ffff ||
        (*point >= 0xd800 && *point <= 0xdfff))
        return 0;
    return n;
}

/* C0, DEL and C1: what a terminal may take for a command. */
static bool is_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0);
}

bool sosie_text_is_utf8(const char *text, size_t size)
{
    const char *end = text + size;
    uint32_t point;
    size_t n;
    for (; text < end; text += n) {
        n = decode(text, end, &point);
        if (!n)
            return false;
    }
    return true;
}

const char *sosie_text_fault(const char *text)
{
    const char *end = text + strlen(text);
    uint32_t point;
    size_t n;
    for (; text < end; text += n) {
        n = decode(text, end, &point);
        if (!n)
            return "is not UTF-8";
        if (is_control(point))
            return "holds a control character";
    }
    return NULL;
}

void sosie_text_make_printable(char *text)
{
    const char *end = text + strlen(text);
    uint32_t point;
    while (text < end) {
        size_t n = decode(text, end, &point);
        if (n && !is_control(point)) {
            text += n;
            continue;
        }
        for (size_t i = 0; i < (n ? n : 1); i++)
            *text++ = '?';
    }
}

char *sosie_text_trim(char *text)
{
    size_t n;
    text += strspn(text, " \t");
    n = strlen(text);
    while (n && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    text[n] = 0;
    return text;
}
