/* mid_freeze: counts beside the table, entries and pools that nobody writes to, and everything as it was afterwards. */
#include "peer.h"

#include "fault_os.h"

static uint32_t count_of(const struct unit *u, mid_handle object)
{
    uint32_t count = 0;
    ok(mid_count_of(u->thread, object, &count));
    return count;
}

static mid_handle node(struct unit *u, mid_handle left, mid_handle right)
{
    mid_handle made;
    ok(mid_new(u->thread, u->node, &made));
    mid_init(u->thread, made, LEFT, left);
    mid_init(u->thread, made, RIGHT, right);
    return made;
}

/* A tree of 2^depth - 1 nodes, held by its root alone. */
static mid_handle tree(struct unit *u, unsigned depth)
{
    return depth == 0 ? 0 : node(u, tree(u, depth - 1), tree(u, depth - 1));
}

TEST(counts_go_beside_and_come_back)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle a = node(&u, 0, 0), b = node(&u, mid_retain(u.thread, a), 0);
    ok(mid_freeze(u.thread));
    assert_true(mid_is_frozen(u.thread, a) && mid_is_frozen(u.thread, b));
    assert_int_equal(unit_stats(&u).frozen_objects, 2);
    mid_entry before = *mid_entry_(u.thread, a);
    assert_int_equal(count_of(&u, a), 2);
    for (int i = 0; i < 5; i++)
        mid_retain(u.thread, a);
    assert_int_equal(mid_load(u.thread, b, LEFT), a);
    assert_int_equal(count_of(&u, a), 8);
    assert_int_equal(unit_stats(&u).frozen_counts, 1);
    assert_memory_equal(&before, mid_entry_(u.thread, a), sizeof before);
    unit_check(&u);
    for (int i = 0; i < 6; i++)
        mid_release(u.thread, a);
    assert_int_equal(unit_stats(&u).frozen_counts, 0);
    mid_handle fresh = node(&u, 0, 0);
    assert_false(mid_is_frozen(u.thread, fresh));
    mid_store(u.thread, fresh, LEFT, b);
    mid_store(u.thread, b, RIGHT, fresh); /* a frozen object holds one that is not */
    mid_release(u.thread, fresh);
    ok(mid_collect(u.thread, NULL));
    assert_true(mid_is_live(u.thread, fresh));
    unit_check(&u);
    ok(mid_unfreeze(u.thread));
    assert_false(mid_is_frozen(u.thread, a));
    assert_int_equal(count_of(&u, a), 2);
    assert_int_equal(count_of(&u, b), 2);
    assert_int_equal(unit_stats(&u).frozen_objects, 0);
    mid_give(u.thread, b, RIGHT, 0);
    mid_release(u.thread, a);
    mid_release(u.thread, b);
    unit_close(&u);
}

TEST(words_are_restored_to_the_bit)
{
    struct unit u;
    unit_open(&u, "");
    enum { MANY = 300 };
    mid_handle held[MANY];
    mid_entry was[MANY];
    for (int i = 0; i < MANY; i++) {
        held[i] = node(&u, 0, 0);
        for (int n = 0; n < i % 7; n++)
            mid_retain(u.thread, held[i]);
        if (i % 3 == 0)
            mid_store(u.thread, held[i], LEFT, held[0]); /* published: it has another flag */
    }
    ok(mid_freeze(u.thread)); /* what collecting does to suspects is done */
    ok(mid_unfreeze(u.thread));
    for (int i = 0; i < MANY; i++)
        was[i] = *mid_entry_(u.thread, held[i]);
    ok(mid_freeze(u.thread));
    for (int i = 0; i < MANY; i++) {
        mid_retain(u.thread, held[i]);
        mid_release(u.thread, held[i]);
    }
    ok(mid_unfreeze(u.thread));
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(was[i].count, mid_entry_(u.thread, held[i])->count);
        assert_int_equal(was[i].shared, mid_entry_(u.thread, held[i])->shared);
    }
    for (int i = 0; i < MANY; i++)
        for (int n = 0; n <= i % 7; n++)
            mid_release(u.thread, held[i]);
    unit_close(&u);
}

static int finalized;
static void on_death(mid_thread *thread, mid_handle object)
{
    (void)thread, (void)object;
    finalized++;
}

TEST(the_last_count_kills_when_it_thaws)
{
    struct unit u;
    unit_open(&u, "");
    mid_type mortal = unit_node_type(u.heap, (mid_type_desc){.name = "mortal", .finalize = on_death});
    mid_handle child = node(&u, 0, 0), object;
    mid_weak weak, later;
    finalized = 0;
    ok(mid_new(u.thread, mortal, &object));
    mid_init(u.thread, object, LEFT, child);
    ok(mid_weak_new(u.thread, object, &weak));
    ok(mid_freeze(u.thread));
    ok(mid_weak_new(u.thread, child, &later));
    mid_release(u.thread, object);
    assert_int_equal(count_of(&u, object), 0);
    ok(mid_collect(u.thread, NULL));
    unit_check(&u);
    assert_true(mid_is_live(u.thread, object));
    assert_int_equal(finalized, 0);
    assert_int_equal(mid_weak_get(u.thread, weak), object);
    mid_release(u.thread, object);
    ok(mid_weak_drop(u.thread, weak));
    ok(mid_unfreeze(u.thread));
    ok(mid_safepoint(u.thread));
    assert_int_equal(finalized, 1);
    assert_false(mid_is_live(u.thread, object));
    assert_int_equal(mid_weak_get(u.thread, later), 0);
    ok(mid_weak_drop(u.thread, later));
    assert_int_equal(unit_stats(&u).live_objects, 0);
    unit_close(&u);
}

TEST(a_weak_reference_made_and_kept)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle a = node(&u, 0, 0), b = node(&u, 0, 0);
    mid_weak old, new;
    ok(mid_weak_new(u.thread, a, &old));
    ok(mid_freeze(u.thread));
    ok(mid_weak_new(u.thread, b, &new));
    ok(mid_weak_drop(u.thread, old));
    unit_check(&u);
    ok(mid_unfreeze(u.thread));
    unit_check(&u);
    assert_int_equal(mid_weak_get(u.thread, new), b);
    mid_release(u.thread, b);
    mid_release(u.thread, b);
    assert_int_equal(mid_weak_get(u.thread, new), 0);
    ok(mid_weak_drop(u.thread, new));
    mid_release(u.thread, a);
    unit_close(&u);
}

TEST(cycles_wait_for_the_thaw)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle a = node(&u, 0, 0), b = node(&u, mid_retain(u.thread, a), 0);
    mid_store(u.thread, a, LEFT, b);
    mid_release(u.thread, b);
    mid_handle selfish = node(&u, 0, 0);
    ok(mid_freeze(u.thread));
    mid_release(u.thread, a); /* they hold each other now, and nothing else does */
    mid_store(u.thread, selfish, RIGHT, selfish);
    mid_release(u.thread, selfish); /* no difference is left of this one */
    assert_int_equal(unit_stats(&u).frozen_counts, 1);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_stats(&u).live_objects, 3);
    mid_collect_result result;
    ok(mid_unfreeze(u.thread));
    unit_check(&u);
    ok(mid_collect(u.thread, &result));
    assert_int_equal(result.freed, 3);
    unit_close(&u);
}

/* A count that fell and rose again leaves no difference and no suspect behind. */
TEST(a_cycle_without_a_trace_is_found)
{
    struct unit u;
    mid_collect_result result;
    unit_open(&u, "");
    mid_handle selfish = node(&u, 0, 0);
    ok(mid_freeze(u.thread));
    mid_store(u.thread, selfish, RIGHT, selfish);
    mid_release(u.thread, selfish);
    ok(mid_collect(u.thread, NULL));
    ok(mid_unfreeze(u.thread));
    ok(mid_collect(u.thread, &result));
    assert_int_equal(result.freed, 1);
    unit_close(&u);
}

TEST(a_second_freeze_takes_in_what_is_new)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle a = tree(&u, 6);
    ok(mid_freeze(u.thread));
    mid_handle b = tree(&u, 5);
    mid_retain(u.thread, a);
    ok(mid_freeze(u.thread));
    assert_int_equal(unit_stats(&u).frozen_objects, 63 + 31);
    assert_int_equal(count_of(&u, a), 2);
    unit_check(&u);
    ok(mid_unfreeze(u.thread));
    ok(mid_unfreeze(u.thread));
    assert_int_equal(count_of(&u, a), 2);
    mid_release(u.thread, a);
    mid_release(u.thread, a);
    mid_release(u.thread, b);
    unit_close(&u);
}

/* Objects that are freed and made around it, in every kind of compaction: what is frozen stays at its address. */
TEST(compaction_leaves_it_alone)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle kept[64], sparse[4096];
    const void *at[64];
    for (int i = 0; i < 64; i++)
        kept[i] = tree(&u, 4);
    ok(mid_freeze(u.thread));
    for (int i = 0; i < 64; i++)
        at[i] = mid_get(u.thread, mid_peek(u.thread, kept[i], LEFT));
    for (mid_compact_kind kind = MID_COMPACT_PLAIN; kind <= MID_COMPACT_DEEP; kind++) {
        for (int i = 0; i < 4096; i++)
            sparse[i] = node(&u, 0, 0);
        mid_store(u.thread, kept[0], RIGHT, sparse[4095]);
        for (int i = 0; i < 4096; i++)
            if (i % 8 != 7)
                mid_release(u.thread, sparse[i]);
        mid_compact_result result;
        ok(mid_compact(u.thread, kind, 0, &result));
        unit_check(&u);
        assert_int_equal(mid_peek(u.thread, kept[0], RIGHT), sparse[4095]);
        for (int i = 0; i < 64; i++) {
            assert_ptr_equal(at[i], mid_get(u.thread, mid_peek(u.thread, kept[i], LEFT)));
            assert_true(mid_is_frozen(u.thread, kept[i]));
        }
        for (int i = 7; i < 4096; i += 8)
            mid_release(u.thread, sparse[i]);
    }
    ok(mid_unfreeze(u.thread));
    unit_check(&u);
    ok(mid_compact(u.thread, MID_COMPACT_DEEP, 0, NULL));
    for (int i = 0; i < 64; i++)
        mid_release(u.thread, kept[i]);
    unit_close(&u);
}

TEST(pins_immortals_and_sizes_change_meanwhile)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle pinned = node(&u, 0, 0), forever = node(&u, 0, 0), made = node(&u, 0, 0), vec, large;
    void *address;
    ok(mid_new_array(u.thread, u.vec, 4, &vec));
    ok(mid_new_array(u.thread, u.vec, 100000, &large));
    mid_store(u.thread, vec, ITEM(3), made);
    ok(mid_immortalize(u.thread, forever));
    ok(mid_freeze(u.thread));
    ok(mid_pin(u.thread, pinned, &address));
    ok(mid_pin_long(u.thread, made, NULL));
    ok(mid_immortalize(u.thread, vec));
    assert_int_equal(count_of(&u, vec), UINT32_MAX);
    ok(mid_resize(u.thread, vec, 4000));
    ok(mid_resize(u.thread, large, 3));
    ok(mid_resize(u.thread, vec, 5));
    unit_check(&u);
    ok(mid_compact(u.thread, MID_COMPACT_DEEP, 0, NULL));
    assert_int_equal(mid_peek(u.thread, vec, ITEM(3)), made);
    assert_ptr_equal(mid_get(u.thread, pinned), address);
    ok(mid_unpin(u.thread, pinned));
    ok(mid_unfreeze(u.thread));
    unit_check(&u);
    ok(mid_unpin(u.thread, made));
    assert_int_equal(count_of(&u, vec), UINT32_MAX);
    assert_int_equal(count_of(&u, forever), UINT32_MAX);
    mid_release(u.thread, pinned);
    mid_release(u.thread, made);
    mid_release(u.thread, large);
    expect(MID_EHELD, mid_heap_close(u.heap));
}

/* --- against a model ---------------------------------------------------------------------------------------------------------- */

enum { OBJECTS = 200 };
struct model {
    mid_handle handle[OBJECTS];
    uint32_t held[OBJECTS]; /* counts of ours; 0: we know it no more */
    uint32_t seed;
};

static uint32_t roll(struct model *m, uint32_t below)
{
    m->seed = m->seed * 1664525u + 1013904223u;
    return (m->seed >> 8) % below;
}

static void act(struct unit *u, struct model *m)
{
    uint32_t i = roll(m, OBJECTS), j = roll(m, OBJECTS);
    switch (roll(m, 6)) {
    case 0:
        if (m->held[i] == 0) {
            m->handle[i] = node(u, 0, 0);
            m->held[i] = 1;
        }
        break;
    case 1:
        if (m->held[i] != 0) {
            mid_retain(u->thread, m->handle[i]);
            m->held[i]++;
        }
        break;
    case 2:
        if (m->held[i] != 0) {
            mid_release(u->thread, m->handle[i]);
            m->held[i]--;
        }
        break;
    case 3:
        if (m->held[i] != 0 && m->held[j] != 0)
            mid_store(u->thread, m->handle[i], roll(m, 2) ? LEFT : RIGHT, m->handle[j]);
        break;
    case 4:
        if (m->held[i] != 0) {
            mid_handle got = mid_load(u->thread, m->handle[i], LEFT);
            mid_release(u->thread, got);
        }
        break;
    default:
        if (m->held[i] != 0)
            mid_give(u->thread, m->handle[i], RIGHT, 0);
    }
}

/* What each object's count should be: ours, and one for each slot of what is there. */
static uint32_t in_slots;
static mid_handle wanted;
static int look(void *context, const mid_reference *reference)
{
    (void)context;
    in_slots += reference->target == wanted;
    return 0;
}

static void exact(struct unit *u, struct model *m)
{
    for (uint32_t i = 0; i < OBJECTS; i += 7) {
        if (m->held[i] == 0)
            continue;
        in_slots = 0;
        wanted = m->handle[i];
        ok(mid_inspect_referrers(u->thread, wanted, look, NULL));
        assert_int_equal(count_of(u, wanted), m->held[i] + in_slots);
    }
}

TEST(random_counts_agree_with_a_model)
{
    for (uint32_t seed = 1; seed <= 20; seed++) {
        struct unit u;
        struct model m = {.seed = seed};
        unit_open(&u, "");
        for (unsigned step = 0; step < 3000; step++) {
            act(&u, &m);
            if (step % 131 == 130) {
                if (roll(&m, 2))
                    ok(mid_freeze(u.thread));
                else
                    ok(mid_unfreeze(u.thread));
                unit_check(&u);
                exact(&u, &m);
            } else if (step % 257 == 256) {
                ok(mid_compact(u.thread, roll(&m, 2) ? MID_COMPACT_DEEP : MID_COMPACT_PLAIN, 0, NULL));
                ok(mid_collect(u.thread, NULL));
                unit_check(&u);
                exact(&u, &m);
            }
        }
        ok(mid_unfreeze(u.thread));
        for (uint32_t i = 0; i < OBJECTS; i++)
            for (; m.held[i] != 0; m.held[i]--)
                mid_release(u.thread, m.handle[i]);
        unit_close(&u);
    }
}

/* --- many threads, bad input, no memory ------------------------------------------------------------------------------------- */

enum { SHARED = 64, MUTATORS = 3, FREEZES = 12 };
static struct {
    struct unit u;
    mid_handle shared[SHARED];
    uint32_t enough, failed;
} crowd;

static void *count_all(void *context)
{
    mid_thread *thread;
    uint32_t seed = (uint32_t)(uintptr_t)context;
    if (mid_thread_attach(crowd.u.heap, &thread) != MID_OK) {
        __atomic_fetch_add(&crowd.failed, 1, __ATOMIC_SEQ_CST);
        return NULL;
    }
    for (int turn = 0; !__atomic_load_n(&crowd.enough, __ATOMIC_SEQ_CST); turn++) {
        seed = seed * 1664525u + 1013904223u;
        mid_handle at = crowd.shared[(seed >> 8) % SHARED], other = crowd.shared[(seed >> 16) % SHARED];
        mid_retain(thread, at);
        mid_store(thread, at, LEFT, other);
        mid_handle got = mid_load(thread, at, LEFT);
        mid_release(thread, got);
        if (turn % 3 == 0)
            mid_give(thread, at, LEFT, 0);
        mid_release(thread, at);
        if (turn % 8 == 0 && mid_safepoint(thread) != MID_OK)
            __atomic_fetch_add(&crowd.failed, 1, __ATOMIC_SEQ_CST);
    }
    if (mid_thread_detach(thread) != MID_OK)
        __atomic_fetch_add(&crowd.failed, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

TEST(threads_count_while_it_freezes_and_thaws)
{
    pthread_t thread[MUTATORS];
    memset(&crowd, 0, sizeof crowd);
    unit_open(&crowd.u, "");
    for (int i = 0; i < SHARED; i++)
        crowd.shared[i] = node(&crowd.u, 0, 0);
    for (uintptr_t i = 0; i < MUTATORS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, count_all, (void *)(i + 1)), 0);
    uint64_t frozen = 0;
    for (unsigned n = 0; frozen < FREEZES; n++) {
        mid_status status = n % 2 ? mid_unfreeze(crowd.u.thread) : mid_freeze(crowd.u.thread);
        if (status != MID_EPOSTPONED)
            ok(status);
        frozen += n % 2 == 0 && status == MID_OK;
        mid_status checked = mid_heap_check(crowd.u.heap);
        if (checked != MID_OK && checked != MID_EPOSTPONED)
            fail_msg("%s", mid_heap_check_text(crowd.u.heap));
    }
    __atomic_store_n(&crowd.enough, 1, __ATOMIC_SEQ_CST);
    ok(mid_blocked_enter(crowd.u.thread));
    for (int i = 0; i < MUTATORS; i++)
        pthread_join(thread[i], NULL);
    ok(mid_blocked_leave(crowd.u.thread));
    assert_int_equal(crowd.failed, 0);
    ok(mid_unfreeze(crowd.u.thread));
    for (int i = 0; i < SHARED; i++)
        mid_give(crowd.u.thread, crowd.shared[i], LEFT, 0);
    ok(mid_collect(crowd.u.thread, NULL));
    for (int i = 0; i < SHARED; i++) {
        assert_int_equal(count_of(&crowd.u, crowd.shared[i]), 1);
        mid_release(crowd.u.thread, crowd.shared[i]);
    }
    unit_close(&crowd.u);
}

static mid_status in_finalizer;
static void freeze_there(mid_thread *thread, mid_handle object)
{
    (void)object;
    in_finalizer = mid_freeze(thread);
    if (in_finalizer == MID_EBUSY)
        in_finalizer = mid_unfreeze(thread);
}

TEST(bad_calls_are_told)
{
    struct unit u;
    unit_open(&u, "");
    expect(MID_ENULL, mid_freeze(NULL));
    expect(MID_ENULL, mid_unfreeze(NULL));
    assert_false(mid_is_frozen(NULL, 0));
    assert_false(mid_is_frozen(u.thread, 0));
    assert_false(mid_is_frozen(u.thread, 12345678));
    ok(mid_blocked_enter(u.thread));
    expect(MID_ETHREAD, mid_freeze(u.thread));
    expect(MID_ETHREAD, mid_unfreeze(u.thread));
    ok(mid_blocked_leave(u.thread));
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "asks", .finalize = freeze_there});
    mid_handle object;
    ok(mid_new(u.thread, type, &object));
    mid_release(u.thread, object);
    assert_int_equal(in_finalizer, MID_EBUSY);
    ok(mid_freeze(u.thread)); /* of nothing */
    unit_check(&u);
    unit_close(&u);
}

TEST(without_memory_nothing_is_lost)
{
    for (size_t n = 1; n < 12; n++) {
        struct fault_os fault;
        struct unit u;
        fault_open(&u, &fault, "");
        mid_handle root = tree(&u, 8), left = mid_peek(u.thread, root, LEFT);
        fault.fail_at = fault.calls + n;
        mid_status status = mid_freeze(u.thread);
        fault.fail_at = 0;
        assert_true(status == MID_OK || status == MID_ENOMEM);
        assert_int_equal(unit_stats(&u).frozen_objects, status == MID_OK ? 255 : 0);
        unit_check(&u);
        ok(mid_freeze(u.thread));
        fault.fail_at = fault.calls + 1;
        fault.for_good = 1;
        mid_retain(u.thread, left);
        mid_retain(u.thread, left);
        mid_release(u.thread, root);
        fault.fail_at = 0;
        fault.for_good = 0;
        assert_int_equal(unit_stats(&u).frozen_written, 3);
        assert_int_equal(count_of(&u, left), 3);
        assert_int_equal(count_of(&u, root), 0);
        unit_check(&u);
        mid_retain(u.thread, left);
        ok(mid_unfreeze(u.thread));
        unit_drain(&u);
        unit_check(&u);
        assert_int_equal(count_of(&u, left), 3);
        for (int i = 0; i < 3; i++)
            mid_release(u.thread, left);
        fault_close(&u, &fault);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_go_beside_and_come_back),
        cmocka_unit_test(words_are_restored_to_the_bit),
        cmocka_unit_test(the_last_count_kills_when_it_thaws),
        cmocka_unit_test(a_weak_reference_made_and_kept),
        cmocka_unit_test(cycles_wait_for_the_thaw),
        cmocka_unit_test(a_cycle_without_a_trace_is_found),
        cmocka_unit_test(a_second_freeze_takes_in_what_is_new),
        cmocka_unit_test(compaction_leaves_it_alone),
        cmocka_unit_test(pins_immortals_and_sizes_change_meanwhile),
        cmocka_unit_test(random_counts_agree_with_a_model),
        cmocka_unit_test(threads_count_while_it_freezes_and_thaws),
        cmocka_unit_test(bad_calls_are_told),
        cmocka_unit_test(without_memory_nothing_is_lost),
    };
    return UNIT_RUN(tests);
}
