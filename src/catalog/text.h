/* text.h: names and messages made of other people's bytes. */
#ifndef SOSIE_CATALOG_TEXT_H
#define SOSIE_CATALOG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool sosie_text_is_utf8(const char *text, size_t size);

/* Why the text can't name a thing ("is not UTF-8", "holds a control
 * character"), or NULL if it can. */
const char *sosie_text_fault(const char *text);

/* Puts '?' in place of every byte that is no UTF-8 and every control
 * character, so that the text can go to a terminal or into JSON. */
void sosie_text_make_printable(char *text);

/* The text without the spaces and tabs at both ends, cut off in place. */
char *sosie_text_trim(char *text);

#endif
