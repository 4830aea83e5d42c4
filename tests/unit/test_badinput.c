/* Bad input to the calls that check always. After each the heap must still check out, and nothing may have changed. */
#include "unit.h"

/* What the calls are given instead of an object. */
static size_t bad_handles(struct unit *u, mid_handle *into)
{
    mid_handle freed = unit_new(u, u->node);
    mid_release(u->thread, freed);
    mid_handle ring = unit_ring(u, u->node, 3);
    mid_release(u->thread, ring);
    assert_int_equal(mid_collect(u->thread, NULL), MID_OK);
    const mid_handle bad[] = {0, 1, mid_from_int(-1), mid_from_int(1000), freed, ring, 0xFFFFFFFE, 0x80000000, 0x7FFFFFFE, 2u << 27};
    memcpy(into, bad, sizeof bad);
    return sizeof bad / sizeof *bad;
}

TEST(objects_that_are_none)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle bad[16];
    size_t count = bad_handles(&u, bad);
    mid_stats before = unit_stats(&u);
    for (size_t i = 0; i < count; i++) {
        mid_type type = 77;
        size_t size = 77;
        uint32_t n = 77;
        void *address = &u;
        mid_weak weak = {7, 7};
        expect(MID_EHANDLE, mid_type_of(u.thread, bad[i], &type));
        expect(MID_EHANDLE, mid_size_of(u.thread, bad[i], &size));
        expect(MID_EHANDLE, mid_items_of(u.thread, bad[i], &size));
        expect(MID_EHANDLE, mid_count_of(u.thread, bad[i], &n));
        expect(MID_EHANDLE, mid_pin(u.thread, bad[i], &address));
        expect(MID_EHANDLE, mid_pin(u.thread, bad[i], NULL));
        mid_status status = mid_unpin(u.thread, bad[i]);
        assert_true(status == MID_EHANDLE || status == MID_EPINNED);
        expect(MID_EHANDLE, mid_immortalize(u.thread, bad[i]));
        expect(MID_EHANDLE, mid_resize(u.thread, bad[i], 5));
        expect(MID_EHANDLE, mid_weak_new(u.thread, bad[i], &weak));
        assert_int_equal(mid_is_live(u.thread, bad[i]), 0);
        assert_true(type == 77 && size == 77 && n == 77 && address == &u);
        unit_check(&u);
    }
    mid_stats after = unit_stats(&u);
    assert_int_equal(before.live_objects, after.live_objects);
    assert_int_equal(before.pinned_objects, after.pinned_objects);
    assert_int_equal(before.weak_references, after.weak_references);
    unit_close(&u);
}

TEST(null_pointers)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle node = unit_new(&u, u.node), vec = unit_array(&u, u.vec, 2), out = 1;
    mid_type type;
    size_t size;
    uint32_t count;
    expect(MID_ENULL, mid_type_of(NULL, node, &type));
    expect(MID_ENULL, mid_type_of(u.thread, node, NULL));
    expect(MID_ENULL, mid_size_of(NULL, node, &size));
    expect(MID_ENULL, mid_size_of(u.thread, node, NULL));
    expect(MID_ENULL, mid_items_of(NULL, node, &size));
    expect(MID_ENULL, mid_items_of(u.thread, node, NULL));
    expect(MID_ENULL, mid_count_of(NULL, node, &count));
    expect(MID_ENULL, mid_count_of(u.thread, node, NULL));
    expect(MID_ENULL, mid_pin(NULL, node, NULL));
    expect(MID_ENULL, mid_unpin(NULL, node));
    expect(MID_ENULL, mid_immortalize(NULL, node));
    expect(MID_ENULL, mid_resize(NULL, vec, 3));
    expect(MID_ENULL, mid_new_array(NULL, u.vec, 3, &out));
    expect(MID_ENULL, mid_new_array(u.thread, u.vec, 3, NULL));
    expect(MID_ENULL, mid_collect(NULL, NULL));
    expect(MID_ENULL, mid_compact(NULL, MID_COMPACT_PLAIN, 0, NULL));
    expect(MID_ENULL, mid_trim(NULL, 0, NULL));
    expect(MID_ENULL, mid_thread_detach(NULL));
    expect(MID_ENULL, mid_heap_open(NULL, NULL));
    expect(MID_ENULL, mid_heap_close(NULL));
    expect(MID_ENULL, mid_heap_destroy(NULL));
    expect(MID_ENULL, mid_heap_check(NULL));
    assert_null(mid_thread_heap(NULL));
    assert_null(mid_type_name(NULL, u.node));
    assert_int_equal(mid_is_live(NULL, node), 0);
    unit_check(&u);
    mid_release(u.thread, node);
    mid_release(u.thread, vec);
    unit_close(&u);
}

TEST(types_of_the_wrong_kind)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle node = unit_new(&u, u.node), out = 1;
    static const mid_type none[] = {0, 4, 1000, MID_TYPES_MAX, MID_TYPES_MAX + 1, MID_TYPES_MAX + 2, UINT32_MAX};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        out = 1;
        expect(MID_ETYPE, mid_new(u.thread, none[i], &out));
        assert_int_equal(out, 0);
        expect(MID_ETYPE, mid_new_array(u.thread, none[i], 3, &out));
        assert_int_equal(out, 0);
        unit_check(&u);
    }
    expect(MID_ETYPE, mid_new_array(u.thread, u.node, 3, &out));
    expect(MID_ETYPE, mid_new(u.thread, u.vec, &out));
    expect(MID_ETYPE, mid_resize(u.thread, node, 3));
    unit_check(&u);
    mid_release(u.thread, node);
    unit_close(&u);
}

TEST(unpinning_what_is_not_pinned)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle node = unit_new(&u, u.node);
    expect(MID_EPINNED, mid_unpin(u.thread, node));
    ok(mid_pin(u.thread, node, NULL));
    ok(mid_unpin(u.thread, node));
    expect(MID_EPINNED, mid_unpin(u.thread, node));
    for (int i = 0; i < 1000; i++)
        ok(mid_pin(u.thread, node, NULL));
    for (int i = 0; i < 1000; i++)
        ok(mid_unpin(u.thread, node));
    expect(MID_EPINNED, mid_unpin(u.thread, node));
    unit_check(&u);
    mid_release(u.thread, node);
    unit_close(&u);
}

TEST(every_handle_value_can_be_asked_about)
{
    struct unit u;
    uint64_t seed = 9;
    unit_open(&u, "max-objects=20K");
    mid_handle kept[100];
    for (int i = 0; i < 100; i++)
        kept[i] = unit_new(&u, u.node);
    size_t live = 0;
    for (uint32_t value = 0; value < 200000; value++)
        live += (size_t)mid_is_live(u.thread, value);
    assert_int_equal(live, 100);
    for (int i = 0; i < 100000; i++) {
        mid_type type;
        mid_handle value = (mid_handle)unit_random(&seed);
        mid_status status = mid_type_of(u.thread, value, &type);
        assert_true(status == (mid_is_live(u.thread, value) ? MID_OK : MID_EHANDLE));
    }
    for (int i = 0; i < 100; i++)
        mid_release(u.thread, kept[i]);
    unit_close(&u);
}

TEST(the_check_finds_what_is_broken)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle a = unit_new(&u, u.node), b = unit_new(&u, u.node);
    mid_store(u.thread, a, LEFT, b);
    unit_check(&u);
    uint32_t count = mid_entry_(u.thread, b)->count;
    mid_entry_(u.thread, b)->count = u.thread->bias | MID_ONE_; /* two references, a count of one: b's own holder went unnoticed */
    mid_store(u.thread, a, RIGHT, 0);
    unit_check(&u); /* still not fewer than the references from objects */
    mid_slot_(u.thread, a, RIGHT)->bits_ = b;
    expect(MID_ECORRUPT, mid_heap_check(u.heap));
    assert_true(strlen(mid_heap_check_text(u.heap)) > 5);
    mid_slot_(u.thread, a, RIGHT)->bits_ = 0xFFFFFFF0;
    expect(MID_ECORRUPT, mid_heap_check(u.heap));
    mid_slot_(u.thread, a, RIGHT)->bits_ = 0;
    mid_entry_(u.thread, b)->count = count;
    uint64_t word = mid_entry_(u.thread, b)->word;
    mid_entry_(u.thread, b)->word = (word & ~MID_ADDRESS_MASK_) | (mid_entry_(u.thread, a)->word & MID_ADDRESS_MASK_);
    expect(MID_ECORRUPT, mid_heap_check(u.heap)); /* two entries, one address */
    mid_entry_(u.thread, b)->word = word;
    unit_check(&u);
    mid_release(u.thread, a);
    mid_release(u.thread, b);
    unit_close(&u);
}

TEST(calls_after_detaching)
{
    struct unit u;
    unit_open(&u, "");
    mid_thread *gone = u.thread;
    mid_handle node = unit_new(&u, u.node), out = 1;
    mid_weak weak = {0, 0};
    ok(mid_thread_detach(gone));
    expect(MID_ETHREAD, mid_new(gone, u.node, &out));
    assert_int_equal(out, 0);
    expect(MID_ETHREAD, mid_new_array(gone, u.vec, 3, &out));
    expect(MID_ETHREAD, mid_resize(gone, node, 3));
    expect(MID_ETHREAD, mid_pin(gone, node, NULL));
    expect(MID_ETHREAD, mid_weak_new(gone, node, &weak));
    assert_int_equal(mid_weak_get(gone, (mid_weak){1, 1}), 0);
    expect(MID_ETHREAD, mid_safepoint_slow_(gone));
    expect(MID_ETHREAD, mid_collect(gone, NULL));
    expect(MID_ETHREAD, mid_compact(gone, MID_COMPACT_PLAIN, 0, NULL));
    expect(MID_ETHREAD, mid_trim(gone, 0, NULL));
    expect(MID_ETHREAD, mid_blocked_enter(gone));
    expect(MID_ETHREAD, mid_thread_detach(gone));
    unit_check(&u);
    ok(mid_thread_attach(u.heap, &u.thread));
    assert_int_equal(unit_live(&u), 1);
    mid_release(u.thread, node);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_that_are_none),
        cmocka_unit_test(null_pointers),
        cmocka_unit_test(types_of_the_wrong_kind),
        cmocka_unit_test(unpinning_what_is_not_pinned),
        cmocka_unit_test(every_handle_value_can_be_asked_about),
        cmocka_unit_test(the_check_finds_what_is_broken),
        cmocka_unit_test(calls_after_detaching),
    };
    return UNIT_RUN(tests);
}
