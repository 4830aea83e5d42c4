/* Pins for long: what is pinned so comes together first, so that it holds few pools. Pins in general: test_compact.c. */
#include <stdbool.h>

#include "peer.h"

struct many {
    struct unit u;
    size_t count;
    mid_handle *object;
    void **address; /* of what is pinned */
    mid_type type;
};

/* Objects of 1 KiB, each with its number at both ends. */
enum { BYTES = 1024, LAST = BYTES / 8 - 1, EACH = 50 };

static void many_open(struct many *m, size_t count)
{
    memset(m, 0, sizeof *m);
    unit_open(&m->u, "");
    m->type = unit_plain_type(m->u.heap, "kilobyte", BYTES);
    m->count = count;
    m->object = calloc(count, sizeof *m->object);
    m->address = calloc(count, sizeof *m->address);
    assert_true(m->object != NULL && m->address != NULL);
    for (size_t i = 0; i < count; i++) {
        m->object[i] = unit_new(&m->u, m->type);
        uint64_t *words = mid_get(m->u.thread, m->object[i]);
        words[0] = words[LAST] = i;
    }
}

static void many_drop(struct many *m, size_t i)
{
    mid_release(m->u.thread, m->object[i]);
    m->object[i] = 0;
    m->address[i] = NULL;
}

static void many_verify(struct many *m)
{
    size_t wrong = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (m->object[i] == 0)
            continue;
        const uint64_t *words = mid_get(m->u.thread, m->object[i]);
        wrong += words[0] != i || words[LAST] != i || (m->address[i] != NULL && m->address[i] != words);
    }
    assert_int_equal(wrong, 0);
    unit_check(&m->u);
}

static void many_close(struct many *m)
{
    many_verify(m);
    for (size_t i = 0; i < m->count; i++)
        mid_release(m->u.thread, m->object[i]);
    free(m->object);
    free(m->address);
    unit_close(&m->u);
}

static mid_class_stats class_stats(struct many *m)
{
    mid_class_stats stats;
    for (unsigned i = 0; mid_stats_class(m->u.heap, i, &stats) == MID_OK; i++)
        if (stats.slot_size == BYTES)
            return stats;
    fail();
    return stats;
}

typedef mid_status pin_call(mid_thread *thread, mid_handle object, void **address);

static void pin_each(struct many *m, pin_call *pin, size_t first, size_t step)
{
    for (size_t i = first; i < m->count; i += step) {
        ok(pin(m->u.thread, m->object[i], &m->address[i]));
        assert_ptr_equal(m->address[i], mid_get(m->u.thread, m->object[i]));
    }
}

/* Pools of the class after every EACHth object was pinned, the others dropped, and a full pass. */
static mid_class_stats pinned_among_garbage(pin_call *pin, mid_compact_result *result)
{
    struct many m;
    many_open(&m, unit_scale(20000) + 40 * EACH);
    pin_each(&m, pin, 0, EACH);
    many_verify(&m);
    for (size_t i = 0; i < m.count; i++)
        if (i % EACH != 0)
            many_drop(&m, i);
    ok(mid_compact(m.u.thread, MID_COMPACT_PLAIN, 0, result));
    mid_class_stats stats = class_stats(&m);
    many_close(&m);
    return stats;
}

TEST(they_hold_no_more_pools_than_they_fill)
{
    mid_compact_result result;
    mid_class_stats brief = pinned_among_garbage(mid_pin, &result);
    assert_true(brief.pools > 4 * brief.optimal_pools && result.pools_pinned != 0);
    mid_class_stats stats = pinned_among_garbage(mid_pin_long, &result);
    assert_int_equal(stats.pools, stats.optimal_pools);
    assert_int_equal(result.pools_pinned, 0);
}

TEST(a_full_pool_makes_room_for_them)
{
    struct many m;
    many_open(&m, unit_scale(10000) + 20 * EACH);
    ok(mid_compact(m.u.thread, MID_COMPACT_PLAIN, 0, NULL)); /* no pool but the last has a free slot, no cache has any */
    uint64_t live = unit_live(&m.u);
    pin_each(&m, mid_pin_long, 7, EACH);
    many_verify(&m);
    assert_int_equal(unit_live(&m.u), live);
    uint64_t pools[64];
    size_t count = 0, pinned = 0;
    for (size_t i = 7; i < m.count; i += EACH, pinned++) {
        size_t n = 0;
        while (n < count && pools[n] != (uintptr_t)m.address[i] >> 16)
            n++;
        assert_true(n < 64);
        pools[n] = (uintptr_t)m.address[i] >> 16;
        count += n == count;
    }
    uint32_t slots = class_stats(&m).slots_per_pool;
    assert_int_equal(count, (pinned + slots - 1) / slots);
    many_close(&m);
}

TEST(they_nest_and_end_like_others)
{
    struct many m;
    void *at, *again;
    many_open(&m, 4 * EACH);
    ok(mid_pin(m.u.thread, m.object[9], &at));
    ok(mid_pin_long(m.u.thread, m.object[9], &again)); /* pinned already: it stays */
    assert_ptr_equal(at, again);
    ok(mid_unpin(m.u.thread, m.object[9]));
    ok(mid_unpin(m.u.thread, m.object[9]));
    expect(MID_EPINNED, mid_unpin(m.u.thread, m.object[9]));
    ok(mid_pin_long(m.u.thread, m.object[8], &at));
    ok(mid_pin(m.u.thread, m.object[8], &again));
    ok(mid_pin_long(m.u.thread, m.object[8], NULL));
    assert_ptr_equal(at, again);
    unit_check(&m.u);
    assert_int_equal(unit_stats(&m.u).pinned_objects, 1);
    for (int n = 0; n < 3; n++)
        ok(mid_unpin(m.u.thread, m.object[8]));
    expect(MID_EPINNED, mid_unpin(m.u.thread, m.object[8]));
    ok(mid_pin_long(m.u.thread, m.object[7], NULL));
    many_drop(&m, 7); /* dies pinned */
    unit_check(&m.u);
    assert_int_equal(unit_stats(&m.u).pinned_objects, 0);
    pin_each(&m, mid_pin_long, 10, 3); /* where the company has gone */
    many_close(&m);
}

TEST(large_blocks_stay)
{
    struct unit u;
    static const uint32_t sizes[] = {100000, 3000000};
    unit_open(&u, "");
    for (size_t i = 0; i < 2; i++) {
        mid_handle block = unit_array(&u, u.bytes, sizes[i]);
        void *at = mid_get(u.thread, block), *pinned;
        ok(mid_pin_long(u.thread, block, &pinned));
        assert_ptr_equal(at, pinned);
        ok(mid_unpin(u.thread, block));
        mid_release(u.thread, block);
    }
    unit_close(&u);
}

static void poll(struct peer *peer)
{
    while (peer_goes_on(peer))
        mid_safepoint(peer->thread);
}

/* The peer has caches and a pool of its own in which objects, and free slots, are exchanged. */
static void fill(struct peer *peer)
{
    for (uint64_t i = 0; i < peer->number; i++) {
        mid_handle made;
        peer->wrong += mid_new(peer->thread, peer->type, &made) != MID_OK;
        if (i % 3 == 0)
            ((mid_handle *)peer->data)[i / 3] = made;
        else
            mid_release(peer->thread, made);
    }
}

TEST(among_other_threads)
{
    struct many m;
    many_open(&m, 40 * EACH);
    mid_handle theirs[200];
    struct peer *peer = peer_new(&m.u);
    peer->type = m.type;
    peer->number = 300;
    peer->data = theirs;
    expect(MID_EPOSTPONED, mid_pin_long(m.u.thread, m.object[0], NULL)); /* it does not come */
    assert_int_equal(unit_stats(&m.u).pinned_objects, 0);
    peer_do(peer, fill);
    assert_int_equal(peer->wrong, 0);
    peer_begin(peer, poll);
    ok(mid_pin_long(m.u.thread, theirs[0], NULL));
    pin_each(&m, mid_pin_long, 0, EACH);
    peer_finish_polling(peer, m.u.thread);
    peer_block(peer);
    many_verify(&m);
    peer_unblock(peer);
    peer->data = theirs + 100;
    peer_do(peer, fill); /* with what its caches have become */
    assert_int_equal(peer->wrong, 0);
    peer_end(peer);
    many_verify(&m);
    ok(mid_compact(m.u.thread, MID_COMPACT_PLAIN, 0, NULL));
    for (size_t i = 0; i < 200; i++)
        mid_release(m.u.thread, theirs[i]);
    many_close(&m);
}

/* Pins of both kinds come and go while objects do, and slices of compaction. */
TEST(at_random)
{
    struct many m;
    uint64_t seed = 3;
    many_open(&m, unit_scale(4000) + 500);
    for (size_t step = 0; step < 8 * m.count; step++) {
        size_t i = unit_random(&seed) % m.count;
        bool live = m.object[i] != 0;
        switch (unit_random(&seed) % 8) {
        case 0:
            if (live && m.address[i] == NULL)
                ok(mid_pin_long(m.u.thread, m.object[i], &m.address[i]));
            break;
        case 1:
            if (live && m.address[i] == NULL)
                ok(mid_pin(m.u.thread, m.object[i], &m.address[i]));
            break;
        case 2:
        case 3:
            if (live && m.address[i] != NULL)
                ok(mid_unpin(m.u.thread, m.object[i]));
            m.address[i] = NULL;
            break;
        case 4:
            if (live)
                many_drop(&m, i);
            break;
        case 5:
            if (!live) {
                m.object[i] = unit_new(&m.u, m.type);
                uint64_t *words = mid_get(m.u.thread, m.object[i]);
                words[0] = words[LAST] = i;
            }
            break;
        default:
            if (step % 64 == 0)
                assert_true(mid_compact(m.u.thread, MID_COMPACT_PLAIN, 1, NULL) <= MID_MORE);
        }
        if (step % (m.count / 2) == 0)
            many_verify(&m);
    }
    many_close(&m);
}

static mid_status in_finalizer;

static void finalize(mid_thread *thread, mid_handle object)
{
    in_finalizer = mid_pin_long(thread, object, NULL);
}

TEST(refusals)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "final", .finalize = finalize});
    mid_handle node = unit_new(&u, u.node);
    expect(MID_ENULL, mid_pin_long(NULL, node, NULL));
    expect(MID_EHANDLE, mid_pin_long(u.thread, 0, NULL));
    expect(MID_EHANDLE, mid_pin_long(u.thread, mid_from_int(3), NULL));
    expect(MID_EHANDLE, mid_pin_long(u.thread, 0x7ffffff0, NULL));
    ok(mid_blocked_enter(u.thread));
    expect(MID_ETHREAD, mid_pin_long(u.thread, node, NULL));
    ok(mid_blocked_leave(u.thread));
    mid_release(u.thread, unit_new(&u, type));
    ok(mid_collect(u.thread, NULL));
    expect(MID_EBUSY, in_finalizer);
    mid_release(u.thread, node);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_hold_no_more_pools_than_they_fill),
        cmocka_unit_test(a_full_pool_makes_room_for_them),
        cmocka_unit_test(they_nest_and_end_like_others),
        cmocka_unit_test(large_blocks_stay),
        cmocka_unit_test(among_other_threads),
        cmocka_unit_test(at_random),
        cmocka_unit_test(refusals),
    };
    return UNIT_RUN(tests);
}
