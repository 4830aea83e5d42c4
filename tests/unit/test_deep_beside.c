/* Deep compaction beside all else: a program that changes everything between slices, collections, other kinds of compaction,
 * suspects, heaps that end in the middle. */
#include "deep.h"
#include "peer.h"

#include "gc/deep.h"
#include "gc/propose.h"

/* --- a model ------------------------------------------------------------------------------------------------------------ */

enum { OBJECTS = 600, LINKS = 3, HELD = 10 };

/* Object i is in item i of the root, has the tag i + 1, and refers to others by number; some are held by the test, too. */
struct model {
    struct unit u;
    mid_type types[3]; /* of growing arrays, of which the last is traced */
    mid_handle root;
    struct object {
        bool there;
        unsigned type;
        size_t items;
        unsigned to[LINKS]; /* + 1; 0: none */
        mid_weak weak;
    } objects[OBJECTS];
    struct {
        unsigned which;
        mid_handle handle; /* 0: none */
    } held[HELD];
    uint64_t seed;
    size_t renamed;
};

struct item {
    uint32_t length, tag;
    mid_slot slots[LINKS];
    uint32_t data[];
};

static void trace_item(const void *object, mid_visitor *visitor)
{
    const struct item *item = object;
    for (int i = 0; i < LINKS; i++)
        mid_visit(visitor, &item->slots[i]);
}

static unsigned below(struct model *m, unsigned n)
{
    return (unsigned)(unit_random(&m->seed) % n);
}

static mid_handle object_at(struct model *m, unsigned i)
{
    return mid_peek(m->u.thread, m->root, ITEM(i));
}

static void drop(struct model *m, unsigned i)
{
    struct object *o = &m->objects[i];
    for (unsigned n = 0; n < HELD; n++)
        if (m->held[n].handle != 0 && m->held[n].which == i)
            return; /* its tag would be somebody else's */
    for (unsigned n = 0; n < OBJECTS; n++)
        for (unsigned k = 0; m->objects[n].there && k < LINKS; k++)
            if (m->objects[n].to[k] == i + 1) {
                mid_store(m->u.thread, object_at(m, n), MID_SLOT(struct item, slots) + k, 0);
                m->objects[n].to[k] = 0;
            }
    mid_store(m->u.thread, m->root, ITEM(i), 0);
    ok(mid_weak_drop(m->u.thread, o->weak));
    *o = (struct object){0};
}

static size_t some_items(struct model *m)
{
    static const size_t most[] = {4, 200, 4000, 20000, 400000};
    return below(m, (unsigned)most[below(m, 200) == 0 ? 4 : below(m, 20) == 0 ? 3 : below(m, 3)]);
}

static void make(struct model *m, unsigned i)
{
    struct object *o = &m->objects[i];
    *o = (struct object){.there = true, .type = below(m, 3), .items = some_items(m)};
    mid_handle made = unit_array(&m->u, m->types[o->type], o->items);
    ((struct item *)mid_get(m->u.thread, made))->tag = i + 1;
    ok(mid_weak_new(m->u.thread, made, &o->weak));
    mid_give(m->u.thread, m->root, ITEM(i), made);
}

static void link_or_hold(struct model *m, unsigned i)
{
    unsigned other = below(m, OBJECTS), k = below(m, LINKS), n = below(m, HELD);
    if (!m->objects[other].there)
        return;
    if (below(m, 4) == 0) {
        mid_release(m->u.thread, m->held[n].handle);
        m->held[n].which = i;
        m->held[n].handle = below(m, 3) == 0 ? 0 : mid_weak_get(m->u.thread, m->objects[i].weak);
    } else {
        mid_store(m->u.thread, object_at(m, i), MID_SLOT(struct item, slots) + k, object_at(m, other));
        m->objects[i].to[k] = other + 1;
    }
}

static void change(struct model *m)
{
    unsigned i = below(m, OBJECTS);
    struct object *o = &m->objects[i];
    if (!o->there) {
        make(m, i);
    } else if (below(m, 4) == 0) {
        drop(m, i);
    } else if (below(m, 6) == 0) {
        o->items = some_items(m);
        ok(mid_resize(m->u.thread, object_at(m, i), o->items));
    } else {
        link_or_hold(m, i);
    }
}

static void compare(struct model *m)
{
    for (unsigned i = 0; i < OBJECTS; i++) {
        const struct object *o = &m->objects[i];
        mid_handle at = object_at(m, i);
        assert_int_equal(at != 0, o->there);
        if (!o->there)
            continue;
        const struct item *item = mid_get(m->u.thread, at);
        assert_int_equal(item->tag, i + 1);
        assert_int_equal(item->length, o->items);
        for (unsigned k = 0; k < LINKS; k++)
            assert_int_equal(item->slots[k].bits_, o->to[k] == 0 ? 0 : object_at(m, o->to[k] - 1));
        mid_handle got = mid_weak_get(m->u.thread, o->weak);
        assert_int_equal(got, at);
        mid_release(m->u.thread, got);
    }
    for (unsigned n = 0; n < HELD; n++)
        if (m->held[n].handle != 0)
            assert_int_equal(m->held[n].handle, object_at(m, m->held[n].which));
    unit_check(&m->u);
}

static void on_rename(void *context, mid_handle from, mid_handle to)
{
    (void)from, (void)to;
    ((struct model *)context)->renamed++;
}

static void open_model(struct model *m, const char *options, uint64_t seed)
{
    static const uint32_t slots[] = {offsetof(struct item, slots), offsetof(struct item, slots) + 4, offsetof(struct item, slots) + 8};
    memset(m, 0, sizeof *m);
    m->seed = seed;
    unit_open(&m->u, options);
    for (unsigned i = 0; i < 3; i++)
        m->types[i] = unit_type(m->u.heap, (mid_type_desc){.name = "item", .size = sizeof(struct item), .item_size = i == 1 ? 1 : 4,
                                                           .length_offset = offsetof(struct item, length),
                                                           .ref_offsets = i == 2 ? NULL : slots, .ref_count = i == 2 ? 0 : LINKS,
                                                           .trace = i == 2 ? trace_item : NULL});
    m->root = unit_array(&m->u, m->u.vec, OBJECTS);
    ok(mid_listener_add(m->u.heap, &(mid_listener){.struct_size = sizeof(mid_listener), .context = m, .renamed = on_rename}));
}

static void close_model(struct model *m)
{
    for (unsigned i = 0; i < HELD; i++)
        mid_release(m->u.thread, m->held[i].handle);
    for (unsigned i = 0; i < OBJECTS; i++)
        if (m->objects[i].there)
            ok(mid_weak_drop(m->u.thread, m->objects[i].weak));
    mid_release(m->u.thread, m->root);
    ok(mid_collect(m->u.thread, NULL));
    unit_close_empty(&m->u);
}

/* Between slices of any length: a few steps of the program, and now and then a great change, or another kind of work. */
static void run_model(const char *options, uint64_t seed, bool logs)
{
    static struct model m;
    open_model(&m, options, seed);
    __atomic_store_n(&m.u.heap->logging, logs, __ATOMIC_RELAXED);
    for (size_t step = 0; step < unit_scale(6000); step++) {
        for (unsigned n = below(&m, 4); n != 0; n--)
            change(&m);
        if (below(&m, 200) == 0)
            for (unsigned i = below(&m, 2); i < OBJECTS; i += 1 + below(&m, 2))
                if (m.objects[i].there)
                    drop(&m, i);
        if (below(&m, 100) == 0)
            ok(mid_collect(m.u.thread, NULL));
        if (below(&m, 50) == 0)
            ok(mid_compact(m.u.thread, below(&m, 2) == 0 ? MID_COMPACT_PLAIN : MID_COMPACT_DEEP, 0, NULL));
        if (below(&m, 50) == 0)
            mid_step(m.u.thread, below(&m, 300));
        if (below(&m, 50) == 0)
            mid_trim(m.u.thread, 0, NULL);
        mid_status status = deep_next(&m.u, below(&m, 3) == 0 ? 100 : 0);
        assert_true(status == MID_OK || status == MID_MORE || status == MID_EBUSY);
        ok(mid_safepoint(m.u.thread));
        if (step % 16 == 0)
            compare(&m);
    }
    compare(&m);
    assert_true(m.renamed != 0);
    close_model(&m);
}

TEST(a_program_that_changes_everything_between_slices)
{
    for (int order = 0; order < 3; order++)
        for (uint64_t seed = 1; seed <= 2; seed++)
            run_model(orders[order], seed, false);
}

TEST(the_same_where_suspects_are_logged)
{
    for (int order = 0; order < 3; order++)
        run_model(orders[order], 3, true);
}

TEST(the_same_where_one_thread_is_all)
{
    run_model("deep=depth,shared=off", 4, false);
}

/* --- threads that run ------------------------------------------------------------------------------------------------------------ */

enum { OWN = 500 };

/* Item i has a node of value i, and that refers to a node of the one before. What is wrong is counted: this is no place to fail. */
static void works(struct peer *peer)
{
    struct unit *u = peer->unit;
    mid_handle array, made;
    uint64_t seed = peer->number;
    peer->wrong += mid_new_array(peer->thread, u->vec, OWN, &array) != MID_OK;
    while (peer_goes_on(peer)) {
        for (int n = 0; n < 20; n++) {
            size_t i = unit_random(&seed) % OWN;
            if (unit_random(&seed) % 3 == 0) {
                mid_store(peer->thread, array, ITEM(i), 0);
                continue;
            }
            peer->wrong += mid_new(peer->thread, u->node, &made) != MID_OK;
            ((struct node *)mid_get(peer->thread, made))->value = i;
            mid_store(peer->thread, made, LEFT, mid_peek(peer->thread, array, ITEM(i == 0 ? OWN - 1 : i - 1)));
            mid_give(peer->thread, array, ITEM(i), made);
            if (unit_random(&seed) % 8 == 0) /* or all would hold chains of what was there before */
                for (size_t k = 0; k < OWN; k++)
                    if ((made = mid_peek(peer->thread, array, ITEM(k))) != 0)
                        mid_store(peer->thread, made, LEFT, 0);
        }
        peer->wrong += mid_safepoint(peer->thread) != MID_OK;
        for (size_t i = 0; i < OWN; i++) {
            mid_handle node = mid_peek(peer->thread, array, ITEM(i)), left = node == 0 ? 0 : mid_peek(peer->thread, node, LEFT);
            peer->wrong += node != 0 && ((struct node *)mid_get(peer->thread, node))->value != i;
            peer->wrong += left != 0 && ((struct node *)mid_get(peer->thread, left))->value != (i == 0 ? OWN - 1 : i - 1);
        }
    }
    mid_release(peer->thread, array);
}

TEST(threads_that_change_their_objects_while_they_are_read)
{
    for (int order = 0; order < 3; order++) {
        struct unit u;
        unit_open(&u, orders[order]);
        struct peer *peers[2];
        for (int i = 0; i < 2; i++) {
            peers[i] = peer_new(&u);
            peers[i]->number = (uint64_t)i + 1;
            peer_begin(peers[i], works);
        }
        for (size_t passes = 0; passes < unit_scale(100) + 2;) {
            uint64_t renamed;
            mid_snapshot s;
            mid_service_snapshot(u.heap, &s);
            if (s.deepening != MID_DEEPENS_STOPPED) {
                passes += s.deepening == MID_DEEPENS_NOT;
                assert_true(deep_read(&u, 20) <= MID_MORE);
            } else if (mid_service_stop(u.heap, u.thread, 1000000, NULL) == MID_OK) {
                mid_status status = mid_service_deep(u.heap, 20, &renamed);
                mid_service_resume(u.heap);
                assert_true(status <= MID_MORE);
            }
            ok(mid_safepoint(u.thread));
        }
        for (int i = 0; i < 2; i++) {
            peer_finish_polling(peers[i], u.thread);
            assert_int_equal(peers[i]->wrong, 0);
            peer_end(peers[i]);
        }
        ok(mid_collect(u.thread, NULL));
        unit_close_empty(&u);
    }
}

/* --- suspects ---------------------------------------------------------------------------------------------------------------- */

/* A suspect that somebody has on a list keeps its handle in slices, wherever that list is, and in the end it is found to be alive, or
 * freed: also if its handle has changed, because there was time to make the lists anew. */
static void suspect_on_a_list(bool walked)
{
    static struct deep d;
    uint64_t found, proposed, renamed;
    deep_open(&d, "deep=table");
    __atomic_store_n(&d.u.heap->logging, true, __ATOMIC_RELAXED);
    mid_handle node = deep_node(&d, 0, 1), ring = unit_ring(&d.u, d.u.node, 3), other = deep_node(&d, 1, 2);
    mid_retain(d.u.thread, node);
    mid_release(d.u.thread, node); /* it is a suspect now */
    mid_release(d.u.thread, ring); /* so is this, which is garbage */
    deep_settle(&d);
    if (walked) {
        mid_suspects_give(mid_impl_of(d.u.thread));
        ok(mid_service_propose(d.u.heap, 1000000000, &found, &proposed));
        assert_true(proposed >= 3);
    }
    while (deep_read(&d.u, 0) == MID_MORE)
        ;
    expect(walked ? MID_EBUSY : MID_OK, deep_slice(&d.u, 1000000000, &renamed));
    assert_int_equal(renamed, walked ? 0 : 3); /* and the others of the ring */
    assert_int_equal(deep_item(&d, 0), node);
    assert_int_equal(deep_item(&d, 1) != other, !walked);
    assert_true(mid_is_live(d.u.thread, ring));
    ok(mid_compact(d.u.thread, MID_COMPACT_DEEP, 0, NULL)); /* it proves first, takes them off their lists, and puts them on again */
    assert_int_equal(unit_live(&d.u), walked ? 3 : 6);
    unit_check(&d.u);
    ok(mid_step(d.u.thread, 1000000000));
    assert_int_equal(unit_live(&d.u), 3);
    assert_int_equal(unit_node(&d.u, deep_item(&d, 0))->value, 1);
    deep_close(&d);
}

TEST(suspects_on_lists_keep_their_handles)
{
    suspect_on_a_list(false);
    suspect_on_a_list(true);
}

/* --- a heap that ends in the middle --------------------------------------------------------------------------------------------- */

static void in_the_middle(mid_deep_step step, void (*end)(struct deep *d))
{
    for (int order = 1; order < 3; order++) {
        static struct deep d;
        deep_open(&d, orders[order]);
        deep_node(&d, 0, 1);
        for (size_t i = 0; i < FILLER; i += 3) {
            mid_release(d.u.thread, d.filler[i]);
            d.filler[i] = 0;
        }
        unit_drain(&d.u);
        for (size_t slices = 0; d.u.heap->deep == NULL || d.u.heap->deep->step != step; slices++)
            assert_true(deep_next(&d.u, 0) <= MID_MORE && slices < 100000);
        end(&d);
    }
}

static void reclaim_and_close(struct deep *d)
{
    mid_reclaim(d->u.thread);
    assert_null(d->u.heap->deep);
    unit_check(&d->u);
    assert_int_equal(unit_node(&d->u, deep_item(d, 0))->value, 1);
    deep_settle(d);
    deep_close(d);
}

static void close_at_once(struct deep *d)
{
    deep_settle(d);
    deep_close(d);
}

static void destroy(struct deep *d)
{
    unit_destroy(&d->u);
}

TEST(a_pass_that_is_abandoned)
{
    static const mid_deep_step steps[] = {MID_DEEP_LINK, MID_DEEP_ORDER, MID_DEEP_STILL, MID_DEEP_PLACE, MID_DEEP_FREE};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        in_the_middle(steps[i], reclaim_and_close);
        in_the_middle(steps[i], close_at_once);
        in_the_middle(steps[i], destroy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_that_changes_everything_between_slices),
        cmocka_unit_test(the_same_where_suspects_are_logged),
        cmocka_unit_test(the_same_where_one_thread_is_all),
        cmocka_unit_test(threads_that_change_their_objects_while_they_are_read),
        cmocka_unit_test(suspects_on_lists_keep_their_handles),
        cmocka_unit_test(a_pass_that_is_abandoned),
    };
    return UNIT_RUN(tests);
}
