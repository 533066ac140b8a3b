/* sockets.c: the server as strangers on the network meet it: slow, cut off,
 * too large, ambiguous. The engine is a fake; the sockets are real. */
#include "check.h"

#include "base/clock.h"
#include "http/fake.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

enum { PATIENCE_S = 20, HEADER_TIMEOUT_MS = 400, BODY_TIMEOUT_MS = 1500 };

static struct fake fake;
static struct sosie_server *server;

static struct sosie_server_options options(void)
{
    struct sosie_server_options o = sosie_server_options_defaults();
    o.listen = "127.0.0.1:0";
    o.n_workers = 1;
    o.queue_room = 1;
    return o;
}

static void start_with(const struct sosie_server_options *o)
{
    static const struct fake fresh = FAKE_INIT;
    struct sosie_http_backend backend = fake_backend(&fake);
    struct sosie_error err;
    fake = fresh;
    check_ok(sosie_server_start_with(&backend, o, &server, &err), &err);
}

static int start(void **state)
{
    struct sosie_server_options o = options();
    (void)state;
    start_with(&o);
    return 0;
}

static int start_impatient(void **state)
{
    struct sosie_server_options o = options();
    (void)state;
    o.header_timeout_ms = HEADER_TIMEOUT_MS;
    o.body_timeout_ms = BODY_TIMEOUT_MS;
    start_with(&o);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    sosie_server_stop(server);
    server = NULL;
    assert_int_equal(fake.n_results, 0);
    return 0;
}

/* ---- a client ------------------------------------------------------------ */

struct answer {
    unsigned status;
    char head[2000];
    char body[40000];
    size_t body_size;
};

static int dial(void)
{
    const struct timeval patience = {PATIENCE_S, 0};
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(sosie_server_port(server)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    assert_int_equal(
        connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* False if the server has gone. */
static bool give_bytes(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

static bool give(int fd, const char *text)
{
    return give_bytes(fd, text, strlen(text));
}

static const char *head_value(const struct answer *a, const char *name)
{
    const char *at = strcasestr(a->head, name);
    return at ? at + strlen(name) + 2 : NULL;
}

/* Reads one answer, byte by byte up to the end of its head lest it takes some
 * of the next; status 0 if there is none. */
static struct answer take_answer(int fd, bool has_body)
{
    struct answer a = {0};
    size_t n = 0, length;
    const char *value;
    while (n + 1 < sizeof(a.head) && !strstr(a.head, "\r\n\r\n")) {
        if (recv(fd, a.head + n, 1, 0) <= 0)
            return a;
        n++;
    }
    if (sscanf(a.head, "HTTP/1.1 %u", &a.status) != 1)
        fail_msg("no answer: %s", a.head);
    value = head_value(&a, "Content-Length");
    length = value && has_body ? strtoul(value, NULL, 10) : 0;
    assert_true(length < sizeof(a.body));
    while (a.body_size < length) {
        ssize_t got = recv(fd, a.body + a.body_size, length - a.body_size, 0);
        assert_true(got > 0);
        a.body_size += (size_t)got;
    }
    return a;
}

static struct answer take(int fd)
{
    return take_answer(fd, true);
}

static bool is_closed(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* One request on a connection of its own. */
static struct answer ask(const char *text)
{
    int fd = dial();
    struct answer a;
    assert_true(give(fd, text));
    a = take(fd);
    close(fd);
    return a;
}

static void says(const struct answer *a, unsigned status, const char *words)
{
    if (a->status != status || !strstr(a->body, words))
        fail_msg("%s%s\n  is not %u with \"%s\"", a->head, a->body, status,
                 words);
}

static void server_lives(void)
{
    struct answer a = ask("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    says(&a, 200, "alive");
}

static void give_post(int fd, const char *target, const char *type,
                      const char *body)
{
    char head[600];
    snprintf(head, sizeof(head),
             "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\n"
             "Content-Length: %zu\r\n\r\n",
             target, type, strlen(body));
    assert_true(give(fd, head));
    assert_true(give(fd, body));
}

static struct answer post(const char *target, const char *type,
                          const char *body)
{
    int fd = dial();
    struct answer a;
    give_post(fd, target, type, body);
    a = take(fd);
    close(fd);
    return a;
}

static const char form_type[] = "multipart/form-data; boundary=XYZ";
#define FILE_PART(name, bytes)                                                 \
    "--XYZ\r\nContent-Disposition: form-data; name=\"" name                    \
    "\"; filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n" bytes "\r\n"
#define TEXT_PART(name, text)                                                  \
    "--XYZ\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" text  \
    "\r\n"
#define LAST "--XYZ--\r\n"

/* ---- what a good client sees --------------------------------------------- */

static void the_originals_upload_works(void **state)
{
    struct answer a = post(
        "/process_image", form_type,
        FILE_PART("filepath", "a\r\n--XY photo")
            TEXT_PART("setting", "{\"output_limit\":2,\"on_cnn\":true}") LAST);
    (void)state;
    says(&a, 200, "[{\"path\":\"1163.jpg\",\"class\":\"coat\"");
    assert_int_equal(fake.photo_size, strlen("a\r\n--XY photo"));
    assert_int_equal(fake.asked.limit, 2);
    assert_non_null(head_value(&a, "X-Request-Id"));
}

static void a_connection_carries_many_requests(void **state)
{
    int fd = dial();
    struct answer a;
    (void)state;
    for (int i = 0; i < 5; i++) {
        give_post(fd, "/v1/search?limit=1", "image/jpeg", "a photo");
        a = take(fd);
        says(&a, 200, "\"hits\":[{");
        assert_true(give(fd, "HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n"));
        a = take_answer(fd, false);
        assert_int_equal(a.status, 200);
        assert_true(give(fd, "GET / HTTP/1.1\r\nHost: a\r\n"
                             "If-None-Match: *\r\n\r\n"));
        a = take_answer(fd, false);
        assert_int_equal(a.status, 304);
        assert_true(give(fd, "DELETE /healthz HTTP/1.1\r\nHost: a\r\n\r\n"));
        a = take(fd);
        says(&a, 405, "method_not_allowed");
    }
    close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    int fd = dial();
    struct answer a;
    (void)state;
    assert_true(
        give(fd, "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Request-Id: one\r\n\r\n"
                 "POST /v1/search HTTP/1.1\r\nHost: a\r\nX-Request-Id: two\r\n"
                 "Content-Length: 5\r\n\r\nphoto"
                 "GET /nope HTTP/1.1\r\nHost: a\r\nX-Request-Id: three\r\n\r\n"
                 "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n"));
    a = take(fd);
    says(&a, 200, "alive");
    assert_non_null(strstr(a.head, "X-Request-Id: one"));
    a = take(fd);
    says(&a, 200, "\"request_id\":\"two\"");
    a = take(fd);
    says(&a, 404, "\"request_id\":\"three\"");
    a = take(fd);
    says(&a, 200, "\"items\":7");
    close(fd);
}

static void photos_are_sent_byte_for_byte(void **state)
{
    struct answer a = ask("GET /static/img/a%2Fb/x/1%202.jpg HTTP/1.1\r\n"
                          "Host: a\r\n\r\n");
    (void)state;
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body_size, sizeof(fake_jpeg));
    assert_memory_equal(a.body, fake_jpeg, sizeof(fake_jpeg));
    assert_non_null(strstr(a.head, "Content-Type: image/jpeg\r\n"));
    a = ask("GET /static/img/a%2Fb/..%2f..%2fetc/passwd HTTP/1.1\r\n"
            "Host: a\r\n\r\n");
    says(&a, 400, "bad_input");
}

static void a_body_may_come_in_chunks_and_crumbs(void **state)
{
    int fd = dial();
    struct answer a;
    const char body[] =
        FILE_PART("image", "photo") TEXT_PART("limit", "1") LAST;
    (void)state;
    assert_true(give(fd, "POST /v1/search HTTP/1.1\r\nHost: a\r\n"
                         "Content-Type: multipart/form-data; boundary=\"XYZ\""
                         "\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for (const char *at = body; *at; at++) {
        char chunk[16];
        snprintf(chunk, sizeof(chunk), "1\r\n%c\r\n", *at);
        assert_true(give(fd, chunk));
    }
    assert_true(give(fd, "0\r\n\r\n"));
    a = take(fd);
    says(&a, 200, "\"hits\":[{");
    assert_int_equal(fake.photo_size, 5);
    close(fd);
}

static void a_client_that_only_listens_on_gets_its_answer(void **state)
{
    int fd = dial();
    struct answer a;
    (void)state;
    give_post(fd, "/v1/search", "image/jpeg", "a photo");
    shutdown(fd, SHUT_WR);
    a = take(fd);
    says(&a, 200, "\"hits\"");
    close(fd);
}

/* ---- bodies that are not what they should be ----------------------------- */

static void bad_multipart_bodies_are_explained(void **state)
{
    char many[2000] = "";
    struct answer a =
        post("/process_image", form_type, TEXT_PART("setting", "{}") LAST);
    (void)state;
    says(&a, 400, "part \\\"filepath\\\" is missing");
    a = post("/process_image", form_type,
             FILE_PART("filepath", "") TEXT_PART("setting", "{}") LAST);
    says(&a, 400, "part \\\"filepath\\\" is empty");
    a = post("/process_image", form_type, LAST);
    says(&a, 400, "missing");
    a = post("/process_image", form_type, "");
    says(&a, 400, "missing");
    a = post("/process_image", "multipart/form-data", "x");
    says(&a, 400, "has no boundary");
    a = post("/process_image", form_type, FILE_PART("filepath", "p"));
    says(&a, 400, "ends before its last boundary");
    a = post("/process_image", form_type,
             TEXT_PART("setting", "{}") TEXT_PART("setting", "{}") LAST);
    says(&a, 400, "part \\\"setting\\\" is there twice");
    for (char name = 'a'; name < 'j'; name++) {
        char part[] = TEXT_PART("?", "x");
        *strchr(part, '?') = name;
        strcat(many, part);
    }
    strcat(many, LAST);
    a = post("/process_image", form_type, many);
    says(&a, 400, "more than 8 parts");
    assert_int_equal(fake.n_searches, 0);
}

static void a_long_setting_is_413(void **state)
{
    size_t size = SOSIE_HTTP_TEXT_MAX_BYTES + 1;
    char *body = calloc(1, size + 300);
    struct answer a;
    (void)state;
    strcpy(body, "--XYZ\r\nContent-Disposition: form-data; name=\"setting\"\r\n"
                 "\r\n");
    memset(body + strlen(body), ' ', size);
    strcat(body, "\r\n" LAST);
    a = post("/process_image", form_type, body);
    says(&a, 413, "part \\\"setting\\\" has more than 16384 bytes");
    free(body);
}

static void a_body_that_announces_too_much_is_413_at_once(void **state)
{
    int fd = dial();
    struct answer a;
    (void)state;
    assert_true(give(fd, "POST /v1/search HTTP/1.1\r\nHost: a\r\n"
                         "Content-Length: 11534336\r\n\r\n"));
    a = take(fd);
    says(&a, 413, "the body has 11534336 bytes, expected at most 10485760");
    assert_true(is_closed(fd));
    close(fd);
}

/* A client that sends first and listens later must still see the reason. */
static void the_reason_reaches_a_client_that_is_still_sending(void **state)
{
    size_t size = 11 << 20;
    char *photo = calloc(1, size);
    (void)state;
    for (int i = 0; i < 10; i++) {
        int fd = dial();
        struct answer a;
        assert_true(give(fd, "POST /v1/search HTTP/1.1\r\nHost: a\r\n"
                             "Content-Length: 11534336\r\n\r\n"));
        assert_true(give_bytes(fd, photo, size));
        a = take(fd);
        says(&a, 413, "expected at most 10485760");
        close(fd);
    }
    free(photo);
}

static void an_oversize_chunked_body_is_413(void **state)
{
    size_t size = 1 << 20;
    char *mebibyte = calloc(1, size);
    int fd = dial();
    struct answer a;
    (void)state;
    assert_true(give(fd, "POST /v1/search HTTP/1.1\r\nHost: a\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n"));
    for (int i = 0; i < 11; i++) {
        assert_true(give(fd, "100000\r\n"));
        assert_true(give_bytes(fd, mebibyte, size));
        assert_true(give(fd, "\r\n"));
    }
    assert_true(give(fd, "0\r\n\r\n"));
    a = take(fd);
    says(&a, 413, "the body has more than 10485760 bytes");
    close(fd);
    assert_int_equal(fake.n_searches, 0);
    free(mebibyte);
}

static void an_endless_body_is_cut_off(void **state)
{
    size_t size = 1 << 20;
    char *mebibyte = calloc(1, size);
    int fd = dial(), i = 0;
    (void)state;
    assert_true(give(fd, "POST /v1/search HTTP/1.1\r\nHost: a\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n"));
    while (i < 200 && give(fd, "100000\r\n") &&
           give_bytes(fd, mebibyte, size) && give(fd, "\r\n"))
        i++;
    assert_in_range(i, 10, 100);
    close(fd);
    free(mebibyte);
    server_lives();
}

static void uploads_cut_in_half_leave_nothing_behind(void **state)
{
    (void)state;
    for (int half = 0; half < 2; half++) {
        int fd = dial();
        assert_true(give(fd, "POST /process_image HTTP/1.1\r\nHost: a\r\n"
                             "Content-Type: multipart/form-data; boundary=XYZ"
                             "\r\nContent-Length: 5000\r\n\r\n" FILE_PART(
                                 "filepath", "half a photo")));
        if (half) {
            shutdown(fd, SHUT_WR);
            assert_true(is_closed(fd));
        }
        close(fd);
    }
    server_lives();
    assert_int_equal(fake.n_searches, 0);
}

static void a_body_where_none_belongs_is_413(void **state)
{
    struct answer a = ask("GET /healthz HTTP/1.1\r\nHost: a\r\n"
                          "Content-Length: 5\r\n\r\nphoto");
    (void)state;
    says(&a, 413, "the body has 5 bytes, expected at most 0");
    a = ask("GET /healthz HTTP/1.1\r\nHost: a\r\n"
            "Content-Type: multipart/form-data; boundary=XYZ\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
            "5\r\nphoto\r\n0\r\n\r\n");
    says(&a, 413, "more than 0 bytes");
    a = ask("POST /healthz HTTP/1.1\r\nHost: a\r\n"
            "Content-Length: 5\r\n\r\nphoto");
    says(&a, 405, "GET and HEAD only");
}

/* ---- framing ------------------------------------------------------------- */

/* Reads up to the end of the connection; true if there were the words. */
static bool follows(int fd, const char *words)
{
    char text[4000];
    size_t n = 0;
    ssize_t got;
    while (n + 1 < sizeof(text) &&
           (got = recv(fd, text + n, sizeof(text) - 1 - n, 0)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    assert_true(got == 0 || errno == ECONNRESET);
    return strstr(text, words) != NULL;
}

static void ambiguous_framing_is_refused_and_the_connection_closed(void **state)
{
    static const char *const heads[] = {
        "Host: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "Host: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
        "Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        ("Host: a\r\nTransfer-Encoding: chunked\r\n"
         "Transfer-Encoding: chunked\r\n"),
        "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n",
        "Host: a\r\nTransfer-Encoding: identity\r\n",
        "Host: a\r\nHost: b\r\nContent-Length: 5\r\n",
        "Host: a\r\nContent-Length: 5, 5\r\n",
        "Host: a\r\nContent-Length: -5\r\n",
        "Host: a\r\nContent-Length: +5\r\n",
        "Host: a\r\nContent-Length: 5x\r\n",
        "Host: a\r\nContent-Length: 99999999999999999999999\r\n",
        "Content-Length: 5\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        int fd = dial();
        struct answer a;
        char head[300];
        snprintf(head, sizeof(head), "POST /v1/search HTTP/1.1\r\n%s\r\n",
                 heads[i]);
        assert_true(give(fd, head));
        /* What follows must not be taken for another request. */
        give(fd, "0\r\n\r\nGET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
        a = take(fd);
        if (a.status != 400 && a.status != 413)
            fail_msg("%s: %u %s", heads[i], a.status, a.body);
        if (follows(fd, "ready"))
            fail_msg("%s: what followed was taken for a request", heads[i]);
        close(fd);
    }
    assert_int_equal(fake.n_searches, 0);
}

static void a_header_of_70_kb_is_431(void **state)
{
    size_t size = 70000;
    char *line = calloc(1, size + 1);
    int fd = dial();
    struct answer a;
    (void)state;
    memset(line, 'x', size);
    give(fd, "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Long: ");
    give(fd, line);
    give(fd, "\r\n\r\n");
    a = take(fd);
    assert_int_equal(a.status, 431);
    close(fd);
    free(line);
    server_lives();
}

static void nonsense_does_no_harm(void **state)
{
    static const char *const texts[] = {
        "\r\n\r\n\r\n",
        "\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02\x01\x01\xfc\x03\x03",
        "GET /%%%?&=&%&%=%% HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /v1/search?%00=%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: a\r\n : x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: a\r\nA: b\r\n folded\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int fd = dial();
        give(fd, texts[i]);
        shutdown(fd, SHUT_WR);
        take(fd);
        close(fd);
    }
    server_lives();
}

/* ---- slow clients -------------------------------------------------------- */

/* Sends a byte now and then; the milliseconds until the server hangs up. */
static double drip(int fd, char byte)
{
    double begun = sosie_clock_ms();
    struct pollfd answer = {fd, POLLIN, 0};
    while (sosie_clock_ms() - begun < (double)PATIENCE_S * 1e3) {
        if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
            break;
        if (poll(&answer, 1, 50) == 1 && is_closed(fd))
            break;
    }
    return sosie_clock_ms() - begun;
}

static void a_header_that_drips_is_cut_at_its_deadline(void **state)
{
    int fd = dial();
    double ms;
    (void)state;
    give(fd, "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    ms = drip(fd, 'x');
    assert_in_range((size_t)ms, HEADER_TIMEOUT_MS / 2, 6000);
    close(fd);
    server_lives();
}

static void a_second_header_has_a_deadline_too(void **state)
{
    int fd = dial();
    struct answer a;
    double ms;
    (void)state;
    give(fd, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /hea");
    a = take(fd);
    says(&a, 200, "alive");
    ms = drip(fd, 'l');
    assert_in_range((size_t)ms, HEADER_TIMEOUT_MS / 2, 6000);
    close(fd);
}

static void a_body_that_drips_is_cut_at_its_deadline(void **state)
{
    int fd = dial();
    double ms;
    (void)state;
    give(fd, "POST /v1/search HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000"
             "\r\n\r\n");
    ms = drip(fd, 'x');
    assert_in_range((size_t)ms, HEADER_TIMEOUT_MS + 100, 8000);
    close(fd);
    server_lives();
    assert_int_equal(fake.n_searches, 0);
}

static void work_may_take_longer_than_a_client_may(void **state)
{
    int fd = dial();
    struct answer a;
    (void)state;
    fake_hold(&fake, true);
    give_post(fd, "/v1/search", "image/jpeg", "a photo");
    fake_await(&fake, 1);
    usleep((BODY_TIMEOUT_MS + 300) * 1000);
    fake_hold(&fake, false);
    a = take(fd);
    says(&a, 200, "\"hits\"");
    close(fd);
}

/* ---- many clients, and the end ------------------------------------------- */

static void give_search(int fd)
{
    give_post(fd, "/v1/search", "image/jpeg", "a photo");
}

static void a_full_queue_is_503_and_health_still_answers(void **state)
{
    int running = dial(), refused;
    struct pollfd waiting[2] = {{dial(), POLLIN, 0}, {dial(), POLLIN, 0}};
    struct answer a;
    (void)state;
    fake_hold(&fake, true);
    give_search(running);
    fake_await(&fake, 1);
    give_search(waiting[0].fd); /* there is room for one of these two */
    give_search(waiting[1].fd);
    assert_int_equal(poll(waiting, 2, PATIENCE_S * 1000), 1);
    refused = waiting[0].revents ? 0 : 1;
    a = take(waiting[refused].fd);
    says(&a, 503, "\"code\":\"unavailable\"");
    assert_non_null(strstr(a.head, "Retry-After: 1\r\n"));
    server_lives();
    fake_hold(&fake, false);
    a = take(running);
    says(&a, 200, "\"hits\"");
    a = take(waiting[1 - refused].fd);
    says(&a, 200, "\"hits\"");
    give_search(waiting[refused].fd);
    a = take(waiting[refused].fd);
    says(&a, 200, "\"hits\"");
    close(running);
    close(waiting[0].fd);
    close(waiting[1].fd);
}

static void clients_may_leave_while_their_job_runs_or_waits(void **state)
{
    int running = dial(), waiting = dial();
    (void)state;
    fake_hold(&fake, true);
    give_search(running);
    fake_await(&fake, 1);
    give_search(waiting);
    close(running);
    shutdown(waiting, SHUT_RDWR);
    close(waiting);
    fake_hold(&fake, false);
    server_lives();
}

static void *stop_server(void *unused)
{
    sosie_server_stop(server);
    return unused;
}

static void what_is_in_flight_is_answered_before_the_end(void **state)
{
    int working, sending, idle;
    struct answer a;
    pthread_t stopper;
    double begun;
    (void)state;
    fake_hold(&fake, true);
    idle = dial();
    working = dial();
    give_search(working);
    fake_await(&fake, 1);
    sending = dial();
    give(sending, "POST /v1/search HTTP/1.1\r\nHost: a\r\nContent-Length: 4"
                  "\r\n\r\nph");
    usleep(200000); /* until the server has read that */
    begun = sosie_clock_ms();
    assert_int_equal(pthread_create(&stopper, NULL, stop_server, NULL), 0);
    assert_true(is_closed(idle));
    fake_hold(&fake, false);
    assert_true(give(sending, "ot"));
    a = take(working);
    says(&a, 200, "\"hits\"");
    assert_true(is_closed(working));
    a = take(sending);
    says(&a, 200, "\"hits\"");
    assert_true(is_closed(sending));
    pthread_join(stopper, NULL);
    assert_true(sosie_clock_ms() - begun < 5000);
    server = NULL;
    close(idle);
    close(working);
    close(sending);
}

static void addresses_to_listen_on_are_checked(void **state)
{
    static const char *const bad[] = {"",       "5000",      ":5000",
                                      "::1:80", "127.0.0.1", "127.0.0.1:65536",
                                      "a:b",    "[]:1",      "127.0.0.1:"};
    struct sosie_http_backend backend = fake_backend(&fake);
    struct sosie_server_options o = options();
    struct sosie_server *other;
    struct sosie_error err;
    char taken[40];
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        o.listen = bad[i];
        check_fails(sosie_server_start_with(&backend, &o, &other, &err),
                    SOSIE_BAD_INPUT, &err, "address");
    }
    snprintf(taken, sizeof(taken), "127.0.0.1:%u", sosie_server_port(server));
    o.listen = taken;
    check_fails(sosie_server_start_with(&backend, &o, &other, &err), SOSIE_IO,
                &err, "in use");
    o.listen = "127.0.0.1:0";
    o.cors_origin = "https://a\r\nX: y";
    check_fails(sosie_server_start_with(&backend, &o, &other, &err),
                SOSIE_BAD_INPUT, &err, "CORS");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
#define IMPATIENT(name)                                                        \
    cmocka_unit_test_setup_teardown(name, start_impatient, stop)
    const struct CMUnitTest tests[] = {
        TEST(the_originals_upload_works),
        TEST(a_connection_carries_many_requests),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(photos_are_sent_byte_for_byte),
        TEST(a_body_may_come_in_chunks_and_crumbs),
        TEST(a_client_that_only_listens_on_gets_its_answer),
        TEST(bad_multipart_bodies_are_explained),
        TEST(a_long_setting_is_413),
        TEST(a_body_where_none_belongs_is_413),
        TEST(a_body_that_announces_too_much_is_413_at_once),
        TEST(the_reason_reaches_a_client_that_is_still_sending),
        TEST(an_oversize_chunked_body_is_413),
        TEST(an_endless_body_is_cut_off),
        IMPATIENT(uploads_cut_in_half_leave_nothing_behind),
        TEST(ambiguous_framing_is_refused_and_the_connection_closed),
        TEST(a_header_of_70_kb_is_431),
        IMPATIENT(nonsense_does_no_harm),
        IMPATIENT(a_header_that_drips_is_cut_at_its_deadline),
        IMPATIENT(a_second_header_has_a_deadline_too),
        IMPATIENT(a_body_that_drips_is_cut_at_its_deadline),
        IMPATIENT(work_may_take_longer_than_a_client_may),
        TEST(a_full_queue_is_503_and_health_still_answers),
        TEST(clients_may_leave_while_their_job_runs_or_waits),
        TEST(what_is_in_flight_is_answered_before_the_end),
        TEST(addresses_to_listen_on_are_checked),
    };
    return cmocka_run_group_tests_name("http sockets", tests, NULL, NULL);
}
