/* dataset_variants.c: items whose titles differ only in the colour.
 *
 * "Nike Men Air Quick Grey Shoes" and "Nike Men Air Quick Navy Blue Shoes"
 * leave the same *stem* when the colour is taken out: class, gender, and the
 * words that remain, in lower case. Items of one stem are taken for one
 * product, unless the stem says too little:
 *
 *   - Two of its items have the same colour and other photos: a title that does
 *     not tell these apart ("Puma Men Black T-shirt") names no one product.
 *   - None of its words is *telling*: one that at most MAX_STEMS stems hold,
 * and that is not the brand. "Quick" tells, "men", "printed" and "casual"
 * don't.
 *
 * Both rules give up some true variants. Of 37,607 photos of a shop they make
 * 1,388 identities of 2 to 7 photos; of 60 that were looked at, 53 were one
 * product. Of those that the second rule alone turns away, 10 of 24 were. */
#include "train/dataset_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STEMS = 6, MAX_COLOUR_WORDS = 6 };

/* ---- words --------------------------------------------------------------- */

struct words {
    char **words; /* in lower case */
    size_t n;
};

/* Letters, digits, apostrophes, and whatever is not ASCII. */
static bool is_of_a_word(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 || c == '\'';
}

/* Cuts a text into its words, which live in the arena; false when out of
 * memory. NULL has none. */
static bool cut(struct sosie_arena *arena, const char *text,
                struct words *words)
{
    size_t size = text ? strlen(text) : 0;
    *words = (struct words){
        sosie_arena_alloc(arena, size / 2 + 1, sizeof(*words->words)), 0};
    if (!words->words)
        return false;
    for (size_t i = 0; i < size;) {
        size_t end = i;
        char *word;
        while (end < size && is_of_a_word(text[end]))
            end++;
        if (end == i) {
            i++;
            continue;
        }
        word = sosie_arena_strndup(arena, text + i, end - i);
        if (!word)
            return false;
        for (char *c = word; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        words->words[words->n++] = word;
        i = end;
    }
    return true;
}

static bool has_word(const struct words *words, const char *word)
{
    for (size_t i = 0; i < words->n; i++)
        if (!strcmp(words->words[i], word))
            return true;
    return false;
}

/* ---- colours ------------------------------------------------------------- */

/* In byte order. Words that are as often something else (rose, sand, steel,
 * wine) are colours only where the item's own field says so. */
static const char *const colours[] = {
    "amber",      "anthracite",   "aqua",        "beige",         "black",
    "blue",       "bronze",       "brown",       "burgundy",      "camel",
    "champagne",  "charcoal",     "copper",      "coral",         "cream",
    "crimson",    "cyan",         "ecru",        "emerald",       "fuchsia",
    "gold",       "golden",       "gray",        "green",         "grey",
    "indigo",     "ivory",        "khaki",       "lavender",      "lilac",
    "lime",       "magenta",      "maroon",      "mauve",         "multi",
    "multicolor", "multicolored", "multicolour", "multicoloured", "mustard",
    "navy",       "olive",        "orange",      "peach",         "pink",
    "plum",       "purple",       "red",         "rust",          "salmon",
    "scarlet",    "silver",       "tan",         "taupe",         "teal",
    "terracotta", "turquoise",    "violet",      "white",         "yellow",
};

/* Say which, in front of a colour: "off white", "dark sea green". */
static const char *const shades[] = {
    "ash",    "baby",     "bottle",   "bright",      "coffee",   "dark",
    "deep",   "dusty",    "electric", "fluorescent", "forest",   "hot",
    "ice",    "jet",      "light",    "medium",      "metallic", "midnight",
    "mint",   "mushroom", "neon",     "off",         "pale",     "pastel",
    "powder", "rose",     "royal",    "sea",         "sky",      "steel",
    "wine",
};

/* Follow a colour: "grey melange", "steel-toned". */
static const char *const endings[] = {
    "color", "colored", "colour", "coloured", "melange", "tone", "toned",
};

static int compare_words(const void *word, const void *entry)
{
    return strcmp(word, *(const char *const *)entry);
}

#define IS_AMONG(word, list)                                                   \
    (bsearch((word), (list), sizeof(list) / sizeof(*(list)), sizeof(*(list)),  \
             compare_words) != NULL)

/* Marks the words that say the colour; `own` are those of the item's field. */
static void mark_colours(const struct words *title, const struct words *own,
                         bool *marks)
{
    for (size_t i = 0; i < title->n; i++)
        marks[i] =
            IS_AMONG(title->words[i], colours) ||
            (own->n <= MAX_COLOUR_WORDS && has_word(own, title->words[i]));
    for (size_t i = title->n; i-- > 0;)
        marks[i] |= i + 1 < title->n && marks[i + 1] &&
                    IS_AMONG(title->words[i], shades);
    for (size_t i = 1; i < title->n; i++)
        marks[i] |= marks[i - 1] && (IS_AMONG(title->words[i], endings) ||
                                     (i + 1 < title->n && marks[i + 1] &&
                                      !strcmp(title->words[i], "and")));
}

/* ---- stems --------------------------------------------------------------- */

struct stem {
    size_t first;     /* item */
    size_t *words, n; /* numbers, each once */
    bool vague;       /* two of its items have one colour */
};

struct work {
    struct sosie_dataset_maker *maker;
    struct sosie_arena arena;
    struct sosie_names names, words; /* of stems; in stems */
    struct sosie_names looks;        /* a stem in a colour */
    struct stem *stems;              /* room for one an item, as have: */
    size_t *stem_of;                 /* 1 + its stem; 0: none */
    const char **look_files;         /* the first item's photo, by look */
};

static enum sosie_status no_memory(const struct work *work,
                                   struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "variants among %zu items",
                      work->maker->n_items);
}

/* The words with the mark, or those without it, each with a space after it;
 * NULL when out of memory. */
static char *join(struct sosie_arena *arena, const struct words *words,
                  const bool *marks, bool mark)
{
    size_t size = 1;
    char *text, *to;
    for (size_t i = 0; i < words->n; i++)
        size += strlen(words->words[i]) + 1;
    text = to = sosie_arena_alloc(arena, size, 1);
    for (size_t i = 0; text && i < words->n; i++)
        if (marks[i] == mark)
            to = stpcpy(stpcpy(to, words->words[i]), " ");
    return text;
}

/* Numbers the words of a new stem. */
static enum sosie_status add_stem_words(struct work *work, struct stem *stem,
                                        const struct words *title,
                                        const bool *marks,
                                        struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    stem->words =
        sosie_arena_alloc(&work->arena, title->n, sizeof(*stem->words));
    if (!stem->words)
        return no_memory(work, err);
    for (size_t i = 0; !st && i < title->n; i++) {
        size_t word, known = 0;
        if (marks[i])
            continue;
        st = sosie_names_add(&work->words, title->words[i], &word, err);
        while (!st && known < stem->n && stem->words[known] != word)
            known++;
        if (!st && known == stem->n)
            stem->words[stem->n++] = word;
    }
    return st;
}

/* Finds the item's stem, or makes it. */
static enum sosie_status find_stem(struct work *work, size_t i,
                                   const struct words *title, const bool *marks,
                                   struct sosie_error *err)
{
    const struct sosie_dataset_item *item = &work->maker->items[i];
    size_t number, n_before = work->names.n;
    const char *words = join(&work->arena, title, marks, false);
    char *name =
        words ? sosie_arena_printf(&work->arena, "%s\x1f%s\x1f%s",
                                   item->class_name ? item->class_name : "",
                                   item->gender ? item->gender : "", words)
              : NULL;
    enum sosie_status st;
    if (!name)
        return no_memory(work, err);
    if (!*words) /* a colour is no product */
        return SOSIE_OK;
    st = sosie_names_add(&work->names, name, &number, err);
    if (!st && number == n_before) {
        work->stems[number].first = i;
        st = add_stem_words(work, &work->stems[number], title, marks, err);
    }
    if (!st)
        work->stem_of[i] = number + 1;
    return st;
}

/* Notes what colour the item has, by its field and by its title. */
static enum sosie_status note_look(struct work *work, size_t i,
                                   const struct words *title, const bool *marks,
                                   struct sosie_error *err)
{
    const struct sosie_dataset_item *item = &work->maker->items[i];
    struct stem *stem = &work->stems[work->stem_of[i] - 1];
    size_t number, n_before = work->looks.n;
    const char *words = join(&work->arena, title, marks, true);
    char *name = words ? sosie_arena_printf(
                             &work->arena, "%zu\x1f%s\x1f%s", work->stem_of[i],
                             item->colour ? item->colour : "", words)
                       : NULL;
    enum sosie_status st;
    if (!name)
        return no_memory(work, err);
    st = sosie_names_add(&work->looks, name, &number, err);
    if (st)
        return st;
    if (number == n_before)
        work->look_files[number] = item->file;
    else if (strcmp(work->look_files[number], item->file) != 0)
        stem->vague = true;
    return SOSIE_OK;
}

static enum sosie_status read_title(struct work *work, size_t i,
                                    struct sosie_error *err)
{
    const struct sosie_dataset_item *item = &work->maker->items[i];
    struct words title, own;
    bool *marks;
    enum sosie_status st;
    if (!cut(&work->arena, item->title, &title) ||
        !cut(&work->arena, item->colour, &own))
        return no_memory(work, err);
    marks = sosie_arena_alloc(&work->arena, title.n, sizeof(*marks));
    if (!marks)
        return no_memory(work, err);
    mark_colours(&title, &own, marks);
    st = find_stem(work, i, &title, marks, err);
    if (!st && work->stem_of[i])
        st = note_look(work, i, &title, marks, err);
    return st;
}

/* ---- which stems name a product ------------------------------------------ */

/* How many stems hold each word; owned (free), NULL when out of memory. */
static size_t *count_stems(const struct work *work)
{
    size_t *counts = calloc(work->words.n + 1, sizeof(*counts));
    for (size_t i = 0; counts && i < work->names.n; i++)
        for (size_t k = 0; k < work->stems[i].n; k++)
            counts[work->stems[i].words[k]]++;
    return counts;
}

/* *tells: one of the stem's words is telling. */
static enum sosie_status find_telling(struct work *work,
                                      const struct stem *stem,
                                      const size_t *counts, bool *tells,
                                      struct sosie_error *err)
{
    struct words brand;
    if (!cut(&work->arena, work->maker->items[stem->first].brand, &brand))
        return no_memory(work, err);
    *tells = false;
    for (size_t i = 0; !*tells && i < stem->n; i++)
        *tells = counts[stem->words[i]] <= MAX_STEMS &&
                 !has_word(&brand, work->words.texts[stem->words[i]]);
    return SOSIE_OK;
}

static enum sosie_status join_stems(struct work *work, struct sosie_error *err)
{
    struct sosie_dataset_maker *maker = work->maker;
    size_t *counts = count_stems(work);
    enum sosie_status st = counts ? SOSIE_OK : no_memory(work, err);
    for (size_t i = 0; !st && i < work->names.n; i++) {
        bool tells = false;
        st = find_telling(work, &work->stems[i], counts, &tells, err);
        work->stems[i].vague |= !st && !tells;
    }
    for (size_t i = 0; !st && i < maker->n_items; i++) {
        const struct stem *stem =
            work->stem_of[i] ? &work->stems[work->stem_of[i] - 1] : NULL;
        if (stem && !stem->vague)
            sosie_dataset_join(maker->items, stem->first, i);
    }
    free(counts);
    return st;
}

enum sosie_status sosie_dataset_join_variants(struct sosie_dataset_maker *maker,
                                              struct sosie_error *err)
{
    struct work work = {.maker = maker};
    size_t n = maker->n_items;
    enum sosie_status st = SOSIE_OK;

    work.stems = calloc(n, sizeof(*work.stems));
    work.stem_of = calloc(n, sizeof(*work.stem_of));
    work.look_files = calloc(n, sizeof(*work.look_files));
    if (!work.stems || !work.stem_of || !work.look_files)
        st = no_memory(&work, err);
    for (size_t i = 0; !st && i < n; i++)
        if (maker->items[i].title)
            st = read_title(&work, i, err);
    if (!st)
        st = join_stems(&work, err);
    free(work.stems);
    free(work.stem_of);
    free(work.look_files);
    sosie_names_release(&work.names);
    sosie_names_release(&work.words);
    sosie_names_release(&work.looks);
    sosie_arena_release(&work.arena);
    return st;
}
