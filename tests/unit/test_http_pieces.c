/* Long answers by HTTP go in pieces: between two of them the loop has its other turns, a client that does not read holds one of them and
 * no more, and who goes in the middle leaves nothing behind. On a base of the program's, whose iterations can be counted. */
#include "client.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <sys/socket.h>

#include "midden/pressure.h"

#define ENTRIES 400u
#define UNSENT_MOST (64u << 10) /* a piece, its last step, and the connection */

/* --- what libevent and jansson have ---------------------------------------------------------------------------------- */

static size_t held;      /* bytes that libevent has */
static long left = -1;   /* requests of jansson's that are still granted; -1: all */

static void *event_more(void *old, size_t size)
{
    size_t *made = old == NULL ? NULL : (size_t *)old - 2;
    held -= made == NULL ? 0 : *made;
    made = realloc(made, size + 16);
    assert_non_null(made);
    *made = size;
    held += size;
    return made + 2;
}

static void *event_new_one(size_t size)
{
    return event_more(NULL, size);
}

static void event_no_more(void *old)
{
    held -= ((size_t *)old)[-2];
    free((size_t *)old - 2);
}

static void *json_new_one(size_t size)
{
    if (left == 0)
        return NULL;
    left -= left > 0;
    return malloc(size);
}

/* --- a heap of which there is much to say ---------------------------------------------------------------------------- */

struct talker {
    struct unit u;
    char folder[80], path[100];
    struct event_base *base;
    mid_daemon *daemon;
};

static void turn(struct talker *t)
{
    event_base_loop(t->base, EVLOOP_ONCE | EVLOOP_NONBLOCK); /* one iteration */
}

/* Levels by turns fill the log, pools of 16 KiB the map. */
static mid_handle talker_open(struct talker *t)
{
    unit_open(&t->u, "log-entries=4096,pool-size=16K,idle=3600s,frag-start=1000,decay=3600s,growth-min=1G,collect-stop=60s,pressure=off");
    t->base = event_base_new();
    ok(mid_daemon_attach(t->u.heap, t->base, t->u.thread, &t->daemon));
    make_folder(t->folder, sizeof t->folder);
    snprintf(t->path, sizeof t->path, "%s/socket", t->folder);
    ok(mid_http_listen(t->daemon, t->path, NULL)); /* where what is sent is there at once, and the kernel keeps little */
    mid_handle kept = unit_array(&t->u, t->u.vec, 64000);
    for (size_t i = 0; i < 64000; i++)
        mid_give(t->u.thread, kept, ITEM(i), unit_array(&t->u, t->u.bytes, 2000));
    for (unsigned i = 0; i < ENTRIES; i++) {
        mid_decision newest = {0};
        const char *wanted = i % 2 == 0 ? "calm -> trim" : "trim -> calm";
        ok(mid_pressure(t->u.heap, i % 2 == 0 ? MID_PRESSURE_TRIM : MID_PRESSURE_CALM));
        while (mid_daemon_log(t->daemon, &newest, 1) == 0 || strcmp(newest.note, wanted) != 0)
            event_base_loop(t->base, EVLOOP_ONCE);
    }
    return kept;
}

static void talker_close(struct talker *t, mid_handle kept)
{
    ok(mid_daemon_stop(t->daemon));
    rmdir(t->folder);
    event_base_free(t->base);
    mid_release(t->u.thread, kept);
    unit_close(&t->u);
}

/* --- answers --------------------------------------------------------------------------------------------------------- */

struct answer {
    char *text;
    size_t length, room;
    size_t most; /* bytes that were written and not yet sent, at most */
    bool over;
};

static void take(int fd, struct answer *a)
{
    for (ssize_t got = 1; got > 0 && !a->over;) {
        if (a->room - a->length < 1 << 16)
            a->text = realloc(a->text, a->room = 2 * a->room + (1 << 17));
        got = recv(fd, a->text + a->length, a->room - a->length - 1, MSG_DONTWAIT);
        a->length += got > 0 ? (size_t)got : 0;
        a->over = got == 0 || (got < 0 && errno != EAGAIN);
    }
    a->text[a->length] = 0;
}

static void ask(struct talker *t, const char *request, struct answer *a)
{
    int fd = dial_path(t->path);
    size_t before = held;
    *a = (struct answer){0};
    assert_true(say(fd, request));
    for (unsigned turns = 0; !a->over; turns++) {
        assert_true(turns < 10000000);
        turn(t);
        take(fd, a);
        a->most = held > before + a->most ? held - before : a->most;
    }
    close(fd);
}

static json_t *whole(struct answer *a)
{
    char *body = strstr(a->text, "\r\n\r\n");
    assert_non_null(body);
    bool chunked = strstr(a->text, "Transfer-Encoding: chunked\r\n") != NULL && strstr(a->text, "Transfer-Encoding: chunked\r\n") < body;
    if (chunked && !dechunk(body + 4))
        return NULL;
    return json_loads(body + 4, 0, NULL);
}

TEST(long_answers_come_in_pieces)
{
    static const char *const paths[] = {GET("/heap.json"), GET("/log.json"), GET("/trace.json")};
    struct talker t;
    mid_handle kept = talker_open(&t);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct answer a;
        ask(&t, paths[i], &a);
        assert_int_equal(status_of(a.text), 200);
        json_t *root = whole(&a);
        assert_true(json_is_object(root));
        assert_true(a.length > UNSENT_MOST + 20000);
        if (a.most > UNSENT_MOST)
            fail_msg("%s: %zu bytes unsent", paths[i], a.most);
        if (i == 1) {
            json_t *all = json_object_get(root, "decisions");
            assert_true(json_array_size(all) >= ENTRIES);
            for (size_t n = 1; n < json_array_size(all); n++)
                assert_true(number(json_array_get(all, n), "at_micros") >= number(json_array_get(all, n - 1), "at_micros"));
        }
        json_decref(root);
        free(a.text);
    }
    talker_close(&t, kept);
}

/* By the older protocol the end of the connection is the end of the answer; of HEAD there is only the head. */
TEST(older_clients_and_heads)
{
    struct talker t;
    struct answer a;
    mid_handle kept = talker_open(&t);
    ask(&t, "GET /log.json HTTP/1.0\r\nHost: localhost\r\n\r\n", &a);
    assert_null(strstr(a.text, "chunked"));
    json_t *root = whole(&a);
    assert_true(json_array_size(json_object_get(root, "decisions")) >= ENTRIES);
    json_decref(root);
    free(a.text);
    ask(&t, "HEAD /log.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", &a);
    assert_int_equal(status_of(a.text), 200);
    assert_string_equal(strstr(a.text, "\r\n\r\n"), "\r\n\r\n");
    free(a.text);
    talker_close(&t, kept);
}

/* Several requests behind each other on one connection are answered in order, each whole. */
TEST(one_behind_the_other)
{
    static const char again[] = "GET /log.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct talker t;
    struct answer a;
    char request[400];
    mid_handle kept = talker_open(&t);
    snprintf(request, sizeof request, "%s%s%s", again, again, GET("/metrics"));
    ask(&t, request, &a);
    unsigned answers = 0;
    for (char *at = a.text; (at = strstr(at, "HTTP/1.1 200 OK\r\n")) != NULL; at++)
        answers++;
    assert_int_equal(answers, 3);
    assert_non_null(strstr(a.text, "midden_live_objects"));
    free(a.text);
    talker_close(&t, kept);
}

TEST(who_does_not_read_holds_one_piece)
{
    struct talker t;
    int deaf[4];
    mid_handle kept = talker_open(&t);
    for (int i = 0; i < 20; i++)
        turn(&t);
    size_t before = held;
    for (int i = 0; i < 4; i++) {
        deaf[i] = dial_path(t.path);
        assert_true(say(deaf[i], GET("/log.json")));
    }
    for (int i = 0; i < 300; i++) {
        turn(&t);
        assert_true(held < before + 4 * (size_t)(128 << 10));
    }
    for (int i = 0; i < 2; i++) /* two go, the daemon stops under the others */
        close(deaf[i]);
    for (int i = 0; i < 20; i++)
        turn(&t);
    talker_close(&t, kept);
    for (int i = 2; i < 4; i++)
        close(deaf[i]);
    assert_true(held < 4096);
}

/* An answer without memory is none, or is cut short: never one that is whole and wrong. */
TEST(no_memory_in_the_middle)
{
    struct talker t;
    mid_handle kept = talker_open(&t);
    unsigned refused = 0, cut = 0, good = 0;
    for (long grant = 0; good == 0; grant = grant < 200 ? grant + 7 : grant * 2) {
        struct answer a;
        assert_true(grant < 100000000);
        left = grant;
        ask(&t, GET("/log.json"), &a);
        left = -1;
        if (status_of(a.text) == 503) {
            refused++;
        } else {
            json_t *root = whole(&a);
            assert_int_equal(status_of(a.text), 200);
            assert_true(root == NULL || json_array_size(json_object_get(root, "decisions")) >= ENTRIES);
            *(root == NULL ? &cut : &good) += 1;
            json_decref(root);
        }
        free(a.text);
    }
    assert_true(refused > 0 && cut > 0);
    talker_close(&t, kept);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    event_set_mem_functions(event_new_one, event_more, event_no_more);
    json_set_alloc_funcs(json_new_one, free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_answers_come_in_pieces),
        cmocka_unit_test(older_clients_and_heads),
        cmocka_unit_test(one_behind_the_other),
        cmocka_unit_test(who_does_not_read_holds_one_piece),
        cmocka_unit_test(no_memory_in_the_middle),
    };
    unsetenv("MIDDEN_OPTIONS");
    return UNIT_RUN(tests);
}
