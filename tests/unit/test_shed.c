/* Large blocks that lose most of their references: dictionaries and lists cleared, arrays made short (gc/shed.c). */
#include "deep.h"
#include "fault_os.h"

#include "midden/dict.h"
#include "midden/freeze.h"
#include "midden/kinds.h"
#include "midden/trace.h"

enum { MANY = 50000 };

static mid_handle many(struct unit *u)
{
    mid_handle dict;
    ok(mid_dict_new(u->thread, &mid_keys_int, &dict));
    for (int32_t i = 0; i < MANY; i++) {
        mid_handle value = unit_new(u, u->node);
        ok(mid_dict_set(u->thread, dict, mid_from_int(i), value));
        mid_release(u->thread, value);
    }
    return dict;
}

static size_t length(struct unit *u, mid_handle dict)
{
    size_t entries = 0;
    ok(mid_dict_length(u->thread, dict, &entries));
    return entries;
}

/* Most of what it held is still there: it goes at safepoints. */
static void cleared_in_pieces(struct unit *u, mid_handle dict)
{
    mid_handle found = 0;
    ok(mid_dict_clear(u->thread, dict));
    assert_true(unit_live(u) > MANY / 2);
    assert_int_equal(length(u, dict), 0);
    expect(MID_EKEY, mid_dict_get(u->thread, dict, mid_from_int(7), &found));
    ok(mid_dict_set(u->thread, dict, mid_from_int(7), mid_from_int(70)));
    unit_check(u);
    unit_drain(u);
    assert_int_equal(unit_live(u), 1);
    assert_int_equal(mid_dict_peek(u->thread, dict, mid_from_int(7)), mid_from_int(70));
    unit_check(u);
}

TEST(a_dictionary_is_cleared_in_pieces)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle dict = many(&u);
    mid_weak weak;
    ok(mid_weak_new(u.thread, dict, &weak));
    cleared_in_pieces(&u, dict);
    mid_handle again = mid_weak_get(u.thread, weak);
    assert_int_equal(again, dict);
    mid_release(u.thread, again);
    ok(mid_weak_drop(u.thread, weak));
    mid_release(u.thread, dict);
    unit_close(&u);
}

TEST(compacted_while_it_goes)
{
    struct unit u;
    for (int deep = 0; deep < 2; deep++) {
        unit_open(&u, "");
        mid_handle dict = many(&u);
        ok(mid_dict_clear(u.thread, dict));
        while (unit_stats(&u).waiting_objects != 0) {
            ok(mid_compact(u.thread, deep ? MID_COMPACT_DEEP : MID_COMPACT_PLAIN, 0, NULL));
            unit_check(&u);
        }
        assert_int_equal(unit_live(&u), 1);
        mid_release(u.thread, dict);
        unit_close(&u);
    }
}

TEST(frozen_it_is_cleared_too)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle dict = many(&u);
    ok(mid_freeze(u.thread));
    ok(mid_dict_clear(u.thread, dict));
    assert_int_equal(length(&u, dict), 0);
    unit_drain(&u);
    unit_check(&u);
    ok(mid_unfreeze(u.thread));
    unit_drain(&u);
    assert_int_equal(unit_live(&u), 1);
    mid_release(u.thread, dict);
    unit_drain(&u);
    unit_close(&u);
}

TEST(traced_it_is_as_small_as_it_is)
{
    struct unit u;
    unit_open(&u, "");
    mid_trace_options options = {.struct_size = sizeof options, .frames = 4};
    ok(mid_trace_start(u.heap, &options));
    mid_handle dict = many(&u);
    cleared_in_pieces(&u, dict);
    mid_trace_figures figures;
    ok(mid_trace_figures_get(u.heap, &figures, sizeof figures));
    assert_int_equal(figures.objects, 1);
    assert_true(figures.bytes < 200);
    ok(mid_trace_stop(u.heap));
    mid_release(u.thread, dict);
    unit_close(&u);
}

TEST(pinned_or_without_memory_all_goes_at_once)
{
    for (int pinned = 0; pinned < 2; pinned++) {
        struct fault_os fault;
        struct unit u;
        fault_open(&u, &fault, "reserve=0");
        mid_handle dict = many(&u), filler = unit_array(&u, u.vec, 0), more;
        if (pinned)
            ok(mid_pin(u.thread, dict, NULL));
        fault.calls = 0;
        fault.fail_at = pinned ? 0 : 1;
        fault.for_good = 1;
        while (!pinned && mid_new_array(u.thread, u.vec, 9, &more) == MID_OK) /* of a dictionary's class */
            mid_give(u.thread, more, ITEM(0), filler), filler = more;
        ok(mid_dict_clear(u.thread, dict));
        assert_int_equal(length(&u, dict), 0);
        fault.fail_at = 0;
        unit_check(&u);
        if (pinned)
            ok(mid_unpin(u.thread, dict));
        mid_release(u.thread, filler);
        unit_drain(&u);
        unit_check(&u);
        mid_release(u.thread, dict);
        unit_drain(&u);
        assert_int_equal(unit_live(&u), 0);
        fault_close(&u, &fault);
    }
}

/* --- any type: fixed slots, items that stay, a payload, a finalizer --------------------------------------------------------- */

struct crowd {
    uint32_t length;
    mid_slot first;
    void *payload;
    mid_slot items[];
};
#define CROWD(i) (MID_SLOT(struct crowd, items) + (unsigned)(i))

static int finalized, freed;
static size_t seen;
static mid_handle cleared;

static void finalize(mid_thread *thread, mid_handle object)
{
    (void)thread;
    (void)object;
    finalized++;
}

static void free_payload(void *payload, void *context)
{
    (void)payload;
    (void)context;
    freed++;
}

TEST(what_stays_and_what_goes_of_any_type)
{
    static const uint32_t slots[] = {offsetof(struct crowd, first)};
    struct unit u;
    unit_open(&u, "");
    finalized = freed = 0;
    mid_type type = unit_type(u.heap, (mid_type_desc){.name = "crowd", .size = sizeof(struct crowd), .item_size = 4, .items_are_refs = 1, .ref_offsets = slots,
                                                      .ref_count = 1, .length_offset = 0, .finalize = finalize, .payload_free = free_payload,
                                                      .payload_offset = offsetof(struct crowd, payload)});
    mid_handle crowd = unit_array(&u, type, MANY);
    ((struct crowd *)mid_get(u.thread, crowd))->payload = &u;
    for (unsigned i = 0; i < MANY; i++)
        mid_give(u.thread, crowd, CROWD(i), unit_new(&u, u.node));
    mid_give(u.thread, crowd, MID_SLOT(struct crowd, first), unit_new(&u, u.node));
    mid_handle third = mid_peek(u.thread, crowd, CROWD(3)), fifth = mid_load(u.thread, crowd, CROWD(5));
    ok(mid_resize(u.thread, crowd, 5));
    assert_true(unit_live(&u) > MANY / 2);
    unit_check(&u);
    unit_drain(&u);
    assert_int_equal(unit_live(&u), 8);
    assert_int_equal(unit_count(&u, third), 1);
    assert_int_equal(unit_count(&u, fifth), 1);
    assert_int_equal(mid_peek(u.thread, crowd, CROWD(3)), third);
    assert_true(mid_is_live(u.thread, mid_peek(u.thread, crowd, MID_SLOT(struct crowd, first))));
    assert_int_equal(finalized, 0);
    assert_int_equal(freed, 0);
    assert_ptr_equal(((struct crowd *)mid_get(u.thread, crowd))->payload, &u);
    mid_release(u.thread, crowd);
    mid_release(u.thread, fifth);
    unit_drain(&u);
    assert_int_equal(finalized, 1);
    assert_int_equal(freed, 1);
    unit_close(&u);
}

static void looks(mid_thread *thread, mid_handle object)
{
    size_t entries = 1;
    mid_dict_length(thread, cleared, &entries);
    seen += entries;
    mid_dict_set(thread, cleared, mid_from_int((int32_t)((struct node *)mid_get(thread, object))->value), mid_from_int(1));
    mid_dict_clear(thread, cleared);
}

TEST(finalizers_find_it_empty_and_fill_it)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "looks", .finalize = looks});
    ok(mid_dict_new(u.thread, &mid_keys_int, &cleared));
    for (int32_t i = 0; i < MANY; i++) {
        mid_handle value = unit_new(&u, type);
        unit_node(&u, value)->value = (uint64_t)i;
        ok(mid_dict_set(u.thread, cleared, mid_from_int(i), value));
        mid_release(u.thread, value);
    }
    seen = 0;
    ok(mid_dict_clear(u.thread, cleared));
    unit_drain(&u);
    assert_int_equal(seen, 0);
    assert_int_equal(unit_stats(&u).finalized_objects, MANY);
    unit_check(&u);
    mid_release(u.thread, cleared);
    unit_drain(&u);
    unit_close(&u);
}

TEST(lists_and_sets_too)
{
    struct unit u;
    mid_kinds kinds;
    mid_handle list, set;
    unit_open(&u, "");
    ok(mid_kinds_open(u.heap, &kinds));
    ok(mid_list_new(u.thread, &kinds, 0, &list));
    ok(mid_set_new(u.thread, &mid_keys_identity, &set));
    for (unsigned i = 0; i < MANY; i++) {
        mid_handle one = unit_new(&u, u.node);
        ok(mid_list_append(u.thread, &kinds, list, one));
        ok(mid_set_add(u.thread, set, one, NULL));
        mid_release(u.thread, one);
    }
    ok(mid_list_clear(u.thread, &kinds, list));
    unit_check(&u);
    unit_drain(&u);
    assert_int_equal(unit_live(&u), MANY + 3); /* with the index */
    ok(mid_set_clear(u.thread, set));
    assert_true(unit_live(&u) > MANY / 2);
    unit_drain(&u);
    assert_int_equal(unit_live(&u), 2);
    ok(mid_list_append(u.thread, &kinds, list, set));
    unit_check(&u);
    mid_release(u.thread, set);
    mid_release(u.thread, list);
    unit_drain(&u);
    unit_close_empty(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dictionary_is_cleared_in_pieces),
        cmocka_unit_test(compacted_while_it_goes),
        cmocka_unit_test(frozen_it_is_cleared_too),
        cmocka_unit_test(traced_it_is_as_small_as_it_is),
        cmocka_unit_test(pinned_or_without_memory_all_goes_at_once),
        cmocka_unit_test(what_stays_and_what_goes_of_any_type),
        cmocka_unit_test(finalizers_find_it_empty_and_fill_it),
        cmocka_unit_test(lists_and_sets_too),
    };
    return UNIT_RUN(tests);
}
