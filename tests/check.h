/* check.h: what the tests of this field need beside cmocka. */
#ifndef SOSIE_TESTS_CHECK_H
#define SOSIE_TESTS_CHECK_H

#include "sosie/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The call succeeded; otherwise its message is shown. */
#define check_ok(call, err)                                                    \
    do {                                                                       \
        if ((call) != SOSIE_OK)                                                \
            fail_msg("%s: %s", #call, (err)->text);                            \
    } while (0)

/* The call failed with this status, and its message holds the words. */
#define check_fails(call, expected, err, words)                                \
    do {                                                                       \
        assert_int_equal((call), (expected));                                  \
        assert_int_equal((err)->status, (expected));                           \
        if (!strstr((err)->text, (words)))                                     \
            fail_msg("\"%s\" does not say \"%s\"", (err)->text, (words));      \
    } while (0)

/* A folder of this test's own, removed by check_folder_remove. */
static inline char *check_folder_make(void)
{
    static char name[64];
    snprintf(name, sizeof(name), "/tmp/sosie-test-XXXXXX");
    assert_non_null(mkdtemp(name));
    return name;
}

static inline void check_folder_remove(const char *folder)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf -- '%s'", folder);
    assert_int_equal(system(command), 0);
}

/* "<shared>/<path>" of the folder with real photos and the model, or a skip. */
#define check_shared(buffer, path)                                             \
    do {                                                                       \
        const char *shared_ = getenv("SOSIE_SHARED");                          \
        snprintf((buffer), sizeof(buffer), "%s/%s", shared_ ? shared_ : "",    \
                 (path));                                                      \
        if (access((buffer), R_OK)) {                                          \
            print_message("skipped: %s is not there\n", (path));               \
            skip();                                                            \
        }                                                                      \
    } while (0)

#endif
