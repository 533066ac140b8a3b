/* http.c: from requests to responses, over a fake engine and without sockets.
 * What needs sockets is in tests/http/sockets.c. */
#include "check.h"

#include "http/fake.h"
#include "http/page.h"

/* One request on its way; its response stays until the next. */
static struct {
    struct fake fake;
    struct sosie_http_app app;
    struct sosie_http_request request;
    struct sosie_http_response response;
    char text[60000]; /* of the response's body */
} t;

static int start(void **state)
{
    static const struct fake fresh = FAKE_INIT;
    (void)state;
    memset(&t, 0, sizeof(t));
    t.fake = fresh;
    t.app.backend = fake_backend(&t.fake);
    sosie_http_response_init(&t.response);
    assert_true(sosie_http_request_init(&t.request, "/"));
    return 0;
}

static int end(void **state)
{
    (void)state;
    sosie_http_request_release(&t.request);
    sosie_http_response_release(&t.response);
    assert_int_equal(t.fake.n_results, 0);
    return 0;
}

static void begin(enum sosie_http_method method, const char *target)
{
    sosie_http_request_release(&t.request);
    sosie_http_response_release(&t.response);
    assert_true(sosie_http_request_init(&t.request, target));
    t.request.method = method;
}

/* The status; the body is then in t.text. */
static unsigned answer(void)
{
    const struct sosie_http_response *r = &t.response;
    size_t size;
    sosie_http_handle(&t.app, sosie_http_route_find(&t.request), &t.request,
                      &t.response);
    sosie_http_finish(&t.app, &t.request, &t.response);
    size = r->size < sizeof(t.text) ? r->size : sizeof(t.text) - 1;
    if (r->fd >= 0)
        assert_int_equal(pread(r->fd, t.text, size, 0), size);
    else if (size)
        memcpy(t.text, r->owned ? r->owned : r->bytes, size);
    t.text[size] = '\0';
    return r->status;
}

static unsigned get(const char *target)
{
    begin(SOSIE_HTTP_GET, target);
    return answer();
}

static void post(const char *target, const char *type)
{
    begin(SOSIE_HTTP_POST, target);
    assert_true(sosie_http_request_set_type(&t.request, type));
}

static void add_part_bytes(const char *name, const void *bytes, size_t size)
{
    struct sosie_http_part *part;
    struct sosie_error err;
    check_ok(sosie_http_part_open(&t.request, name, true, &part, &err), &err);
    check_ok(
        sosie_http_bytes_add(&part->bytes, bytes, size, 64 << 20, name, &err),
        &err);
}

static void add_part(const char *name, const char *text)
{
    add_part_bytes(name, text, strlen(text));
}

static void set_body(const char *text)
{
    struct sosie_error err;
    check_ok(sosie_http_bytes_add(&t.request.body, text, strlen(text), 64 << 20,
                                  "body", &err),
             &err);
}

static unsigned process_image(const char *setting)
{
    post("/process_image", "multipart/form-data; boundary=x");
    add_part("filepath", "a photo");
    if (setting)
        add_part("setting", setting);
    return answer();
}

static unsigned search_with(const char *name, const char *value)
{
    post("/v1/search", "multipart/form-data; boundary=x");
    add_part("image", "a photo");
    add_part(name, value);
    return answer();
}

static unsigned search_json(const char *body)
{
    post("/v1/search", "application/json; charset=utf-8");
    set_body(body);
    return answer();
}

static void says(const char *words)
{
    if (!strstr(t.text, words))
        fail_msg("%s\n  does not say \"%s\"", t.text, words);
}

static void header_is(const char *name, const char *expected)
{
    const char *value = sosie_http_header_find(&t.response, name);
    if (!value || strcmp(value, expected) != 0)
        fail_msg("%s is %s, not %s", name, value ? value : "absent", expected);
}

/* ---- the original's call ------------------------------------------------- */

static void the_originals_client_gets_what_it_asks_for(void **state)
{
    json_t *array;
    (void)state;
    assert_int_equal(process_image("{\"output_limit\":12,\"on_cnn\":true}"),
                     200);
    header_is("Content-Type", "application/json");
    array = json_loads(t.text, 0, NULL);
    assert_int_equal(json_array_size(array), 12);
    json_decref(array);
    says("{\"path\":\"1163.jpg\",\"class\":\"coat\",\"id\":\"1163\","
         "\"score\":0.93}");
    assert_true(t.fake.asked.within_predicted);
    assert_int_equal(t.fake.photo_size, strlen("a photo"));
    assert_int_equal(t.fake.last_byte, 'o');
}

static void settings_that_are_absent_are_12_and_on(void **state)
{
    (void)state;
    assert_int_equal(process_image(NULL), 200);
    assert_int_equal(t.fake.asked.limit, 12);
    assert_true(t.fake.asked.within_predicted);
    assert_int_equal(process_image("{\"theme\":\"dark\"}"), 200);
    assert_int_equal(t.fake.asked.limit, 12);
    assert_true(t.fake.asked.within_predicted);
    assert_int_equal(process_image("{\"on_cnn\":false,\"output_limit\":0}"),
                     200);
    assert_false(t.fake.asked.within_predicted);
    assert_string_equal(t.text, "[]");
    assert_int_equal(process_image("{\"output_limit\":500.0}"), 200);
    assert_int_equal(t.fake.asked.limit, 500);
}

static void bad_settings_are_named_with_what_was_expected(void **state)
{
    static const struct {
        const char *setting;
        unsigned status;
        const char *says;
    } cases[] = {
        {"{\"output_limit\":-1}", 422, "output_limit is -1, expected a whole"},
        {"{\"output_limit\":501}", 422,
         "is 501, expected a whole number from "
         "0 to 500"},
        {"{\"output_limit\":12.5}", 422, "is 12.5, expected"},
        {"{\"output_limit\":1e300}", 422, "expected a whole number"},
        {"{\"output_limit\":\"x\"}", 400, "text \\\"x\\\", expected a whole"},
        {"{\"output_limit\":\"12\"}", 400, "expected a whole number"},
        {"{\"output_limit\":null}", 400, "output_limit is null"},
        {"{\"output_limit\":[1]}", 400, "output_limit is [1]"},
        {"{\"on_cnn\":\"yes\"}", 400, "on_cnn is not true or false"},
        {"{\"on_cnn\":1}", 400, "on_cnn is not true or false"},
        {"output_limit=12", 400, "setting is not a JSON object"},
        {"", 400, "setting is not a JSON object"},
        {"[12]", 400, "setting is not a JSON object"},
        {"{\"output_limit\":12", 400, "setting is not a JSON object"},
        {"{\"output_limit\":1,\"output_limit\":2}", 400, "duplicate"},
        {"\xff\xfe", 400, "setting is not a JSON object"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(process_image(cases[i].setting), cases[i].status);
        says(cases[i].says);
        says(cases[i].status == 422 ? "{\"error\":{\"code\":\"refused\""
                                    : "{\"error\":{\"code\":\"bad_input\"");
        says("\"request_id\":\"");
    }
    assert_int_equal(t.fake.n_searches, 0);
}

static void missing_and_empty_parts_are_named(void **state)
{
    (void)state;
    post("/process_image", "multipart/form-data");
    add_part("setting", "{}");
    assert_int_equal(answer(), 400);
    says("part \\\"filepath\\\" is missing, expected a JPEG, PNG or WebP");
    post("/process_image", "multipart/form-data");
    add_part("setting", "{}");
    add_part("filepath", "");
    assert_int_equal(answer(), 400);
    says("part \\\"filepath\\\" is empty");
    post("/process_image", "image/jpeg");
    set_body("a photo");
    assert_int_equal(answer(), 400);
    says("the body is \\\"image/jpeg\\\", expected multipart/form-data");
    post("/process_image", NULL);
    assert_int_equal(answer(), 400);
    says("of no stated type");
}

/* ---- /v1/search ---------------------------------------------------------- */

static void a_search_answers_everything_that_is_documented(void **state)
{
    char expected[1000];
    (void)state;
    assert_int_equal(search_with("limit", "1"), 200);
    snprintf(expected, sizeof(expected),
             "{\"classes\":[{\"class\":\"coat\",\"probability\":0.9123}],"
             "\"hits\":[{\"id\":\"1163\",\"path\":\"1163.jpg\",\"class\":"
             "\"coat\",\"score\":0.93,\"aspects\":{\"shape\":0.95,\"colour\":"
             "0.88},\"fields\":{\"title\":\"Loden\",\"price\":\"19.99 EUR\"}}],"
             "\"exact\":true,\"next\":null,\"took_ms\":{\"decode\":1.235,"
             "\"embed\":0.0,\"search\":0.0,\"total\":5.25},\"request_id\":"
             "\"%s\"}",
             t.request.id);
    assert_string_equal(t.text, expected);
}

static void fields_may_be_parts_parameters_or_members(void **state)
{
    (void)state;
    post("/v1/search", "multipart/form-data");
    add_part("image", "a photo");
    add_part("limit", "3");
    add_part("class", "long coat");
    add_part("weights", "shape=1,colour=0.5");
    add_part("crop", "0.1,0.2,0.3,0.4");
    add_part("within_predicted", "true");
    assert_int_equal(answer(), 200);
    assert_int_equal(t.fake.asked.limit, 3);
    assert_string_equal(t.fake.class_name, "long coat");
    assert_true(fake_weight(&t.fake, "colour") == 0.5);
    assert_true(t.fake.asked.has_crop && t.fake.asked.crop_w == 0.3);
    assert_true(t.fake.asked.within_predicted);

    post("/v1/search?limit=4&class=long+c%6Fat&crop=%7B%22x%22:0,%22y%22:0,"
         "%22w%22:0.5,%22h%22:1%7D&weights=%7B%22colour%22:2%7D",
         "image/jpeg");
    set_body("the photo itself");
    assert_int_equal(answer(), 200);
    assert_int_equal(t.fake.asked.limit, 4);
    assert_string_equal(t.fake.class_name, "long coat");
    assert_true(t.fake.asked.crop_w == 0.5 && t.fake.asked.crop_h == 1);
    assert_true(fake_weight(&t.fake, "shape") == 0);
    assert_true(fake_weight(&t.fake, "colour") == 2);
    assert_int_equal(t.fake.photo_size, strlen("the photo itself"));

    assert_int_equal(
        search_json("{\"image_base64\":\"YSBwaG90bw==\",\"limit\":5,"
                    "\"class\":null,\"weights\":{\"shape\":1,\"colour\":0.25},"
                    "\"crop\":{\"x\":0,\"y\":0.5,\"w\":1,\"h\":0.5},"
                    "\"within_predicted\":false}"),
        200);
    assert_int_equal(t.fake.asked.limit, 5);
    assert_int_equal(t.fake.photo_size, strlen("a photo"));
    assert_int_equal(t.fake.last_byte, 'o');
    assert_string_equal(t.fake.class_name, "");
    assert_true(t.fake.asked.crop_y == 0.5);
    assert_false(t.fake.asked.within_predicted);

    assert_int_equal(search_json("{\"item\":\"1163\",\"crop\":[0,0,1,1]}"),
                     200);
    assert_string_equal(t.fake.item, "1163");
    post("/v1/search?item=1163", NULL);
    assert_int_equal(answer(), 200);
    assert_string_equal(t.fake.item, "1163");
}

static void bad_fields_are_named_with_what_was_expected(void **state)
{
    static const struct {
        const char *name, *value;
        unsigned status;
        const char *says;
    } cases[] = {
        {"limit", "501", 422, "limit is \\\"501\\\", expected a whole number"},
        {"limit", "-1", 422, "expected a whole number from 0 to 500"},
        {"limit", "2.5", 422, "expected a whole number"},
        {"limit", "x", 400, "limit is \\\"x\\\""},
        {"limit", "", 400, "expected a whole number"},
        {"limit", "0x10", 400, "expected a whole number"},
        {"limit", "nan", 400, "expected a whole number"},
        {"limit", "1e999", 400, "expected a whole number"},
        {"limit", "--1", 400, "expected a whole number"},
        {"class", "", 400, "class is \\\"\\\", expected a text"},
        {"weights", "{\"\":1}", 400, "no aspect is called \\\"\\\""},
        {"weights", "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1}", 400,
         "more than 4 weights"},
        {"weights", "shape", 400, "expected NAME=NUMBER"},
        {"weights", "{\"shape\":\"1\"}", 400, "expected a number"},
        {"weights", "{\"shape\":-1,\"colour\":2}", 422, "not all 0"},
        {"weights", "{}", 422, "not all 0"},
        {"weights", "{\"shape\":1e308,\"colour\":1e308}", 422, "not all 0"},
        {"crop", "0,0,1", 400, "crop is \\\"0,0,1\\\", expected {"},
        {"crop", "0,0,1,1,1", 400, "expected {"},
        {"crop", "a,b,c,d", 400, "expected {"},
        {"crop", "{\"x\":0,\"y\":0,\"w\":1,\"z\":1}", 400, "expected {"},
        {"crop", "0,0,0,1", 422, "\"code\":\"refused\""},
        {"crop", "0.5,0,0.6,1", 422, "\"code\":\"refused\""},
        {"crop", "-0.1,0,0.6,1", 422, "\"code\":\"refused\""},
        {"within_predicted", "yes", 400, "expected true or false"},
        {"colour", "red", 400, "unknown field \\\"colour\\\"; there are image"},
        {"class", "\xff\xfe", 400, "is not UTF-8"},
        {"item", "1163", 400, "found a photo and an item, expected either"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(search_with(cases[i].name, cases[i].value),
                         cases[i].status);
        says(cases[i].says);
    }
    assert_int_equal(t.fake.n_searches, 0);
}

static void bodies_that_hold_no_query_are_explained(void **state)
{
    (void)state;
    post("/v1/search", NULL);
    assert_int_equal(answer(), 400);
    says("found no photo and no item");
    assert_int_equal(search_json("{\"limit\":3"), 400);
    says("the body is not a JSON object");
    assert_int_equal(search_json(""), 400);
    assert_int_equal(search_json("[]"), 400);
    assert_int_equal(search_json("{\"image_base64\":\"a photo!\"}"), 400);
    says("image_base64: the text is not base64");
    assert_int_equal(search_json("{\"image_base64\":7}"), 400);
    assert_int_equal(search_json("{\"image_url\":\"x\"}"), 400);
    says("unknown field \\\"image_url\\\"");
    assert_int_equal(search_json("{\"limit\":true,\"item\":\"1\"}"), 400);
    says("limit is true");
    assert_int_equal(search_json("{\"weights\":3,\"item\":\"1\"}"), 400);
    says("weights is 3, expected an object");
    assert_int_equal(search_json("{\"crop\":true,\"item\":\"1\"}"), 400);
    post("/v1/search?limit=3", "application/json");
    set_body("{\"limit\":4,\"item\":\"1\"}");
    assert_int_equal(answer(), 400);
    says("field \\\"limit\\\" is there twice");
    post("/v1/search?limit=%4&item=1", NULL);
    assert_int_equal(answer(), 400);
    says("two hexadecimal digits");
    post("/v1/search?item=1&&=3", NULL);
    assert_int_equal(answer(), 400);
    says("unknown field \\\"\\\"");
    post("/v1/search", "multipart/form-data");
    add_part("image", "a photo");
    add_part_bytes("limit", "1\0002", 3);
    assert_int_equal(answer(), 400);
    says("holds a NUL");
    assert_int_equal(t.fake.n_searches, 0);
}

static void photos_that_are_too_large_are_refused(void **state)
{
    size_t size = SOSIE_PHOTO_MAX_BYTES + 1;
    char *photo = calloc(1, size);
    (void)state;
    post("/v1/search", "multipart/form-data");
    add_part_bytes("image", photo, size);
    assert_int_equal(answer(), 413);
    says("part \\\"image\\\" has 10485761 bytes, expected at most 10485760");
    post("/v1/search", "multipart/form-data");
    add_part_bytes("image", photo, size - 1);
    assert_int_equal(answer(), 200);
    free(photo);
}

static void each_status_of_the_engine_has_its_code(void **state)
{
    static const struct {
        enum sosie_status fails;
        unsigned status;
    } cases[] = {
        {SOSIE_NO_MEMORY, 503},   {SOSIE_NOT_FOUND, 404},
        {SOSIE_BAD_INPUT, 400},   {SOSIE_TOO_LARGE, 413},
        {SOSIE_UNSUPPORTED, 415}, {SOSIE_REFUSED, 422},
        {SOSIE_CONFLICT, 409},    {SOSIE_CORRUPT, 500},
        {SOSIE_IO, 500},          {SOSIE_UNAVAILABLE, 503},
        {SOSIE_CANCELLED, 503},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        t.fake.fails = cases[i].fails;
        assert_int_equal(process_image("{}"), cases[i].status);
        says(sosie_status_word(cases[i].fails));
        if (cases[i].status == 503)
            header_is("Retry-After", "1");
        /* What is inside the machine is for its owner. */
        assert_true((strstr(t.text, "/secret") == NULL) ==
                    (cases[i].status == 500));
    }
}

static void names_that_are_not_utf8_do_not_spoil_the_answer(void **state)
{
    (void)state;
    t.fake.odd_names = true;
    assert_int_equal(process_image("{\"output_limit\":1}"), 200);
    says("\"path\":\"caf?.jpg\"");
}

/* ---- photos, page, health ------------------------------------------------ */

static void a_photo_comes_with_its_kind_and_a_tag(void **state)
{
    (void)state;
    assert_int_equal(get("/static/img/a%2Fb/x/1%202.jpg"), 200);
    assert_memory_equal(t.text, fake_jpeg, sizeof(fake_jpeg));
    header_is("Content-Type", "image/jpeg");
    header_is("X-Content-Type-Options", "nosniff");
    assert_int_equal(sosie_http_header_find(&t.response, "ETag")[0], '"');
    begin(SOSIE_HTTP_GET, "/static/img/a%2Fb/x/1%202.jpg");
    t.request.if_none_match = "*";
    assert_int_equal(answer(), 304);
    assert_int_equal(t.response.size, 0);

    begin(SOSIE_HTTP_HEAD, "/static/img/a%2Fb/x/1%202.jpg");
    assert_int_equal(answer(), 200);
    assert_int_equal(t.response.size, sizeof(fake_jpeg));
    /* Decoded once, and only once. */
    assert_int_equal(get("/static/img/a%252Fb/x/1%202.jpg"), 404);
    assert_string_equal(t.fake.photo_class, "a%2Fb");
    assert_int_equal(get("/static/img/coat/1163.jpg"), 404);
    says("\"code\":\"not_found\"");
}

static void addresses_that_leave_the_photos_never_reach_the_engine(void **state)
{
    static const char *const targets[] = {
        "/static/img/",
        "/static/img/coat",
        "/static/img/coat/",
        "/static/img//1.jpg",
        "/static/img/../1.jpg",
        "/static/img/coat/../../etc/passwd",
        "/static/img/coat/%2e%2e/%2e%2e/etc/passwd",
        "/static/img/%2e%2e/1.jpg",
        "/static/img/..%2f..%2fetc/passwd",
        "/static/img/coat/%2Fetc%2Fpasswd",
        "/static/img/coat//etc/passwd",
        "/static/img/coat/a//b.jpg",
        "/static/img/coat/./b.jpg",
        "/static/img/coat/a%5C..%5Cb.jpg",
        "/static/img/coat/a\\b.jpg",
        "/static/img/coat/1.jpg%00.png",
        "/static/img/coat/%zz.jpg",
        "/static/img/coat/1.jpg%2",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        unsigned status = get(targets[i]);
        if (status != 400 && status != 404)
            fail_msg("%s: %u", targets[i], status);
        says("\"message\":\"");
    }
    assert_string_equal(t.fake.photo_path, "");
}

static void a_client_that_has_it_gets_304(void **state)
{
    (void)state;
    assert_int_equal(get("/"), 200);
    for (int i = 0; i < 4; i++) {
        static const char *const forms[] = {"%s", "W/%s", "\"x\", %s", "*"};
        const struct sosie_page_file *file = sosie_page_find("/");
        char tags[200];
        snprintf(tags, sizeof(tags), "%s", forms[i]);
        if (strstr(tags, "%s"))
            snprintf(tags, sizeof(tags), "%.*s%s",
                     (int)(strstr(forms[i], "%s") - forms[i]), forms[i],
                     file->etag);
        begin(SOSIE_HTTP_GET, "/");
        t.request.if_none_match = tags;
        assert_int_equal(answer(), 304);
        assert_int_equal(t.response.size, 0);
        header_is("ETag", file->etag);
    }
    begin(SOSIE_HTTP_GET, "/");
    t.request.if_none_match = "\"other\"";
    assert_int_equal(answer(), 200);
}

static void the_page_forbids_what_it_does_not_need(void **state)
{
    (void)state;
    assert_int_equal(get("/?from=here"), 200);
    header_is("Content-Security-Policy",
              "default-src 'self'; img-src 'self' blob: data:; object-src "
              "'none'; base-uri 'none'; frame-ancestors 'none'");
    header_is("X-Content-Type-Options", "nosniff");
    header_is("Referrer-Policy", "no-referrer");
    header_is("Cache-Control", "no-cache");
    assert_true(t.response.size > 0);
}

static void what_is_not_there_is_404_and_a_wrong_method_405(void **state)
{
    (void)state;
    assert_int_equal(get("/nothing/here"), 404);
    says("there is nothing at /nothing/here");
    begin(SOSIE_HTTP_POST, "/nothing/here");
    assert_int_equal(answer(), 404);
    assert_int_equal(get("/v1/search"), 405);
    header_is("Allow", "POST");
    says("\"code\":\"method_not_allowed\"");
    assert_int_equal(get("/process_image"), 405);
    assert_int_equal(get("/process_imagex"), 404);
    begin(SOSIE_HTTP_POST, "/healthz");
    assert_int_equal(answer(), 405);
    header_is("Allow", "GET, HEAD");
    begin(SOSIE_HTTP_OTHER_METHOD, "/static/img/a/b");
    assert_int_equal(answer(), 405);
    begin(SOSIE_HTTP_OPTIONS, "/v1/search");
    assert_int_equal(answer(), 405);
}

static void health_says_alive_and_readiness_counts(void **state)
{
    (void)state;
    assert_int_equal(get("/healthz"), 200);
    says("{\"status\":\"alive\"}");
    assert_int_equal(get("/readyz"), 200);
    says("{\"status\":\"ready\",\"items\":7,\"photos\":9");
    atomic_store(&t.app.stopping, true);
    assert_int_equal(get("/readyz"), 503);
    says("stopping");
    assert_int_equal(get("/healthz"), 200);
}

static void stats_say_what_hits_are_scored_by(void **state)
{
    (void)state;
    assert_int_equal(get("/v1/stats"), 200);
    assert_string_equal(
        t.text, "{\"items\":7,\"photos\":9,\"classes\":0,\"classes_by\":"
                "\"votes\",\"precision\":\"f32\","
                "\"aspects\":[{\"name\":\"shape\",\"dim\":256,\"weight\":1.0,"
                "\"degree\":6},"
                "{\"name\":\"colour\",\"dim\":64,\"weight\":0.5,"
                "\"degree\":1}]}");
}

static void other_sites_may_call_only_if_it_was_configured(void **state)
{
    (void)state;
    assert_int_equal(get("/healthz"), 200);
    assert_null(
        sosie_http_header_find(&t.response, "Access-Control-Allow-Origin"));
    t.app.cors_origin = "https://shop.example";
    assert_int_equal(get("/v1/search"),
                     405); /* errors too, or pages see none */
    header_is("Access-Control-Allow-Origin", "https://shop.example");
    header_is("Vary", "Origin");
    begin(SOSIE_HTTP_OPTIONS, "/v1/search");
    assert_int_equal(answer(), 204);
    header_is("Access-Control-Allow-Methods", "POST");
    header_is("Access-Control-Allow-Headers", "Content-Type, X-Request-Id");
}

/* ---- pieces -------------------------------------------------------------- */

static void request_ids_are_taken_only_when_harmless(void **state)
{
    char longest[66];
    (void)state;
    memset(longest, 'a', 65);
    longest[65] = '\0';
    begin(SOSIE_HTTP_GET, "/healthz");
    assert_int_equal(strlen(t.request.id), 16);
    assert_true(sosie_http_request_set_id(&t.request, "a\"b"));
    assert_true(sosie_http_request_set_id(&t.request, ""));
    assert_true(sosie_http_request_set_id(&t.request, longest));
    assert_true(sosie_http_request_set_id(&t.request, NULL));
    assert_int_equal(strlen(t.request.id), 16);
    assert_true(sosie_http_request_set_id(&t.request, longest + 1));
    assert_int_equal(strlen(t.request.id), 64);
    assert_true(sosie_http_request_set_id(&t.request, "Ab-9_.z"));
    assert_int_equal(answer(), 200);
    header_is("X-Request-Id", "Ab-9_.z");
}

static void bytes_grow_up_to_their_limit_and_not_one_further(void **state)
{
    struct sosie_http_bytes bytes = {0};
    struct sosie_error err;
    (void)state;
    for (int i = 0; i < 10; i++)
        check_ok(
            sosie_http_bytes_add(&bytes, "0123456789", 10, 100, "it", &err),
            &err);
    check_fails(sosie_http_bytes_add(&bytes, "x", 1, 100, "part \"a\"", &err),
                SOSIE_TOO_LARGE, &err, "part \"a\" has more than 100 bytes");
    check_ok(sosie_http_bytes_add(&bytes, NULL, 0, 100, "it", &err), &err);
    assert_int_equal(bytes.size, 100);
    assert_int_equal(strlen(bytes.data), 100);
    free(bytes.data);
}

static void a_body_has_at_most_eight_parts_and_none_twice(void **state)
{
    struct sosie_http_part *part;
    struct sosie_error err;
    (void)state;
    post("/v1/search", "multipart/form-data");
    for (char name[] = "a"; name[0] < 'i'; name[0]++)
        add_part(name, "x");
    check_fails(sosie_http_part_open(&t.request, "i", true, &part, &err),
                SOSIE_BAD_INPUT, &err, "more than 8 parts");
    post("/v1/search", "multipart/form-data");
    add_part("a", "x");
    check_ok(sosie_http_part_open(&t.request, "a", false, &part, &err), &err);
    check_fails(sosie_http_part_open(&t.request, "a", true, &part, &err),
                SOSIE_BAD_INPUT, &err, "part \"a\" is there twice");
}

static void base64_is_read_with_and_without_its_trimmings(void **state)
{
    static const struct {
        const char *text, *bytes;
    } cases[] = {
        {"", ""},
        {"YQ==", "a"},
        {"YQ", "a"},
        {"YWI=", "ab"},
        {"YWJj", "abc"},
        {"YW\r\nJj\n", "abc"},
        {"+/+/", "\xfb\xff\xbf"},
        {"YWJjZA==\n", "abcd"},
    };
    static const char *const bad[] = {
        "Y", "YWJjZ", "Y Q=", "YQ==YQ==", "Y*Jj", "=a", "-_-_"};
    unsigned char *bytes;
    size_t size;
    struct sosie_error err;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_ok(sosie_http_base64_decode(cases[i].text, strlen(cases[i].text),
                                          &bytes, &size, &err),
                 &err);
        assert_int_equal(size, strlen(cases[i].bytes));
        assert_memory_equal(bytes, cases[i].bytes, size);
        free(bytes);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check_fails(sosie_http_base64_decode(bad[i], strlen(bad[i]), &bytes,
                                             &size, &err),
                    SOSIE_BAD_INPUT, &err, "not base64");
}

static void a_long_body_is_refused_by_its_header_alone(void **state)
{
    const struct sosie_http_route *route;
    (void)state;
    post("/v1/search", "image/jpeg");
    route = sosie_http_route_find(&t.request);
    assert_false(sosie_http_refuse_early(&t.app, route, &t.request,
                                         SOSIE_PHOTO_MAX_BYTES, &t.response));
    assert_true(sosie_http_refuse_early(
        &t.app, route, &t.request, SOSIE_PHOTO_MAX_BYTES + 1, &t.response));
    assert_int_equal(t.response.status, 413);
    post("/v1/search", "multipart/form-data"); /* more than the photo */
    assert_false(sosie_http_refuse_early(
        &t.app, route, &t.request, SOSIE_PHOTO_MAX_BYTES + 1000, &t.response));
    begin(SOSIE_HTTP_GET, "/healthz");
    route = sosie_http_route_find(&t.request);
    assert_true(
        sosie_http_refuse_early(&t.app, route, &t.request, 1, &t.response));
    assert_int_equal(t.response.status, 413);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
    const struct CMUnitTest tests[] = {
        TEST(the_originals_client_gets_what_it_asks_for),
        TEST(settings_that_are_absent_are_12_and_on),
        TEST(bad_settings_are_named_with_what_was_expected),
        TEST(missing_and_empty_parts_are_named),
        TEST(a_search_answers_everything_that_is_documented),
        TEST(fields_may_be_parts_parameters_or_members),
        TEST(bad_fields_are_named_with_what_was_expected),
        TEST(bodies_that_hold_no_query_are_explained),
        TEST(photos_that_are_too_large_are_refused),
        TEST(each_status_of_the_engine_has_its_code),
        TEST(names_that_are_not_utf8_do_not_spoil_the_answer),
        TEST(a_photo_comes_with_its_kind_and_a_tag),
        TEST(addresses_that_leave_the_photos_never_reach_the_engine),
        TEST(a_client_that_has_it_gets_304),
        TEST(the_page_forbids_what_it_does_not_need),
        TEST(what_is_not_there_is_404_and_a_wrong_method_405),
        TEST(health_says_alive_and_readiness_counts),
        TEST(stats_say_what_hits_are_scored_by),
        TEST(other_sites_may_call_only_if_it_was_configured),
        TEST(request_ids_are_taken_only_when_harmless),
        TEST(bytes_grow_up_to_their_limit_and_not_one_further),
        TEST(a_body_has_at_most_eight_parts_and_none_twice),
        TEST(base64_is_read_with_and_without_its_trimmings),
        TEST(a_long_body_is_refused_by_its_header_alone),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
