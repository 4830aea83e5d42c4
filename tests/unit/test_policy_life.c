/* What types keep and what is interned, through what befalls a heap: two that empty it at once, a daemon's trimming,
 * tracing, weak references, freezing. */
#include "deep.h"
#include "peer.h"

#include "gc/service.h"
#include "midden/freeze.h"
#include "midden/kinds.h"
#include "midden/policy.h"
#include "midden/trace.h"

static mid_policy_stats shown(struct unit *u, mid_type type)
{
    mid_policy_stats stats;
    ok(mid_policy_stats_get(u->heap, type, &stats, sizeof stats));
    return stats;
}

/* --- objects that are kept ---------------------------------------------------------------------------------------------------- */

struct buffer {
    uint64_t number;
    void *data;
};

static uint32_t waits_in, goes_on; /* atomic */
static int payloads;

static void plain_free(void *payload, void *context)
{
    (void)payload;
    (void)context;
    payloads--;
}

/* The first to come stays until it is told. */
static void slow_free(void *payload, void *context)
{
    (void)payload;
    (void)context;
    if (__atomic_exchange_n(&waits_in, 1, __ATOMIC_ACQ_REL) == 0)
        while (__atomic_load_n(&goes_on, __ATOMIC_ACQUIRE) == 0)
            sched_yield();
}

static mid_type buffers(struct unit *u, void (*gone)(void *, void *), uint32_t keep)
{
    return unit_type(u->heap, (mid_type_desc){.name = "buffer", .size = sizeof(struct buffer), .payload_free = gone,
                                              .payload_offset = offsetof(struct buffer, data), .keep = keep});
}

static void keep_some(struct unit *u, mid_type type, unsigned count)
{
    mid_handle made[16];
    for (unsigned i = 0; i < count; i++) {
        made[i] = unit_new(u, type);
        struct buffer *b = mid_get(u->thread, made[i]);
        payloads += b->data == NULL;
        b->data = &payloads;
        b->number = i;
    }
    for (unsigned i = 0; i < count; i++)
        mid_release(u->thread, made[i]);
}

static void peer_trims(struct peer *peer)
{
    peer->status = mid_trim(peer->thread, 0, NULL);
}

/* Each takes the other's for its own affair, not for a heap that closes: afterwards it keeps as before. */
TEST(two_empty_it_at_once)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = buffers(&u, slow_free, 8);
    keep_some(&u, type, 8);
    assert_int_equal(shown(&u, type).kept, 8);
    waits_in = goes_on = 0;
    struct peer *other = peer_new(&u);
    peer_begin(other, peer_trims);
    while (__atomic_load_n(&waits_in, __ATOMIC_ACQUIRE) == 0)
        sched_yield();
    keep_some(&u, type, 2); /* while one empties it, what dies is not kept */
    ok(mid_trim(u.thread, 0, NULL));
    assert_int_equal(shown(&u, type).kept, 0);
    __atomic_store_n(&goes_on, 1, __ATOMIC_RELEASE);
    peer_wait(other);
    assert_int_equal(other->status, MID_OK);
    peer_end(other);
    keep_some(&u, type, 5);
    assert_int_equal(shown(&u, type).kept, 5);
    unit_check(&u);
    unit_close(&u);
}

TEST(a_daemon_trims_what_is_kept)
{
    struct unit u;
    uint64_t returned;
    unit_open(&u, "");
    mid_type type = buffers(&u, plain_free, 12);
    payloads = 0;
    keep_some(&u, type, 12);
    assert_int_equal(payloads, 12);
    ok(mid_service_stop(u.heap, u.thread, 1000000, NULL));
    ok(mid_service_trim(u.heap, 0, UINT64_MAX, &returned)); /* neither idle nor short: it stays */
    mid_service_resume(u.heap);
    assert_int_equal(shown(&u, type).kept, 12);
    ok(mid_service_stop(u.heap, u.thread, 1000000, NULL));
    ok(mid_service_trim(u.heap, 0, 0, &returned));
    mid_service_resume(u.heap);
    unit_drain(&u);
    assert_int_equal(shown(&u, type).kept, 0);
    assert_int_equal(shown(&u, type).emptied, 12);
    assert_int_equal(payloads, 0);
    unit_check(&u);
    keep_some(&u, type, 3);
    assert_int_equal(shown(&u, type).kept, 3);
    unit_close(&u);
    assert_int_equal(payloads, 0);
}

/* --- what is interned --------------------------------------------------------------------------------------------------------- */

enum { WORDS = 700 };

struct texts {
    struct unit u;
    mid_kinds kinds;
    mid_handle word[WORDS];
};

static mid_handle intern(struct texts *t, unsigned number)
{
    char content[24];
    mid_handle found;
    ok(mid_text_intern(t->u.thread, &t->kinds, content, (size_t)snprintf(content, sizeof content, "word %u", number), &found));
    return found;
}

static void begin(struct texts *t, const char *options)
{
    memset(t, 0, sizeof *t);
    unit_open(&t->u, options);
    ok(mid_kinds_open(t->u.heap, &t->kinds));
}

static void take(struct texts *t)
{
    for (unsigned i = 0; i < WORDS; i++)
        t->word[i] = intern(t, i);
}

/* Each is found, and is the one that it was. */
static void all_there(struct texts *t)
{
    unit_check(&t->u);
    for (unsigned i = 0; i < WORDS; i++) {
        mid_handle again = intern(t, i);
        assert_int_equal(again, t->word[i]);
        mid_release(t->u.thread, again);
    }
}

static void finish(struct texts *t)
{
    for (unsigned i = 0; i < WORDS; i++) {
        mid_release(t->u.thread, t->word[i]);
        if (i % 100 == 0)
            unit_check(&t->u);
    }
    unit_drain(&t->u);
    assert_int_equal(shown(&t->u, t->kinds.text).interned, 0);
    ok(mid_trim(t->u.thread, 0, NULL));
    assert_int_equal(shown(&t->u, t->kinds.text).table_bytes, 0);
    unit_close(&t->u);
}

TEST(traced_and_not_any_more)
{
    struct texts t;
    for (uint64_t sample = 0; sample <= 512; sample += 512) {
        mid_trace_options options = {.struct_size = sizeof options, .frames = 3, .sample = sample};
        begin(&t, "");
        ok(mid_trace_start(t.u.heap, &options));
        take(&t);
        all_there(&t);
        ok(mid_trace_stop(t.u.heap)); /* the flag is the table's, too */
        all_there(&t);
        ok(mid_trace_start(t.u.heap, &options));
        for (unsigned i = 0; i < WORDS; i += 3) {
            mid_release(t.u.thread, t.word[i]);
            t.word[i] = intern(&t, i);
        }
        all_there(&t);
        finish(&t);
    }
}

TEST(weak_references_come_and_go)
{
    struct texts t;
    mid_weak weak[WORDS];
    begin(&t, "");
    take(&t);
    for (unsigned i = 0; i < WORDS; i++)
        ok(mid_weak_new(t.u.thread, t.word[i], &weak[i]));
    for (unsigned i = 0; i < WORDS; i += 2)
        ok(mid_weak_drop(t.u.thread, weak[i])); /* the flag stays */
    all_there(&t);
    for (unsigned i = 1; i < WORDS; i += 2) {
        mid_release(t.u.thread, t.word[i]);
        assert_int_equal(mid_weak_get(t.u.thread, weak[i]), 0);
        ok(mid_weak_drop(t.u.thread, weak[i]));
        t.word[i] = intern(&t, i);
    }
    all_there(&t);
    finish(&t);
}

/* Some while it is frozen; some of those that were frozen die in it, and are not found after. */
TEST(frozen_they_are_found_and_die_when_they_thaw)
{
    struct texts t;
    mid_handle made, same;
    begin(&t, "");
    take(&t);
    ok(mid_text_new(t.u.thread, &t.kinds, "word 0 more", 11, &made)); /* not interned yet */
    ok(mid_freeze(t.u.thread));
    all_there(&t);
    ok(mid_string_intern(t.u.thread, &t.kinds, made, &same));
    assert_int_equal(same, made);
    for (unsigned i = 0; i < WORDS; i += 4)
        mid_release(t.u.thread, t.word[i]);
    for (unsigned i = WORDS; i < WORDS + 50; i++)
        mid_release(t.u.thread, intern(&t, i));
    unit_check(&t.u);
    ok(mid_unfreeze(t.u.thread));
    unit_drain(&t.u);
    unit_check(&t.u);
    assert_int_equal(shown(&t.u, t.kinds.text).interned, WORDS - WORDS / 4 + 1);
    ok(mid_text_intern(t.u.thread, &t.kinds, "word 0 more", 11, &same));
    assert_int_equal(same, made);
    mid_release(t.u.thread, same);
    mid_release(t.u.thread, made);
    for (unsigned i = 0; i < WORDS; i += 4)
        t.word[i] = intern(&t, i);
    all_there(&t);
    finish(&t);
}

/* At a limit a full table refuses, and takes them again when there is room. */
TEST(at_the_limit_what_is_there_stays)
{
    struct texts t;
    begin(&t, "heap-limit=2M");
    take(&t);
    mid_handle held = 0, found;
    mid_status status = MID_OK;
    for (unsigned i = WORDS; status == MID_OK; i++) {
        char content[24];
        mid_handle holder;
        status = mid_text_intern(t.u.thread, &t.kinds, content, (size_t)snprintf(content, sizeof content, "word %u", i), &found);
        if (status != MID_OK)
            break;
        status = mid_new(t.u.thread, t.u.node, &holder);
        if (status != MID_OK) {
            mid_release(t.u.thread, found);
            break;
        }
        mid_give(t.u.thread, holder, LEFT, found);
        mid_give(t.u.thread, holder, RIGHT, held);
        held = holder;
    }
    assert_int_equal(status, MID_ELIMIT);
    all_there(&t);
    mid_release(t.u.thread, held);
    unit_drain(&t.u);
    assert_int_equal(shown(&t.u, t.kinds.text).interned, WORDS);
    uint64_t before = shown(&t.u, t.kinds.text).table_bytes;
    ok(mid_trim(t.u.thread, 0, NULL));
    assert_true(shown(&t.u, t.kinds.text).table_bytes < before);
    all_there(&t);
    finish(&t);
}

static uint32_t number_hash(const void *object, void *context)
{
    (void)context;
    return (uint32_t)(*(const uint64_t *)object % 5);
}

static int number_equal(const void *a, const void *b, void *context)
{
    (void)context;
    return *(const uint64_t *)a == *(const uint64_t *)b;
}

TEST(a_daemon_trims_what_is_cached)
{
    struct unit u;
    uint64_t returned;
    unit_open(&u, "");
    mid_type type = unit_type(u.heap, (mid_type_desc){.name = "number", .size = 8, .flags = MID_INTERNED, .cached = 20, .hash = number_hash, .equal = number_equal});
    for (uint64_t i = 0; i < 30; i++) {
        mid_handle made = unit_new(&u, type), one;
        *(uint64_t *)mid_get(u.thread, made) = i;
        ok(mid_intern(u.thread, made, &one));
        mid_release(u.thread, one);
    }
    assert_int_equal(shown(&u, type).cached, 20);
    ok(mid_service_stop(u.heap, u.thread, 1000000, NULL));
    ok(mid_service_trim(u.heap, 0, 0, &returned));
    mid_service_resume(u.heap);
    unit_drain(&u);
    assert_int_equal(shown(&u, type).cached, 0);
    assert_int_equal(shown(&u, type).interned, 0);
    unit_check(&u);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_empty_it_at_once),
        cmocka_unit_test(a_daemon_trims_what_is_kept),
        cmocka_unit_test(traced_and_not_any_more),
        cmocka_unit_test(weak_references_come_and_go),
        cmocka_unit_test(frozen_they_are_found_and_die_when_they_thaw),
        cmocka_unit_test(at_the_limit_what_is_there_stays),
        cmocka_unit_test(a_daemon_trims_what_is_cached),
    };
    return UNIT_RUN(tests);
}
