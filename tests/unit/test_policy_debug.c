/* Types that keep objects, interned text, strings and lists on a debug heap (this file is compiled with MIDDEN_DEBUG), also one that moves
 * everything at each safepoint. A report fails the test. */
#include "reports.h"

#include "midden/kinds.h"
#include "midden/policy.h"

static mid_policy_stats shown(struct unit *u, mid_type type)
{
    mid_policy_stats stats;
    ok(mid_policy_stats_get(u->heap, type, &stats, sizeof stats));
    return stats;
}

static int payloads;

static void payload_free(void *payload, void *context)
{
    (void)payload;
    (void)context;
    payloads--;
}

struct buffer {
    uint64_t number;
    void *data;
};

/* A handle that is stale is to be told: so nothing that was used is kept, but what was made ahead is there. */
TEST(nothing_used_is_kept)
{
    struct unit u;
    debug_open(&u, "quarantine=4,debug-frames=2");
    mid_type type = unit_type(u.heap, (mid_type_desc){.name = "buffer", .size = sizeof(struct buffer), .payload_free = payload_free,
                                                      .payload_offset = offsetof(struct buffer, data), .keep = 8});
    mid_type ahead = unit_type(u.heap, (mid_type_desc){.name = "ahead", .size = 24, .ahead = 6});
    mid_handle made[8];
    assert_int_equal(shown(&u, ahead).kept, 6);
    payloads = 8;
    for (unsigned i = 0; i < 8; i++) {
        made[i] = unit_new(&u, type);
        ((struct buffer *)mid_get(u.thread, made[i]))->data = &payloads;
    }
    for (unsigned i = 0; i < 8; i++)
        mid_release(u.thread, made[i]);
    unit_drain(&u);
    assert_int_equal(payloads, 0);
    assert_int_equal(shown(&u, type).kept, 0);
    for (unsigned i = 0; i < 8; i++)
        made[i] = unit_new(&u, ahead);
    assert_int_equal(shown(&u, ahead).reused, 6);
    for (unsigned i = 0; i < 8; i++)
        mid_release(u.thread, made[i]);
    unit_drain(&u);
    assert_int_equal(shown(&u, ahead).kept, 0);
    unit_check(&u);
    debug_close(&u);
}

static mid_handle text(struct unit *u, const mid_kinds *kinds, unsigned number, bool intern)
{
    char content[64];
    mid_handle made;
    size_t bytes = (size_t)snprintf(content, sizeof content, "word %u %.*s", number, (int)(number % 40), "and more, and more, and more, and more.");
    ok((intern ? mid_text_intern : mid_text_new)(u->thread, kinds, content, bytes, &made));
    return made;
}

static void interned(const char *options)
{
    enum { WORDS = 500 };
    struct unit u;
    mid_kinds kinds;
    mid_handle word[WORDS], again;
    debug_open(&u, options);
    ok(mid_kinds_open(u.heap, &kinds));
    for (unsigned i = 0; i < WORDS; i++)
        word[i] = text(&u, &kinds, i, true);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = round; i < WORDS; i += 3) {
            mid_release(u.thread, word[i]);
            if (i % 50 == 0)
                ok(mid_safepoint(u.thread));
            word[i] = text(&u, &kinds, i, true);
            again = text(&u, &kinds, i, true);
            assert_int_equal(again, word[i]);
            mid_release(u.thread, again);
        }
        unit_check(&u);
        ok(mid_compact(u.thread, round == 0 ? MID_COMPACT_PLAIN : MID_COMPACT_DEEP, 0, NULL));
    }
    for (unsigned i = 0; i < WORDS; i++)
        mid_release(u.thread, word[i]);
    unit_drain(&u);
    assert_int_equal(shown(&u, kinds.text).interned, 0);
    debug_close(&u);
}

TEST(interned_text_is_found_and_dies) { interned("quarantine=50"); }
TEST(interned_text_that_moves) { interned("debug-move=1"); }

/* What strings and lists do, while everything moves. */
TEST(strings_and_lists_that_move)
{
    enum { VALUES = 300 };
    struct unit u;
    mid_kinds kinds;
    mid_handle list, all, taken;
    debug_open(&u, "debug-move=1");
    ok(mid_kinds_open(u.heap, &kinds));
    ok(mid_list_new(u.thread, &kinds, 0, &list));
    ok(mid_text_new(u.thread, &kinds, "", 0, &all));
    for (unsigned i = 0; i < VALUES; i++) {
        mid_handle one = text(&u, &kinds, i, false);
        ok(mid_string_append(u.thread, &kinds, &all, one));
        ok(mid_safepoint(u.thread));
        ok(mid_list_insert(u.thread, &kinds, list, i % 7 == 0 ? 0 : i, one));
        mid_release(u.thread, one);
        ok(mid_safepoint(u.thread));
    }
    ok(mid_list_sort(u.thread, &kinds, list, NULL, NULL));
    ok(mid_safepoint(u.thread));
    for (unsigned i = 0; i < VALUES; i++) {
        mid_handle one = text(&u, &kinds, i, false);
        size_t at, index;
        int order = 0;
        ok(mid_string_find(u.thread, &kinds, all, one, 0, &at));
        for (index = 0; index + 1 < VALUES - i; index += 29) {
            mid_handle a, b;
            ok(mid_list_get(u.thread, &kinds, list, index, &a));
            ok(mid_list_get(u.thread, &kinds, list, index + 1, &b));
            ok(mid_kind_compare(u.thread, &kinds, a, b, &order));
            assert_true(order <= 0);
            mid_release(u.thread, a);
            mid_release(u.thread, b);
        }
        mid_release(u.thread, one);
        ok(mid_list_pop(u.thread, &kinds, list, &taken));
        mid_release(u.thread, taken);
        ok(mid_safepoint(u.thread));
    }
    unit_check(&u);
    mid_release(u.thread, all);
    mid_release(u.thread, list);
    unit_drain(&u);
    assert_int_equal(unit_live(&u), 0);
    debug_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_used_is_kept),
        cmocka_unit_test(interned_text_is_found_and_dies),
        cmocka_unit_test(interned_text_that_moves),
        cmocka_unit_test(strings_and_lists_that_move),
    };
    return UNIT_RUN(tests);
}
