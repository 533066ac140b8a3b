/* report.c: what a report holds, and that it is whole or not at all. */
#include "check.h"

#include "base/file.h"
#include "image/image.h"
#include "train/report.h"

#include <math.h>

static struct sosie_report *begin(void)
{
    struct sosie_report *report;
    struct sosie_error err;
    check_ok(
        sosie_report_begin("Socks & <shoes>", "two \"pairs\"", &report, &err),
        &err);
    return report;
}

/* Ends the report; its text, to be freed. */
static char *end(struct sosie_report *report)
{
    char *folder = check_folder_make(), path[100];
    unsigned char *text;
    size_t size;
    struct sosie_error err;
    snprintf(path, sizeof(path), "%s/report.html", folder);
    check_ok(sosie_report_end(report, path, &err), &err);
    sosie_report_destroy(report);
    check_ok(sosie_file_read(path, 1 << 24, &text, &size, &err), &err);
    check_folder_remove(folder);
    return (char *)text;
}

static size_t count(const char *text, const char *words)
{
    size_t n = 0;
    while ((text = strstr(text, words))) {
        text += strlen(words);
        n++;
    }
    return n;
}

static void holds(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("\"%s\" is not in the report", words);
}

/* Every opened element is closed, and in order. */
static void check_elements(const char *text)
{
    char open[32][16];
    size_t depth = 0;
    text = strstr(text, "<html");
    for (; text && (text = strchr(text, '<')); text++) {
        bool closes = text[1] == '/';
        char name[16] = {0};
        const char *end_of = strchr(text, '>');
        assert_non_null(end_of);
        sscanf(text + 1 + closes, "%15[a-z0-9]", name);
        if (closes) {
            assert_true(depth > 0);
            assert_string_equal(name, open[--depth]);
        } else if (end_of[-1] != '/' && strcmp(name, "meta") &&
                   strcmp(name, "img")) {
            assert_true(depth < 32);
            snprintf(open[depth++], sizeof(*open), "%s", name);
        }
        text = end_of;
    }
    assert_int_equal(depth, 0);
}

static void text_is_escaped(void **state)
{
    struct sosie_report *report = begin();
    static const char *const columns[] = {"a<b", "n"};
    static const struct sosie_report_cell cells[] = {
        {"<i>", 0, SOSIE_MARK_NONE},
        {".5", 0.5, SOSIE_MARK_BEST},
        {NULL, 0, SOSIE_MARK_NONE},
        {"1", 0, SOSIE_MARK_BAD}};
    char *text;
    (void)state;
    sosie_report_heading(report, "h<1>");
    sosie_report_text(report, "%d < %s", 1, "<2>");
    sosie_report_facts(report, &(struct sosie_report_fact){"&", "<n>", "\"q\""},
                       1);
    sosie_report_table(report, &(struct sosie_report_table){.caption = "c>d",
                                                            .columns = columns,
                                                            .n_columns = 2,
                                                            .n_rows = 2,
                                                            .cells = cells});
    text = end(report);
    holds(text, "<title>Socks &amp; &lt;shoes&gt;</title>");
    holds(text, "two &quot;pairs&quot;");
    holds(text, "<p>1 &lt; &lt;2&gt;</p>");
    holds(text, "<b>&amp;</b>");
    holds(text, "<td>&lt;i&gt;</td>");
    holds(text, "<td class=\"best bar\" style=\"--v:50.0%\">.5</td>");
    holds(text, "<td></td><td class=\"bad\">1</td>");
    assert_null(strstr(text, "<i>"));
    check_elements(text);
    free(text);
}

static void curves_leave_gaps_and_empty_ones_out(void **state)
{
    static const double x[] = {0, 1, 2, 3, 4}, y[] = {3, 2, NAN, 1, 0.5};
    static const double same[] = {7, 7, 7, 7, 7};
    static const double none[] = {NAN, NAN, NAN, NAN, NAN};
    struct sosie_report_series series[] = {{"loss <train>", 5, x, y},
                                           {"val", 5, x, same}};
    struct sosie_report_curves curves = {"Loss", "epoch", 2, series, true};
    struct sosie_report *report = begin();
    char *text;
    (void)state;
    sosie_report_curves(report, &curves);
    series[0].y = series[1].y = none;
    sosie_report_curves(report, &curves); /* nothing to draw */
    curves.n = 0;
    sosie_report_curves(report, &curves);
    series[1].y = same;
    series[1].n = 1; /* one point */
    curves = (struct sosie_report_curves){"One", "epoch", 1, series + 1, false};
    sosie_report_curves(report, &curves);
    text = end(report);
    assert_int_equal(count(text, "<svg"), 2);
    assert_int_equal(count(text, "<polyline"), 2 + 1 + 1);
    assert_int_equal(count(text, "<circle"), 4 + 5 + 1);
    holds(text, "loss &lt;train&gt; <b>0.5</b>");
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf\""));
    check_elements(text);
    free(text);
}

static void a_confusion_shows_shares_and_the_worst_mistakes(void **state)
{
    static const char *const names[] = {"coat", "a & b", "skirt", "never"};
    static const uint32_t counts[] = {8, 2, 0, 0, /* */
                                      0, 5, 5, 0, /* */
                                      0, 0, 9, 0, /* */
                                      0, 0, 0, 0};
    enum { MANY = 50 };
    static uint32_t many[MANY * MANY];
    const char *many_names[MANY];
    struct sosie_report *report = begin();
    char *text;
    (void)state;
    sosie_report_confusion(report, names, 4, counts);
    for (size_t i = 0; i < MANY; i++) {
        many_names[i] = i < 10 ? "rare" : "frequent";
        many[i * MANY + i] = i < 10 ? 1 : 2;
    }
    sosie_report_confusion(report, many_names, MANY, many);
    text = end(report);
    holds(text, "title=\"coat recognised: 8 of 10\">8</td>");
    holds(text, "title=\"a &amp; b taken for skirt: 5 of 10\">5</td>");
    assert_true(strstr(text, "<td>a &amp; b</td><td>skirt</td><td>5</td>") <
                strstr(text, "<td>coat</td><td>a &amp; b</td><td>2</td>"));
    assert_null(strstr(text, "never</th>")); /* no photo is one */
    holds(text, "40 most frequent");
    assert_int_equal(count(text, "<th>frequent</th>"), 40);
    check_elements(text);
    free(text);
}

static void photos_are_inside_the_file(void **state)
{
    struct sosie_report *report = begin();
    struct sosie_report_photo photos[] = {
        {"any carnal pleas", 16, "query", SOSIE_MARK_NONE},
        {"any carnal pleasu", 17, NULL, SOSIE_MARK_GOOD},
        {"any carnal pleasur", 18, "<hit>", SOSIE_MARK_BAD}};
    char *text;
    (void)state;
    sosie_report_sheet_begin(report);
    sosie_report_sheet_row(report, photos, photos + 1, 2);
    sosie_report_sheet_end(report);
    text = end(report);
    holds(text, "base64,YW55IGNhcm5hbCBwbGVhcw==\"");
    holds(text, "base64,YW55IGNhcm5hbCBwbGVhc3U=\"");
    holds(text, "base64,YW55IGNhcm5hbCBwbGVhc3Vy\"");
    holds(text, "<figure class=\"good\">");
    holds(text, "<figcaption>&lt;hit&gt;</figcaption>");
    check_elements(text);
    free(text);
}

static void a_report_that_cannot_be_written_says_so(void **state)
{
    struct sosie_report *report = begin();
    struct sosie_error err;
    (void)state;
    check_fails(sosie_report_end(report, "/nowhere/report.html", &err),
                SOSIE_NOT_FOUND, &err, "/nowhere/report.html");
    sosie_report_destroy(report);
    sosie_report_destroy(begin()); /* given up on the way */
    sosie_report_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(curves_leave_gaps_and_empty_ones_out),
        cmocka_unit_test(a_confusion_shows_shares_and_the_worst_mistakes),
        cmocka_unit_test(photos_are_inside_the_file),
        cmocka_unit_test(a_report_that_cannot_be_written_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
