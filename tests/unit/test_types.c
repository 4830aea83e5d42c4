/* Type registration: what is accepted, what is refused, and what the shapes mean afterwards. */
#include "unit.h"

static mid_type_desc plain(size_t size)
{
    return (mid_type_desc){.struct_size = sizeof(mid_type_desc), .name = "plain", .size = size};
}

static void refused(struct unit *u, mid_status want, mid_type_desc desc)
{
    mid_type type = 99;
    expect(want, mid_type_register(u->heap, &desc, &type));
    unit_check(u);
}

TEST(names_are_copied_and_numbers_start_at_one)
{
    struct unit u;
    unit_open(&u, "");
    char name[] = "changing";
    mid_type type = unit_plain_type(u.heap, name, 24);
    name[0] = 'X';
    assert_string_equal(mid_type_name(u.heap, type), "changing");
    assert_true(type >= 1 && type <= MID_TYPES_MAX);
    assert_int_not_equal(type, u.node);
    assert_string_equal(mid_type_name(u.heap, u.node), "node");
    assert_null(mid_type_name(u.heap, 0));
    assert_null(mid_type_name(u.heap, type + 1));
    assert_null(mid_type_name(u.heap, MID_TYPES_MAX + 1));
    assert_null(mid_type_name(u.heap, UINT32_MAX));
    unit_close(&u);
}

TEST(long_names_are_cut_at_63_bytes)
{
    struct unit u;
    unit_open(&u, "");
    char name[201];
    memset(name, 'n', 200);
    name[200] = 0;
    mid_type type = unit_plain_type(u.heap, name, 24);
    assert_int_equal(strlen(mid_type_name(u.heap, type)), 63);
    unit_close(&u);
}

TEST(null_arguments)
{
    struct unit u;
    unit_open(&u, "");
    mid_type_desc desc = plain(16);
    mid_type type;
    expect(MID_ENULL, mid_type_register(NULL, &desc, &type));
    expect(MID_ENULL, mid_type_register(u.heap, NULL, &type));
    expect(MID_ENULL, mid_type_register(u.heap, &desc, NULL));
    desc.name = NULL;
    expect(MID_ENULL, mid_type_register(u.heap, &desc, &type));
    unit_close(&u);
}

TEST(struct_size_flags_and_alignment)
{
    struct unit u;
    unit_open(&u, "");
    mid_type_desc desc = plain(16);
    desc.struct_size = 0;
    refused(&u, MID_EINVAL, desc);
    desc.struct_size = 7;
    refused(&u, MID_EINVAL, desc);
    desc = plain(16);
    desc.flags = 1u << 31;
    refused(&u, MID_EINVAL, desc);
    static const size_t bad[] = {1, 4, 7, 12, 24, 128, 4096, SIZE_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        desc = plain(16);
        desc.align = bad[i];
        refused(&u, MID_EINVAL, desc);
    }
    unit_close(&u);
}

TEST(reference_offsets)
{
    struct unit u;
    unit_open(&u, "");
    static const uint32_t bad[][2] = {{2, 8}, {0, 0}, {8, 8}, {0, 16}, {0, 13}, {4, 0xFFFFFFFC}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mid_type_desc desc = plain(16);
        desc.ref_offsets = bad[i];
        desc.ref_count = 2;
        refused(&u, MID_EINVAL, desc);
    }
    mid_type_desc desc = plain(16);
    desc.ref_count = 2;
    mid_type type;
    assert_int_not_equal(mid_type_register(u.heap, &desc, &type), MID_OK);
    static const uint32_t unordered[] = {12, 0, 8, 4};
    desc.ref_offsets = unordered;
    desc.ref_count = 4;
    ok(mid_type_register(u.heap, &desc, &type));
    mid_handle object = unit_new(&u, type);
    for (unsigned slot = 0; slot < 4; slot++)
        mid_give(u.thread, object, slot, unit_new(&u, u.node));
    assert_int_equal(unit_live(&u), 5);
    mid_release(u.thread, object);
    unit_close_empty(&u);
}

TEST(reference_offsets_are_copied)
{
    struct unit u;
    unit_open(&u, "");
    uint32_t offsets[] = {4};
    mid_type type = unit_type(u.heap, (mid_type_desc){.name = "one", .size = 8, .ref_offsets = offsets, .ref_count = 1});
    offsets[0] = 0;
    mid_handle object = unit_new(&u, type);
    mid_give(u.thread, object, 1, unit_new(&u, u.node));
    mid_release(u.thread, object);
    unit_close_empty(&u);
}

TEST(variable_shapes)
{
    struct unit u;
    unit_open(&u, "");
    mid_type_desc good = plain(8);
    good.item_size = 4;
    good.items_are_refs = 1;
    mid_type type;
    ok(mid_type_register(u.heap, &good, &type));
    mid_type_desc desc = good;
    desc.length_offset = 8; /* outside */
    refused(&u, MID_EINVAL, desc);
    desc.length_offset = 6;
    refused(&u, MID_EINVAL, desc);
    desc.length_offset = SIZE_MAX - 3;
    refused(&u, MID_EINVAL, desc);
    desc = good;
    desc.item_size = 8;
    refused(&u, MID_EINVAL, desc);
    desc = good;
    desc.item_size = 0;
    refused(&u, MID_EINVAL, desc);
    desc = good;
    desc.size = 10;
    refused(&u, MID_EINVAL, desc);
    desc = good;
    desc.size = 0; /* no room for the length */
    refused(&u, MID_EINVAL, desc);
    unit_close(&u);
}

TEST(payload_offsets)
{
    struct unit u;
    unit_open(&u, "");
    static const size_t bad[] = {4, 9, 16, 12, SIZE_MAX - 7};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mid_type_desc desc = plain(16);
        desc.payload_free = (void (*)(void *, void *))abort;
        desc.payload_offset = bad[i];
        refused(&u, MID_EINVAL, desc);
    }
    unit_close(&u);
}

TEST(a_payload_over_the_length_and_a_length_far_away)
{
    struct unit u;
    unit_open(&u, "");
    mid_type_desc desc = plain(24);
    desc.item_size = 1;
    desc.payload_free = (void (*)(void *, void *))abort;
    desc.payload_offset = 8;
    for (desc.length_offset = 8; desc.length_offset < 16; desc.length_offset += 4)
        refused(&u, MID_EINVAL, desc);
    mid_type type;
    for (size_t at = 4; at <= 16; at += 12) { /* beside it, on either side */
        desc.length_offset = at;
        ok(mid_type_register(u.heap, &desc, &type));
    }
    desc = plain((size_t)1 << 33);
    desc.item_size = 1;
    desc.length_offset = (size_t)1 << 32;
    refused(&u, MID_EINVAL, desc);
    unit_close(&u);
}

TEST(sizes)
{
    struct unit u;
    unit_open(&u, "");
    refused(&u, MID_ESIZE, plain(((size_t)1 << 40) + 1));
    refused(&u, MID_ESIZE, plain(SIZE_MAX));
    refused(&u, MID_ESIZE, plain(SIZE_MAX - 7));
    static const size_t good[] = {1, 7, 8, 9, 127, 128, 129, 4096, 32767, 32768, 32769, 65536, 1u << 20, (1u << 20) + 1, 3u << 20};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        mid_type type = unit_plain_type(u.heap, "sized", good[i]);
        mid_handle object = unit_new(&u, type);
        unsigned char *at = mid_get(u.thread, object);
        for (size_t k = 0; k < good[i]; k++)
            assert_int_equal(at[k], 0);
        memset(at, 0x5A, good[i]);
        size_t size = 0;
        ok(mid_size_of(u.thread, object, &size));
        assert_int_equal(size, good[i]);
        unit_check(&u);
        mid_release(u.thread, object);
    }
    unit_close(&u);
}

TEST(alignment_is_kept)
{
    struct unit u;
    unit_open(&u, "");
    static const size_t aligns[] = {0, 8, 16, 32, 64};
    static const size_t sizes[] = {8, 24, 72, 200, 1000, 40000, 2000000};
    for (size_t a = 0; a < 5; a++)
        for (size_t s = 0; s < 7; s++) {
            mid_type_desc desc = {.name = "aligned", .size = sizes[s], .align = aligns[a]};
            mid_type type = unit_type(u.heap, desc);
            mid_handle objects[20];
            for (int round = 0; round < 2; round++) { /* fresh slots, then used ones */
                for (size_t i = 0; i < 20; i++) {
                    objects[i] = unit_new(&u, type);
                    assert_int_equal((uintptr_t)mid_get(u.thread, objects[i]) % (aligns[a] ? aligns[a] : 8), 0);
                }
                for (size_t i = 0; i < 20; i++)
                    mid_release(u.thread, objects[i]);
            }
        }
    mid_type type = unit_type(u.heap, (mid_type_desc){.name = "aligned bytes", .size = sizeof(struct bytes), .align = 64,
                                                      .item_size = 1, .length_offset = offsetof(struct bytes, length)});
    mid_handle grown = unit_array(&u, type, 0);
    for (size_t items = 1; items < 3000000; items = items * 3 + 1) {
        ok(mid_resize(u.thread, grown, items));
        assert_int_equal((uintptr_t)mid_get(u.thread, grown) % 64, 0);
    }
    mid_release(u.thread, grown);
    unit_close(&u);
}

TEST(one_type_too_many)
{
    struct unit u;
    unit_open(&u, "");
    mid_type_desc desc = plain(16);
    mid_type type = 0;
    mid_status status;
    unsigned more = 0;
    while ((status = mid_type_register(u.heap, &desc, &type)) == MID_OK)
        assert_true(++more <= MID_TYPES_MAX);
    assert_int_equal(status, MID_ETYPES);
    assert_int_equal(more + 3, MID_TYPES_MAX);
    refused(&u, MID_ETYPES, desc);
    assert_non_null(mid_type_name(u.heap, MID_TYPES_MAX));
    mid_handle object = unit_new(&u, MID_TYPES_MAX);
    mid_type of = 0;
    ok(mid_type_of(u.thread, object, &of));
    assert_int_equal(of, MID_TYPES_MAX);
    mid_release(u.thread, object);
    unit_close(&u);
}

TEST(heaps_share_no_types)
{
    struct unit a, b;
    unit_open(&a, "");
    unit_open(&b, "");
    mid_type only_a = unit_plain_type(a.heap, "only-a", 40);
    assert_null(mid_type_name(b.heap, only_a));
    mid_handle none = 1;
    expect(MID_ETYPE, mid_new(b.thread, only_a, &none));
    assert_int_equal(none, 0);
    unit_close(&a);
    unit_close(&b);
}

TEST(types_may_be_registered_while_no_thread_is_attached)
{
    mid_heap *heap;
    ok(mid_heap_open(&heap, NULL));
    mid_type type = unit_plain_type(heap, "early", 16);
    mid_thread *thread;
    ok(mid_thread_attach(heap, &thread));
    mid_handle object;
    ok(mid_new(thread, type, &object));
    mid_release(thread, object);
    ok(mid_heap_close(heap));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_copied_and_numbers_start_at_one),
        cmocka_unit_test(long_names_are_cut_at_63_bytes),
        cmocka_unit_test(null_arguments),
        cmocka_unit_test(struct_size_flags_and_alignment),
        cmocka_unit_test(reference_offsets),
        cmocka_unit_test(reference_offsets_are_copied),
        cmocka_unit_test(variable_shapes),
        cmocka_unit_test(payload_offsets),
        cmocka_unit_test(sizes),
        cmocka_unit_test(alignment_is_kept),
        cmocka_unit_test(one_type_too_many),
        cmocka_unit_test(heaps_share_no_types),
        cmocka_unit_test(types_may_be_registered_while_no_thread_is_attached),
        cmocka_unit_test(a_payload_over_the_length_and_a_length_far_away),
    };
    return UNIT_RUN(tests);
}
