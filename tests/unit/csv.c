/* Rows of CSV and TSV text. */
#include "catalog/csv.h"

#include "base/random.h"
#include "catalog/text.h"
#include "check.h"

/* All rows as one line: fields between bars, a row's problem in brackets. */
static const char *rows_of(const char *bytes, size_t size, char separator)
{
    static char line[4096];
    struct sosie_csv csv;
    struct sosie_error err;
    size_t used = 0;
    sosie_csv_init(&csv, bytes, size, separator);
    line[0] = 0;
    for (;;) {
        bool found;
        enum sosie_status st = sosie_csv_next(&csv, &found, &err);
        if (!st && !found)
            break;
        used +=
            (size_t)snprintf(line + used, sizeof(line) - used, "%zu:", csv.row);
        if (st)
            used += (size_t)snprintf(line + used, sizeof(line) - used, "[%s]",
                                     err.text);
        for (size_t i = 0; !st && i < csv.n_fields; i++)
            used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%s",
                                     i ? "|" : "", csv.fields[i]);
        used += (size_t)snprintf(line + used, sizeof(line) - used, ";");
        assert_true(used < sizeof(line));
    }
    sosie_csv_release(&csv);
    return line;
}

static void check_rows(const char *text, const char *expected)
{
    assert_string_equal(rows_of(text, strlen(text), ','), expected);
}

static void rows_and_fields_are_told_apart(void **state)
{
    (void)state;
    check_rows("a,b,c\n1,2,3\n", "1:a|b|c;2:1|2|3;");
    check_rows("a,b\n1,2", "1:a|b;2:1|2;");
    check_rows("a,,\n,,\n", "1:a||;2:||;");
    check_rows("a,", "1:a|;");
    check_rows("one", "1:one;");
    check_rows("", "");
}

static void all_line_ends_are_known(void **state)
{
    (void)state;
    check_rows("a,b\r\n1,2\r\n", "1:a|b;2:1|2;");
    check_rows("a,b\r1,2\r", "1:a|b;2:1|2;");
    check_rows("a\n1\r2\r\n3", "1:a;2:1;3:2;4:3;");
}

static void quotes_protect_what_is_inside(void **state)
{
    (void)state;
    check_rows("\"a,b\",c\n", "1:a,b|c;");
    check_rows("\"a \"\"b\"\" c\"\n", "1:a \"b\" c;");
    check_rows("\"\",\"\"\"\"\n", "1:|\";");
    check_rows("\"two\nlines\",x\r\ny,z\n", "1:two\nlines|x;2:y|z;");
    check_rows("5\" pipe,\"x\"\n", "1:5\" pipe|x;");
}

static void a_byte_order_mark_and_blank_lines_are_passed_over(void **state)
{
    (void)state;
    check_rows("\xef\xbb\xbf\"id\",b\n", "1:id|b;");
    check_rows("\n\na\n\r\n\nb\n\n", "3:a;6:b;");
    check_rows("\n\n", "");
}

static void tabs_separate_where_they_are_asked_for(void **state)
{
    const char text[] = "a,b\tc\n\"1\t2\"\t3\n";
    (void)state;
    assert_string_equal(rows_of(text, sizeof(text) - 1, '\t'),
                        "1:a,b|c;2:1\t2|3;");
}

static void a_malformed_row_is_one_bad_row(void **state)
{
    const char nul[] = "a\n1\0,2\nb\n";
    (void)state;
    check_rows("a,b\n1,\"2\"x\n3,4\n",
               "1:a|b;2:[text after the closing quote of field 2];3:3|4;");
    check_rows("a,b\n1,\"2\n3,4\n",
               "1:a|b;2:[the file ends inside the quotes of field 2];");
    check_rows("a\n\"", "1:a;2:[the file ends inside the quotes of field 1];");
    check_rows("a\n1,\xff\xfe\nb\n", "1:a;2:[field 2 is not UTF-8];3:b;");
    assert_string_equal(rows_of(nul, sizeof(nul) - 1, ','),
                        "1:a;2:[field 1 holds a NUL byte];3:b;");
}

/* n fields of `size` letters each, then a short row. */
static const char *rows_of_many(size_t n, size_t size)
{
    size_t total = n * (size + 1), at = 0;
    char *text = malloc(total + 3);
    const char *rows;
    assert_non_null(text);
    for (size_t i = 0; i < n; i++) {
        memset(text + at, 'x', size);
        at += size;
        text[at++] = i + 1 < n ? ',' : '\n';
    }
    memcpy(text + at, "ok", 3);
    rows = rows_of(text, total + 2, ',');
    free(text);
    return rows;
}

static void what_a_row_may_take_is_bounded(void **state)
{
    (void)state;
    assert_string_equal(rows_of_many(1, SOSIE_CSV_MAX_FIELD_BYTES + 1),
                        "1:[field 1 is longer than 1048576 bytes];2:ok;");
    assert_string_equal(rows_of_many(5, SOSIE_CSV_MAX_FIELD_BYTES),
                        "1:[the row is longer than 4194304 bytes];2:ok;");
    assert_string_equal(rows_of_many(SOSIE_CSV_MAX_FIELDS + 1, 1),
                        "1:[more than 1024 fields];2:ok;");
}

static void the_largest_row_is_read(void **state)
{
    enum { SIZE = SOSIE_CSV_MAX_FIELD_BYTES };
    char *text = malloc(SIZE + 1);
    struct sosie_csv csv;
    struct sosie_error err;
    bool found;
    (void)state;
    assert_non_null(text);
    memset(text, 'x', SIZE);
    sosie_csv_init(&csv, text, SIZE, ',');
    check_ok(sosie_csv_next(&csv, &found, &err), &err);
    assert_true(found);
    assert_int_equal(strlen(csv.fields[0]), SIZE);
    sosie_csv_release(&csv);
    free(text);
}

/* Whatever the bytes, reading ends, and what is handed out is text. */
static void any_bytes_are_read_without_harm(void **state)
{
    static const char alphabet[] = "a,\"\"\n\r\t\0\xc3\xa9\xff";
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 3);
    for (size_t run = 0; run < 20000; run++) {
        size_t size = sosie_random_below(&random, 40), last = 0;
        char *bytes = malloc(size + 1);
        struct sosie_csv csv;
        bool found = true;
        assert_non_null(bytes);
        for (size_t i = 0; i < size; i++)
            bytes[i] = alphabet[sosie_random_below(&random, sizeof(alphabet))];
        sosie_csv_init(&csv, bytes, size, ',');
        while (found) {
            enum sosie_status st = sosie_csv_next(&csv, &found, NULL);
            assert_true(st == SOSIE_OK || st == SOSIE_BAD_INPUT);
            assert_true(csv.row > last);
            last = csv.row;
            for (size_t i = 0; !st && found && i < csv.n_fields; i++)
                assert_true(
                    sosie_text_is_utf8(csv.fields[i], strlen(csv.fields[i])));
        }
        sosie_csv_release(&csv);
        free(bytes);
    }
}

static void utf8_is_told_from_other_bytes(void **state)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\xc3\xa9",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x91\x97",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\x80",         "\xc3",         "\xc0\xaf",         "\xe0\x80\xaf",
        "\xed\xa0\x80", "\xf0\x80\x80", "\xf4\x90\x80\x80", "\xff"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_true(sosie_text_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(sosie_text_is_utf8(bad[i], strlen(bad[i])));
}

static void messages_hold_only_printable_text(void **state)
{
    char text[] = "caf\xc3\xa9 \x1b[31m \xff\xc2\x9b end \xe2\x82";
    (void)state;
    sosie_text_make_printable(text);
    assert_string_equal(text, "caf\xc3\xa9 ?[31m ??? end ??");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_and_fields_are_told_apart),
        cmocka_unit_test(all_line_ends_are_known),
        cmocka_unit_test(quotes_protect_what_is_inside),
        cmocka_unit_test(a_byte_order_mark_and_blank_lines_are_passed_over),
        cmocka_unit_test(tabs_separate_where_they_are_asked_for),
        cmocka_unit_test(a_malformed_row_is_one_bad_row),
        cmocka_unit_test(what_a_row_may_take_is_bounded),
        cmocka_unit_test(the_largest_row_is_read),
        cmocka_unit_test(any_bytes_are_read_without_harm),
        cmocka_unit_test(utf8_is_told_from_other_bytes),
        cmocka_unit_test(messages_hold_only_printable_text),
    };
    return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}
