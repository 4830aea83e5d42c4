/* The cases of PHP's Zend/tests/gc, by their numbers. Those that differ in nothing but the syntax that makes the garbage share a
 * body here. */
#include "cycles.h"
#include "peers.h"

/* Without a service nothing collects by itself: its growth is the switch. */
static void switched(int on)
{
    struct unit u;
    memset(&peers, 0, sizeof peers);
    cycles_open(&u, "");
    if (on)
        mid_service_set_growth(u.heap, 65536, 10);
    const size_t rings = 20000;
    for (size_t i = 0; i < rings; i++) {
        mid_release(u.thread, unit_ring(&u, u.node, 2));
        ok(mid_safepoint(u.thread));
    }
    assert_true(on ? unit_live(&u) < rings : unit_live(&u) == 2 * rings);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 0);
    cycles_close(&u);
}

static mid_handle list_in_itself(struct unit *u, size_t items, size_t at)
{
    mid_handle list = unit_array(u, u->vec, items);
    mid_store(u->thread, list, ITEM(at), list);
    return list;
}

/* Alive it is not touched; let go of, exactly it is garbage. */
static void goes(struct unit *u, mid_handle held, uint64_t garbage)
{
    assert_int_equal(peers_collect(u), 0);
    mid_release(u->thread, held);
    assert_int_equal(peers_collect(u), garbage);
    peers_end(u);
}

/* Two arrays that hold themselves, the one in the other; the variable then gets another value by whatever means. */
static void detached(void)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle variable = unit_new(&u, u.node), a = list_in_itself(&u, 2, 0);
    mid_give(u.thread, a, ITEM(1), list_in_itself(&u, 1, 0));
    mid_give(u.thread, variable, LEFT, a);
    assert_int_equal(peers_collect(&u), 0);
    mid_give(u.thread, variable, LEFT, mid_from_int(1));
    assert_int_equal(peers_collect(&u), 2);
    mid_release(u.thread, variable);
    peers_end(&u);
}

/* A cycle of two with finalizers that break it from either end. */
static void destructors(void)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_break);
    mid_handle foo = unit_new(&u, type), bar = unit_new(&u, type);
    mid_store(u.thread, foo, LEFT, bar);
    mid_store(u.thread, bar, LEFT, foo);
    mid_give(u.thread, foo, RIGHT, unit_array(&u, u.vec, 3));
    mid_release(u.thread, foo);
    mid_release(u.thread, bar);
    peers_collect(&u);
    assert_int_equal(peers.calls, 2);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

/* So many roots that a buffer of ten thousand would overflow, several times. */
static void overflow(size_t rounds)
{
    struct unit u;
    memset(&peers, 0, sizeof peers);
    cycles_open(&u, "");
    for (size_t round = 0; round < rounds; round++) {
        unit_drop_rings(&u, u.node, 12000, 2);
        assert_true(cycles_find(&u) > 0);
    }
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 0);
    cycles_close(&u);
}

/* Rings that come and go while what is handed from hand to hand is alive, and collected around. */
static void in_hand(void)
{
    struct unit u;
    memset(&peers, 0, sizeof peers);
    cycles_open(&u, "");
    mid_service_set_growth(u.heap, 65536, 10);
    mid_handle result = 0;
    for (size_t i = 0; i < unit_scale(100000); i++) {
        mid_release(u.thread, unit_ring(&u, u.node, 2));
        mid_handle box = unit_array(&u, u.vec, 1), object = peers_node(&u, u.node, i);
        mid_give(u.thread, box, ITEM(0), object);
        mid_release(u.thread, result);
        result = mid_load(u.thread, box, ITEM(0));
        mid_release(u.thread, box);
        ok(mid_safepoint(u.thread));
        assert_int_equal(unit_node(&u, result)->value, i);
    }
    mid_release(u.thread, result);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 0);
    cycles_close(&u);
}

static void make_another(mid_thread *thread, mid_handle object)
{
    mid_handle made;
    (void)object;
    if (mid_new(thread, peers.type, &made) != MID_OK)
        return;
    mid_store(thread, made, LEFT, made);
    mid_release(thread, made);
}

static void spoil(mid_thread *thread, mid_handle object)
{
    peers.status = mid_resize(thread, object, 7); /* fails, as what is thrown would */
}

static void drop_right(mid_thread *thread, mid_handle object)
{
    peers_note(thread, object);
    mid_store(thread, object, RIGHT, 0);
}

static void trace_both(const void *object, mid_visitor *visitor)
{
    mid_visit(visitor, &((const struct node *)object)->left);
    mid_visit(visitor, &((const struct node *)object)->right);
}

static void free_resource(void *resource, void *context)
{
    (void)context;
    free(resource);
    peers.callbacks++;
}

TEST(php_gc_001)
{
    switched(1);
}

TEST(php_gc_002)
{
    switched(1);
}

TEST(php_gc_003)
{
    switched(0);
}

TEST(php_gc_004)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle list = unit_array(&u, u.vec, 1);
    mid_give(u.thread, list, ITEM(0), list_in_itself(&u, 1, 0));
    goes(&u, list, 1); /* the outer one dies by its count */
}

TEST(php_gc_005)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle one = unit_new(&u, u.node);
    mid_store(u.thread, one, LEFT, one);
    goes(&u, one, 1);
}

TEST(php_gc_006)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle one = unit_new(&u, u.node), list = unit_array(&u, u.vec, 1);
    mid_store(u.thread, list, ITEM(0), one);
    mid_give(u.thread, one, LEFT, list);
    goes(&u, one, 2);
}

TEST(php_gc_007)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle list = unit_array(&u, u.vec, 1);
    mid_give(u.thread, list, ITEM(0), list_in_itself(&u, 1, 0));
    assert_int_equal(peers_collect(&u), 0);
    mid_give(u.thread, list, ITEM(0), 0); /* its holder lives on */
    assert_int_equal(peers_collect(&u), 1);
    goes(&u, list, 0);
}

TEST(php_gc_008)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle one = unit_new(&u, u.node);
    mid_give(u.thread, one, LEFT, peers_self(&u, u.node));
    goes(&u, one, 1);
}

TEST(php_gc_009)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle list = unit_array(&u, u.vec, 1), one = unit_new(&u, u.node), inner = unit_array(&u, u.vec, 1);
    mid_store(u.thread, inner, ITEM(0), one);
    mid_give(u.thread, one, LEFT, inner);
    mid_give(u.thread, list, ITEM(0), one);
    goes(&u, list, 2);
}

TEST(php_gc_010)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle globals = list_in_itself(&u, 100, 50);
    goes(&u, globals, 1);
}

TEST(php_gc_011)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    mid_handle foo = peers_self(&u, type);
    mid_give(u.thread, foo, RIGHT, peers_node(&u, u.node, 1));
    mid_release(u.thread, foo);
    peers_collect(&u);
    assert_int_equal(peers.calls, 1);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

TEST(php_gc_012)
{
    struct unit u;
    peers_open(&u, "", NULL);
    for (int i = 0; i < 1000; i++)
        mid_release(u.thread, list_in_itself(&u, 1, 0));
    assert_int_equal(peers_collect(&u), 1000);
    peers_end(&u);
}

TEST(php_gc_013)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle all = unit_array(&u, u.vec, 10001);
    for (unsigned i = 0; i < 10001; i++) {
        mid_handle one = unit_new(&u, u.node);
        mid_store(u.thread, one, RIGHT, all);
        mid_init(u.thread, all, ITEM(i), one);
    }
    goes(&u, all, 10002);
}

TEST(php_gc_014)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle all = unit_array(&u, u.vec, 10001);
    for (unsigned i = 0; i < 10001; i++) {
        mid_handle one = peers_self(&u, u.node);
        mid_store(u.thread, one, RIGHT, all);
        mid_init(u.thread, all, ITEM(i), one);
    }
    goes(&u, all, 10002);
}

TEST(php_gc_015)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle a = unit_new(&u, u.node), b = unit_new(&u, u.node), c = unit_new(&u, u.node);
    mid_store(u.thread, a, LEFT, c); /* the cycle is behind the root, not through it */
    mid_store(u.thread, c, LEFT, b);
    mid_store(u.thread, b, LEFT, c);
    mid_release(u.thread, b);
    mid_release(u.thread, c);
    goes(&u, a, 2);
}

TEST(php_gc_016)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    peers.then = peers_collect_inside;
    mid_release(u.thread, peers_self(&u, type));
    peers_collect(&u);
    assert_int_equal(peers.status, MID_EBUSY); /* what it made is for the next one */
    peers_collect(&u);
    assert_int_equal(peers.calls, 1);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

TEST(php_gc_017)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    mid_handle parent = peers_node(&u, type, 1);
    for (int i = 0; i < 2; i++) { /* children that know their parent */
        mid_handle child = peers_node(&u, type, 2 + (uint64_t)i);
        mid_store(u.thread, child, LEFT, parent);
        mid_give(u.thread, parent, i ? RIGHT : LEFT, child);
    }
    mid_release(u.thread, parent);
    peers_collect(&u);
    assert_int_equal(peers.calls, 3);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

TEST(php_gc_018)
{
    detached();
}

TEST(php_gc_019)
{
    detached();
}

TEST(php_gc_020)
{
    detached();
}

TEST(php_gc_021)
{
    detached();
}

TEST(php_gc_022)
{
    detached();
}

TEST(php_gc_023)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle all = unit_array(&u, u.vec, 0);
    for (unsigned i = 0; i < 3000; i++) { /* it grows, and refers to itself from each item */
        ok(mid_resize(u.thread, all, i + 1));
        mid_store(u.thread, all, ITEM(i), all);
    }
    goes(&u, all, 1);
}

/* A trace function names what there is, beside no slot. */
static void traced_alone(void)
{
    struct unit u;
    static const uint32_t none[1] = {0};
    peers_open(&u, "", NULL);
    mid_type traced = unit_type(u.heap, (mid_type_desc){.name = "traced", .size = sizeof(struct node), .ref_offsets = none, .trace = trace_both});
    mid_handle one = unit_new(&u, traced);
    mid_store(u.thread, one, LEFT, one);
    goes(&u, one, 1);
}

TEST(php_gc_024)
{
    traced_alone();
}

TEST(php_gc_025)
{
    overflow(1);
}

TEST(php_gc_026)
{
    overflow(3);
}

TEST(php_gc_027)
{
    traced_alone();
}

TEST(php_gc_028)
{
    destructors();
}

TEST(php_gc_029)
{
    destructors();
}

TEST(php_gc_030)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note); /* finalizers cannot throw: the next one runs whatever this one did */
    peers.then = spoil;
    mid_handle foo = unit_new(&u, type), bar = unit_new(&u, type);
    mid_store(u.thread, foo, LEFT, bar);
    mid_store(u.thread, bar, LEFT, foo);
    mid_release(u.thread, foo);
    mid_release(u.thread, bar);
    peers_collect(&u);
    assert_int_equal(peers.calls, 2);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

TEST(php_gc_031)
{
    switched(0);
}

TEST(php_gc_032)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle a = unit_array(&u, u.vec, 1), copy = unit_array(&u, u.vec, 1);
    mid_store(u.thread, copy, ITEM(0), mid_peek(u.thread, a, ITEM(0))); /* by value: of what was there before */
    mid_give(u.thread, a, ITEM(0), copy);
    assert_int_equal(unit_count(&u, copy), 1);
    goes(&u, a, 0);
}

TEST(php_gc_033)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_break);
    mid_handle hub = unit_array(&u, u.vec, 50);
    for (unsigned i = 0; i < 50; i++) {
        mid_handle one = peers_node(&u, type, i);
        mid_store(u.thread, one, LEFT, hub);
        mid_store(u.thread, one, RIGHT, i == 0 ? one : mid_peek(u.thread, hub, ITEM(i - 1)));
        mid_init(u.thread, hub, ITEM(i), one);
    }
    mid_release(u.thread, hub);
    peers_collect(&u);
    unit_drain(&u);
    assert_int_equal(peers.calls, 50);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

TEST(php_gc_034)
{
    struct unit u;
    peers_open(&u, "", NULL);
    static const uint32_t slot[] = {0};
    struct { mid_slot self; void *resource; } *memory;
    mid_type type = unit_type(u.heap, (mid_type_desc){.name = "resource", .size = sizeof *memory, .ref_offsets = slot, .ref_count = 1,
                                                      .payload_free = free_resource, .payload_offset = 8});
    mid_handle one = unit_new(&u, type);
    mid_store(u.thread, one, 0, one);
    memory = mid_get(u.thread, one);
    memory->resource = malloc(100);
    mid_release(u.thread, one);
    unit_close(&u); /* a cycle that is open when all ends */
    assert_int_equal(peers.callbacks, 1);
}

TEST(php_gc_035)
{
    struct unit u;
    mid_type type = peers_open(&u, "", drop_right);
    mid_handle a = peers_self(&u, type), inner = list_in_itself(&u, 2, 0);
    mid_store(u.thread, inner, ITEM(1), a);
    mid_give(u.thread, a, RIGHT, inner);
    assert_int_equal(peers_collect(&u), 0);
    mid_release(u.thread, a);
    peers_collect(&u);
    assert_int_equal(unit_live(&u), 0); /* what the finalizer let go of is not lost */
    peers_end(&u);
}

TEST(php_gc_036)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle list = list_in_itself(&u, 1, 0);
    goes(&u, list, 1); /* held while it is collected around, as an argument is */
}

TEST(php_gc_037)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_stats before = unit_stats(&u);
    for (int i = 0; i < 500; i++)
        mid_release(u.thread, list_in_itself(&u, 1, 0));
    peers_collect(&u);
    mid_stats after = unit_stats(&u);
    assert_int_equal(after.collections - before.collections, 1);
    assert_int_equal(after.collected_objects - before.collected_objects, 500);
    peers_end(&u);
}

/* The only reference is overwritten, in each way there is. */
static void overwritten(void)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle holder = unit_new(&u, u.node);
    for (int i = 0; i < 12; i++) {
        mid_give(u.thread, holder, LEFT, peers_self(&u, u.node));
        if (i % 3 == 0)
            mid_give(u.thread, holder, LEFT, mid_from_int(i));
        else if (i % 3 == 1)
            mid_store(u.thread, holder, LEFT, 0);
        else
            mid_release(u.thread, mid_swap(u.thread, holder, LEFT, 0));
        assert_int_equal(peers_collect(&u), 1);
    }
    goes(&u, holder, 0);
}

TEST(php_gc_038)
{
    overwritten();
}

TEST(php_gc_039)
{
    overwritten();
}

TEST(php_gc_040)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle shared = unit_array(&u, u.vec, 2), a = unit_new(&u, u.node), b = unit_new(&u, u.node);
    mid_store(u.thread, shared, ITEM(0), a);
    mid_store(u.thread, shared, ITEM(1), b);
    mid_give(u.thread, a, LEFT, mid_retain(u.thread, shared));
    mid_give(u.thread, b, LEFT, shared);
    mid_release(u.thread, b);
    goes(&u, a, 3);
}

/* What is saved is resurrected with all it has: garbage of `objects`, in a ring or one list that holds itself. */
static void resurrected(unsigned objects)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_save);
    mid_handle object = peers_self(&u, type), nested = objects == 1 ? list_in_itself(&u, 1, 0) : unit_ring(&u, u.node, objects);
    mid_give(u.thread, object, RIGHT, nested);
    mid_release(u.thread, object);
    peers_collect(&u);
    assert_int_equal(peers.saved_count, 1);
    assert_int_equal(mid_peek(u.thread, object, RIGHT), nested);
    assert_int_equal(unit_live(&u), 1 + objects);
    peers_drop_saved(&u);
    peers_end(&u);
}

TEST(php_gc_041)
{
    resurrected(1);
}

TEST(php_gc_042)
{
    resurrected(3);
}

TEST(php_gc_043)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle o1 = unit_new(&u, u.node), o2 = unit_new(&u, u.node), table = unit_array(&u, u.vec, 1);
    mid_store(u.thread, table, ITEM(0), o2);
    mid_give(u.thread, o2, LEFT, table);
    mid_store(u.thread, o1, LEFT, o2);
    mid_release(u.thread, o1);
    goes(&u, o2, 2);
}

TEST(php_gc_044)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle o1 = unit_new(&u, u.node), o2 = unit_new(&u, u.node), table = unit_array(&u, u.vec, 1);
    mid_store(u.thread, table, ITEM(0), o2);
    mid_give(u.thread, o2, LEFT, table);
    mid_store(u.thread, o2, RIGHT, table);
    mid_release(u.thread, o1);
    goes(&u, o2, 2);
}

TEST(php_gc_045)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    for (uint64_t i = 0; i < 3000; i++) {
        mid_handle foo = peers_self(&u, u.node);
        mid_give(u.thread, foo, RIGHT, peers_node(&u, type, i));
        mid_release(u.thread, foo);
    }
    mid_stats before = unit_stats(&u);
    peers_collect(&u);
    assert_int_equal(peers.calls, 3000);
    assert_int_equal(unit_live(&u), 0);
    assert_true(unit_stats(&u).freed_objects - before.freed_objects == 6000); /* the total survives what finalizers had to be waited for */
    peers_end(&u);
}

TEST(php_gc_046)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle action = unit_new(&u, u.node), iterator = unit_new(&u, u.node);
    mid_store(u.thread, iterator, LEFT, action);
    mid_give(u.thread, action, LEFT, iterator);
    for (int i = 0; i < 2; i++) { /* wrapped in another */
        mid_handle filter = unit_new(&u, u.node);
        mid_store(u.thread, filter, LEFT, mid_peek(u.thread, action, LEFT));
        mid_give(u.thread, action, LEFT, filter);
    }
    goes(&u, action, 4);
}

TEST(php_gc_047)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle list = unit_array(&u, u.vec, 1);
    mid_init(u.thread, list, ITEM(0), list); /* its only count goes into itself */
    assert_int_equal(peers_collect(&u), 1);
    peers_end(&u);
}

TEST(php_gc_048)
{
    struct unit u;
    mid_weak plain, finalized;
    mid_type type = peers_open(&u, "", peers_note);
    peers.then = peers_collect_inside;
    mid_handle a = unit_ring(&u, u.node, 2), b = unit_ring(&u, type, 2);
    ok(mid_weak_new(u.thread, a, &plain));
    ok(mid_weak_new(u.thread, b, &finalized));
    assert_int_equal(peers_collect(&u), 0);
    mid_release(u.thread, a);
    mid_release(u.thread, b);
    peers_collect(&u); /* one is enough, for both */
    assert_int_equal(mid_weak_get(u.thread, plain), 0);
    assert_int_equal(mid_weak_get(u.thread, finalized), 0);
    assert_int_equal(unit_live(&u), 2); /* what the finalizers made */
    ok(mid_weak_drop(u.thread, plain));
    ok(mid_weak_drop(u.thread, finalized));
    peers_end(&u);
}

TEST(php_gc_049)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    peers.then = make_another;
    mid_release(u.thread, peers_self(&u, type));
    for (size_t i = 1; i <= 6; i++) {
        peers_collect(&u); /* comes to an end, though each finalizer makes what the next one is to collect */
        assert_true(peers.calls >= i && unit_live(&u) == 1);
    }
    peers.then = NULL;
    peers_end(&u);
}

TEST(php_gc_050)
{
    in_hand();
}

TEST(php_gc_051)
{
    in_hand();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(php_gc_001),
        cmocka_unit_test(php_gc_002),
        cmocka_unit_test(php_gc_003),
        cmocka_unit_test(php_gc_004),
        cmocka_unit_test(php_gc_005),
        cmocka_unit_test(php_gc_006),
        cmocka_unit_test(php_gc_007),
        cmocka_unit_test(php_gc_008),
        cmocka_unit_test(php_gc_009),
        cmocka_unit_test(php_gc_010),
        cmocka_unit_test(php_gc_011),
        cmocka_unit_test(php_gc_012),
        cmocka_unit_test(php_gc_013),
        cmocka_unit_test(php_gc_014),
        cmocka_unit_test(php_gc_015),
        cmocka_unit_test(php_gc_016),
        cmocka_unit_test(php_gc_017),
        cmocka_unit_test(php_gc_018),
        cmocka_unit_test(php_gc_019),
        cmocka_unit_test(php_gc_020),
        cmocka_unit_test(php_gc_021),
        cmocka_unit_test(php_gc_022),
        cmocka_unit_test(php_gc_023),
        cmocka_unit_test(php_gc_024),
        cmocka_unit_test(php_gc_025),
        cmocka_unit_test(php_gc_026),
        cmocka_unit_test(php_gc_027),
        cmocka_unit_test(php_gc_028),
        cmocka_unit_test(php_gc_029),
        cmocka_unit_test(php_gc_030),
        cmocka_unit_test(php_gc_031),
        cmocka_unit_test(php_gc_032),
        cmocka_unit_test(php_gc_033),
        cmocka_unit_test(php_gc_034),
        cmocka_unit_test(php_gc_035),
        cmocka_unit_test(php_gc_036),
        cmocka_unit_test(php_gc_037),
        cmocka_unit_test(php_gc_038),
        cmocka_unit_test(php_gc_039),
        cmocka_unit_test(php_gc_040),
        cmocka_unit_test(php_gc_041),
        cmocka_unit_test(php_gc_042),
        cmocka_unit_test(php_gc_043),
        cmocka_unit_test(php_gc_044),
        cmocka_unit_test(php_gc_045),
        cmocka_unit_test(php_gc_046),
        cmocka_unit_test(php_gc_047),
        cmocka_unit_test(php_gc_048),
        cmocka_unit_test(php_gc_049),
        cmocka_unit_test(php_gc_050),
        cmocka_unit_test(php_gc_051),
    };
    return UNIT_RUN(tests);
}
