/* What docs/python.md claims and no other test shows: tuples by length, objects that are not cleared. */
#include "unit.h"

#include "midden/kinds.h"

/* Each short length is a type and a size of its own; who made and dropped one gets the slot and the handle of the last for the next. */
TEST(a_tuple_that_was_dropped_is_the_next_of_its_length)
{
    struct unit u;
    mid_kinds kinds;
    mid_handle values[MID_TUPLE_FIXED + 1] = {0}, first[MID_TUPLE_FIXED + 1], made;
    const void *at[MID_TUPLE_FIXED + 1];
    size_t bytes[MID_TUPLE_FIXED + 1];
    mid_type type, before = 0;
    unit_open(&u, "");
    ok(mid_kinds_open(u.heap, &kinds));
    for (size_t n = 1; n <= MID_TUPLE_FIXED; n++) {
        ok(mid_tuple_new(u.thread, &kinds, values, n, &first[n]));
        ok(mid_type_of(u.thread, first[n], &type));
        ok(mid_size_of(u.thread, first[n], &bytes[n]));
        assert_int_equal(type, kinds.tuple[n]);
        assert_int_not_equal(type, before);
        assert_int_equal(bytes[n], n * sizeof(mid_slot)); /* no header, no length */
        at[n] = mid_get(u.thread, first[n]);
        before = type;
    }
    mid_stats stats = unit_stats(&u);
    for (size_t n = MID_TUPLE_FIXED; n >= 1; n--)
        mid_release(u.thread, first[n]);
    for (int round = 0; round < 1000; round++)
        for (size_t n = 1; n <= MID_TUPLE_FIXED; n++) {
            /* lengths of one class of slots share its list; what was freed last comes first */
            ok(mid_tuple_new(u.thread, &kinds, values, n, &made));
            bool known = false;
            for (size_t k = 1; k <= MID_TUPLE_FIXED; k++)
                known |= made == first[k] && mid_get(u.thread, made) == at[k];
            assert_true(known);
            mid_release(u.thread, made);
        }
    assert_int_equal(unit_stats(&u).committed_bytes, stats.committed_bytes);
    unit_close(&u);
}

/* MID_UNCLEARED: what was there is there, in objects of a fixed size as in items; but the part before items is cleared. */
TEST(what_is_not_cleared_holds_what_was_there)
{
    struct unit u;
    unit_open(&u, "");
    mid_type raw = unit_type(u.heap, (mid_type_desc){.name = "raw", .size = 64, .flags = MID_UNCLEARED});
    mid_type items = unit_type(u.heap, (mid_type_desc){.name = "items", .size = sizeof(struct bytes), .flags = MID_UNCLEARED, .item_size = 1,
                                                       .length_offset = offsetof(struct bytes, length)});
    for (int slow = 0; slow < 2; slow++) {
        mid_handle was = unit_new(&u, raw), object = 0;
        memset((char *)mid_get(u.thread, was), 0x55, 64);
        mid_release(u.thread, was);
        object = slow ? mid_new_slow_(u.thread, raw) : unit_new(&u, raw); /* whichever way it comes */
        assert_int_equal(object, was);
        assert_int_equal(((char *)mid_get(u.thread, object))[63], 0x55);
        mid_release(u.thread, object);
    }
    mid_handle was = unit_array(&u, items, 500), object;
    memset(mid_get(u.thread, was), 0x55, sizeof(struct bytes) + 500);
    ((struct bytes *)mid_get(u.thread, was))->length = 500;
    mid_release(u.thread, was);
    object = unit_array(&u, items, 500);
    assert_int_equal(object, was);
    const struct bytes *at = mid_get(u.thread, object);
    assert_true(at->tag == 0 && at->spare == 0 && at->length == 500 && at->data[499] == 0x55);
    mid_release(u.thread, object);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tuple_that_was_dropped_is_the_next_of_its_length),
        cmocka_unit_test(what_is_not_cleared_holds_what_was_there),
    };
    return UNIT_RUN(tests);
}
