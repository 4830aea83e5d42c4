/* Deep compaction: which handles are given anew and which are kept, and who follows. */
#include "deep.h"

/* --- what keeps its handle ------------------------------------------------------------------------------------------ */

TEST(what_is_held_from_outside_keeps_its_handle)
{
    for (int order = 0; order < 3; order++) {
        static struct deep d;
        mid_scope scope;
        deep_open(&d, orders[order]);
        mid_handle held = mid_retain(d.u.thread, deep_node(&d, 0, 1)), free = deep_node(&d, 1, 2), scoped = deep_node(&d, 2, 3);
        ok(mid_scope_open(d.u.thread, &scope));
        mid_keep(d.u.thread, mid_retain(d.u.thread, scoped));
        mid_handle root = d.root;
        deep_settle(&d);
        assert_int_equal(deep_compact(&d), 1);
        assert_int_equal(deep_item(&d, 0), held);
        assert_int_equal(deep_item(&d, 2), scoped);
        assert_int_not_equal(deep_item(&d, 1), free);
        assert_int_equal(unit_node(&d.u, held)->value, 1);
        assert_int_equal(unit_node(&d.u, deep_item(&d, 1))->value, 2);
        assert_int_equal(d.root, root);
        mid_release(d.u.thread, held); /* now it may */
        mid_scope_close(d.u.thread, &scope, 0);
        ok(mid_collect(d.u.thread, NULL)); /* suspects of nobody's */
        assert_true(deep_compact(&d) >= 2);
        assert_int_not_equal(deep_item(&d, 0), held);
        assert_int_not_equal(deep_item(&d, 2), scoped);
        assert_int_equal(unit_node(&d.u, deep_item(&d, 0))->value, 1);
        assert_int_equal(unit_node(&d.u, deep_item(&d, 2))->value, 3);
        deep_close(&d);
    }
}

TEST(what_is_pinned_keeps_its_handle)
{
    static struct deep d;
    void *at;
    deep_open(&d, "deep=table");
    mid_handle pinned = deep_node(&d, 0, 1);
    ok(mid_pin(d.u.thread, pinned, &at));
    deep_settle(&d);
    assert_int_equal(deep_compact(&d), 0);
    assert_int_equal(deep_item(&d, 0), pinned);
    assert_ptr_equal(mid_get(d.u.thread, pinned), at);
    ok(mid_unpin(d.u.thread, pinned));
    assert_int_equal(deep_compact(&d), 1);
    assert_int_not_equal(deep_item(&d, 0), pinned);
    deep_close(&d);
}

TEST(what_is_immortal_keeps_its_handle)
{
    static struct deep d;
    deep_open(&d, "deep=depth");
    mid_handle immortal = deep_node(&d, 0, 1);
    ok(mid_immortalize(d.u.thread, immortal));
    deep_settle(&d);
    assert_int_equal(deep_compact(&d), 0);
    assert_int_equal(deep_item(&d, 0), immortal);
    mid_release(d.u.thread, d.root);
    unit_destroy(&d.u);
}

TEST(what_an_identity_refers_to_keeps_its_handle)
{
    static struct deep d;
    deep_open(&d, "deep=table");
    mid_type type = unit_node_type(d.u.heap, (mid_type_desc){.name = "key", .flags = MID_IDENTITY});
    mid_handle key = deep_put(&d, 0, unit_new(&d.u, type)), named = deep_node(&d, 1, 2), other = deep_node(&d, 2, 3);
    mid_store(d.u.thread, key, RIGHT, named);
    deep_settle(&d);
    assert_int_equal(deep_compact(&d), 2); /* the holder itself has no identity */
    assert_int_equal(deep_item(&d, 1), named);
    assert_int_not_equal(deep_item(&d, 0), key);
    assert_int_not_equal(deep_item(&d, 2), other);
    mid_store(d.u.thread, deep_item(&d, 0), RIGHT, 0); /* as long as they do */
    ok(mid_collect(d.u.thread, NULL));
    assert_int_equal(deep_compact(&d), 1);
    assert_int_not_equal(deep_item(&d, 1), named);
    deep_close(&d);
}

/* --- how many links --------------------------------------------------------------------------------------------------- */

TEST(what_has_very_many_links_keeps_its_handle)
{
    enum { MOST = 1024 };
    static struct deep d;
    deep_open(&d, "deep=table");
    mid_handle all = deep_put(&d, 0, unit_array(&d.u, d.u.vec, 2 * MOST + 1)), most = deep_node(&d, 1, 1), more = deep_node(&d, 2, 2);
    for (size_t i = 0; i < MOST; i++)
        mid_store(d.u.thread, all, ITEM(i), i == 0 ? mid_from_int(7) : most);
    for (size_t i = MOST; i < 2 * MOST; i++)
        mid_store(d.u.thread, all, ITEM(i), more);
    assert_int_equal(unit_count(&d.u, most), MOST);
    assert_int_equal(unit_count(&d.u, more), MOST + 1);
    deep_settle(&d);
    assert_int_equal(deep_compact(&d), 2);
    all = deep_item(&d, 0);
    assert_int_equal(deep_item(&d, 2), more);
    assert_int_not_equal(deep_item(&d, 1), most);
    assert_int_equal(mid_peek(d.u.thread, all, ITEM(0)), mid_from_int(7));
    for (size_t i = 1; i < 2 * MOST; i++)
        assert_int_equal(mid_peek(d.u.thread, all, ITEM(i)), deep_item(&d, i < MOST ? 1 : 2));
    assert_int_equal(unit_count(&d.u, deep_item(&d, 1)), MOST);
    deep_close(&d);
}

/* Every slot that refers to it, its own and those of whom it changes places with too. */
TEST(objects_that_refer_to_themselves_and_each_other)
{
    for (int order = 0; order < 3; order++) {
        static struct deep d;
        deep_open(&d, orders[order]);
        mid_handle made[SLOTS];
        for (size_t i = 0; i < SLOTS; i++) /* the root refers to them the other way round, so that a walk exchanges them */
            made[i] = deep_node(&d, SLOTS - 1 - i, SLOTS - 1 - i);
        for (size_t i = 0; i < SLOTS; i++) {
            mid_store(d.u.thread, made[i], LEFT, made[SLOTS - 1 - i]);
            mid_store(d.u.thread, made[i], RIGHT, made[i]);
        }
        if (order == 0)
            deep_settle(&d);
        assert_true(deep_compact(&d) >= SLOTS / 2);
        for (size_t i = 0; i < SLOTS; i++) {
            mid_handle node = deep_item(&d, i);
            assert_int_equal(unit_node(&d.u, node)->value, i);
            assert_int_equal(mid_peek(d.u.thread, node, LEFT), deep_item(&d, SLOTS - 1 - i));
            assert_int_equal(mid_peek(d.u.thread, node, RIGHT), node);
            assert_int_equal(unit_count(&d.u, node), 3);
        }
        if (order != 0)
            deep_settle(&d);
        mid_release(d.u.thread, d.root);
        ok(mid_collect(d.u.thread, NULL));
        unit_close_empty(&d.u);
    }
}

/* --- who follows ------------------------------------------------------------------------------------------------------- */

/* Node i has i % 4 cells; a walk finds them the other way round, and exchanges neighbours with other numbers of them. */
TEST(weak_references_follow)
{
    for (int order = 0; order < 3; order++) {
        static struct deep d;
        static mid_weak weak[SLOTS][4];
        deep_open(&d, orders[order]);
        for (size_t i = 0; i < SLOTS; i++) {
            mid_handle node = deep_node(&d, SLOTS - 1 - i, i);
            for (size_t n = 0; n < i % 4; n++)
                ok(mid_weak_new(d.u.thread, node, &weak[i][n]));
        }
        if (order == 0)
            deep_settle(&d);
        assert_true(deep_compact(&d) >= SLOTS / 2);
        for (size_t i = 0; i < SLOTS; i++)
            for (size_t n = 0; n < i % 4; n++) {
                mid_handle got = mid_weak_get(d.u.thread, weak[i][n]);
                assert_int_equal(got, deep_item(&d, SLOTS - 1 - i));
                assert_int_equal(unit_node(&d.u, got)->value, i);
                mid_release(d.u.thread, got);
            }
        for (size_t i = 0; i < SLOTS; i += 2) /* every other dies, and only its cells are cleared */
            mid_store(d.u.thread, d.root, ITEM(SLOTS - 1 - i), 0);
        unit_drain(&d.u);
        for (size_t i = 0; i < SLOTS; i++)
            for (size_t n = 0; n < i % 4; n++) {
                mid_handle got = mid_weak_get(d.u.thread, weak[i][n]);
                assert_int_equal(got, i % 2 == 0 ? 0 : deep_item(&d, SLOTS - 1 - i));
                mid_release(d.u.thread, got);
                ok(mid_weak_drop(d.u.thread, weak[i][n]));
            }
        if (order != 0)
            deep_settle(&d);
        deep_close(&d);
    }
}

static void fill(struct deep *d, mid_handle bytes, unsigned value)
{
    struct bytes *b = mid_get(d->u.thread, bytes);
    b->tag = value;
    b->data[0] = b->data[b->length - 1] = (unsigned char)value;
}

static void is_filled(struct deep *d, mid_handle bytes, unsigned value)
{
    struct bytes *b = mid_get(d->u.thread, bytes);
    assert_int_equal(b->tag, value);
    assert_int_equal(b->data[0], value);
}

/* Runs of pages, mappings and, when there are as many of those as may be, spans: each is resized to each, and freed. */
TEST(large_objects_follow)
{
    static const size_t sizes[] = {40000, 500000, 1500000, 3000000, 100, 20000};
    enum { COUNT = 6, MAPPINGS = 1000 };
    for (int spans = 0; spans < 2; spans++) {
        static struct deep d;
        static mid_handle mappings[MAPPINGS];
        deep_open(&d, "deep=table");
        for (size_t i = 0; spans && i < MAPPINGS; i++)
            mappings[i] = unit_array(&d.u, d.u.bytes, (1 << 20) + 1);
        for (unsigned i = 0; i < COUNT * COUNT; i++)
            fill(&d, deep_put(&d, i, unit_array(&d.u, d.u.bytes, sizes[i / COUNT])), i);
        deep_settle(&d);
        assert_true(deep_compact(&d) >= COUNT * COUNT);
        for (unsigned i = 0; i < COUNT * COUNT; i++) {
            is_filled(&d, deep_item(&d, i), i);
            ok(mid_resize(d.u.thread, deep_item(&d, i), sizes[i % COUNT]));
            is_filled(&d, deep_item(&d, i), i);
        }
        unit_check(&d.u);
        for (size_t i = 0; spans && i < MAPPINGS; i++)
            mid_release(d.u.thread, mappings[i]);
        deep_close(&d);
    }
}

/* Slots that only a trace function tells of: a count of them, and then the slots. */
struct traced {
    uint32_t count;
    mid_slot slots[9];
};

static void trace_some(const void *object, mid_visitor *visitor)
{
    const struct traced *t = object;
    for (uint32_t i = 0; i < t->count && i < 9; i++)
        mid_visit(visitor, &t->slots[i]);
}

/* One word of it has the look of a handle, and is none. */
TEST(traced_slots_follow)
{
    for (int racing = 0; racing < 2; racing++) {
        static struct deep d;
        deep_open(&d, "deep=table");
        mid_type type = unit_type(d.u.heap, (mid_type_desc){.name = "traced", .size = sizeof(struct traced), .trace = trace_some,
                                                            .flags = racing ? MID_TRACE_RACES : 0});
        mid_handle holder = deep_put(&d, 0, unit_new(&d.u, type)), node = deep_node(&d, 1, 1);
        ((struct traced *)mid_get(d.u.thread, holder))->count = 8;
        for (unsigned i = 0; i < 8; i++)
            mid_store(d.u.thread, holder, MID_SLOT(struct traced, slots) + i, node);
        ((struct traced *)mid_get(d.u.thread, holder))->slots[8].bits_ = node; /* a number that happens to be the same */
        deep_settle(&d);
        assert_int_equal(deep_compact(&d), 2);
        const struct traced *t = mid_get(d.u.thread, deep_item(&d, 0));
        assert_int_not_equal(deep_item(&d, 1), node);
        for (unsigned i = 0; i < 8; i++)
            assert_int_equal(t->slots[i].bits_, deep_item(&d, 1));
        assert_int_equal(t->slots[8].bits_, node);
        deep_close(&d);
    }
}

static struct {
    mid_handle object;
    uint64_t value;
    size_t finalized, freed;
} ends;

static void finalize(mid_thread *thread, mid_handle object)
{
    ends.finalized++;
    ends.object = object;
    ends.value = ((struct node *)mid_get(thread, object))->value;
}

static void free_payload(void *payload, void *context)
{
    (void)context;
    ends.freed++;
    free(payload);
}

TEST(finalizers_and_payloads_follow)
{
    struct ending {
        struct node node;
        void *payload;
    };
    static struct deep d;
    memset(&ends, 0, sizeof ends);
    deep_open(&d, "deep=table");
    mid_type type = unit_node_type(d.u.heap, (mid_type_desc){.name = "ending", .size = sizeof(struct ending), .finalize = finalize,
                                                             .payload_free = free_payload, .payload_offset = offsetof(struct ending, payload)});
    mid_handle ending = deep_put(&d, 0, unit_new(&d.u, type));
    struct ending *at = mid_get(d.u.thread, ending);
    at->node.value = 99;
    at->payload = malloc(10);
    deep_settle(&d);
    assert_int_equal(deep_compact(&d), 1);
    mid_handle now = deep_item(&d, 0);
    assert_int_not_equal(now, ending);
    mid_store(d.u.thread, d.root, ITEM(0), 0);
    unit_drain(&d.u);
    assert_int_equal(ends.finalized, 1);
    assert_int_equal(ends.object, now);
    assert_int_equal(ends.value, 99);
    assert_int_equal(ends.freed, 1);
    deep_close(&d);
}

/* --- listeners, bad arguments ---------------------------------------------------------------------------------------------- */

struct heard {
    mid_handle from, to;
    size_t times;
};

static void on_rename(void *context, mid_handle from, mid_handle to)
{
    struct heard *heard = context;
    heard->times++;
    heard->from = from;
    heard->to = to;
}

TEST(listeners_are_told)
{
    static struct deep d;
    struct heard heard[2] = {{0}};
    deep_open(&d, "deep=table");
    for (int i = 0; i < 2; i++)
        ok(mid_listener_add(d.u.heap, &(mid_listener){.struct_size = sizeof(mid_listener), .context = &heard[i], .renamed = on_rename}));
    mid_handle node = deep_node(&d, 0, 1);
    deep_settle(&d);
    assert_int_equal(deep_compact(&d), 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(heard[i].times, 1);
        assert_int_equal(heard[i].from, node);
        assert_int_equal(heard[i].to, deep_item(&d, 0));
    }
    deep_close(&d);
}

TEST(an_unknown_kind_of_compaction)
{
    struct unit u;
    mid_compact_result result = {.micros = 7};
    unit_open(&u, "");
    expect(MID_EINVAL, mid_compact(u.thread, (mid_compact_kind)2, 0, &result));
    expect(MID_EINVAL, mid_compact(u.thread, (mid_compact_kind)-1, 0, &result));
    assert_int_equal(result.micros, 7);
    expect(MID_ENULL, mid_compact(NULL, MID_COMPACT_DEEP, 0, NULL));
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_held_from_outside_keeps_its_handle),
        cmocka_unit_test(what_is_pinned_keeps_its_handle),
        cmocka_unit_test(what_is_immortal_keeps_its_handle),
        cmocka_unit_test(what_an_identity_refers_to_keeps_its_handle),
        cmocka_unit_test(what_has_very_many_links_keeps_its_handle),
        cmocka_unit_test(objects_that_refer_to_themselves_and_each_other),
        cmocka_unit_test(weak_references_follow),
        cmocka_unit_test(large_objects_follow),
        cmocka_unit_test(traced_slots_follow),
        cmocka_unit_test(finalizers_and_payloads_follow),
        cmocka_unit_test(listeners_are_told),
        cmocka_unit_test(an_unknown_kind_of_compaction),
    };
    return UNIT_RUN(tests);
}
