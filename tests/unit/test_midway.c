/* What fails, or ends, in the middle of something else: a refusal at the first of two steps, a finalizer that finds no memory, a thread
 * that ends inside a callback. */
#include <pthread.h>

#include "fault_os.h"
#include "midden/domain.h"
#include "midden/weak.h"
#include "unit.h"

/* Objects that wait to be freed: the batch of a release is small. */
static void leave_work(struct unit *u, unsigned objects)
{
    mid_handle list = 0, made;
    for (unsigned i = 0; i < objects; i++) {
        ok(mid_new(u->thread, u->node, &made));
        mid_give(u->thread, made, LEFT, list);
        list = made;
    }
    mid_release(u->thread, list);
    assert_true(unit_stats(u).waiting_objects != 0);
}

/* --- blocks of the domain mem ------------------------------------------------------------------------------------------------ */

struct maker {
    mid_heap *heap;
    void *block;
};

static void *make_block(void *context)
{
    struct maker *m = context;
    mid_thread *thread;
    if (mid_thread_attach(m->heap, &thread) != MID_OK || mid_mem_malloc(thread, 64, &m->block) != MID_OK)
        return NULL;
    mid_thread_detach(thread);
    return m;
}

static void filled_by_another(struct unit *u, void **block)
{
    struct maker m = {u->heap, NULL};
    pthread_t id;
    void *made;
    assert_int_equal(pthread_create(&id, NULL, make_block, &m), 0);
    pthread_join(id, &made);
    assert_ptr_equal(made, &m);
    memset(m.block, 'x', 64);
    *block = m.block;
}

/* The thread's first call needs memory of its own first, and is refused that once. */
TEST(a_first_call_is_refused_and_served_when_something_was_freed)
{
    struct fault_os fault;
    struct unit u;
    void *block, *other;
    size_t size = 0;
    fault_open(&u, &fault, "free-batch=32");
    filled_by_another(&u, &block);
    leave_work(&u, 5000);
    fault.fail_at = fault.calls + 1;
    ok(mid_mem_realloc(u.thread, &block, 20000));
    assert_int_equal(fault.failed, 1);
    ok(mid_mem_size(u.thread, block, &size));
    assert_int_equal(size, 20000);
    for (int i = 0; i < 64; i++)
        assert_int_equal(((char *)block)[i], 'x');
    ok(mid_mem_free(u.thread, block));
    unit_check(&u);
    fault_close(&u, &fault);

    fault_open(&u, &fault, "free-batch=32");
    leave_work(&u, 5000);
    fault.fail_at = fault.calls + 1;
    ok(mid_mem_malloc(u.thread, 100, &other));
    assert_int_equal(fault.failed, 1);
    ok(mid_mem_free(u.thread, other));
    fault_close(&u, &fault);
}

TEST(to_shrink_takes_no_first_call)
{
    struct fault_os fault;
    struct unit u;
    void *block;
    size_t size = 0;
    mid_domain_stats s;
    fault_open(&u, &fault, "");
    filled_by_another(&u, &block);
    fault.fail_at = fault.calls + 1;
    fault.for_good = 1;
    expect(MID_ENOMEM, mid_mem_realloc(u.thread, &block, 300));
    ok(mid_mem_realloc(u.thread, &block, 10));
    ok(mid_mem_size(u.thread, block, &size));
    assert_int_equal(size, 10);
    ok(mid_stats_domain(u.heap, MID_DOMAIN_MEM, &s, sizeof s));
    assert_int_equal(s.asked_bytes, 10);
    assert_int_equal(s.reallocations, 1);
    void *astray = (char *)block + 8;
    expect(MID_EBLOCK, mid_mem_realloc(u.thread, &astray, 1));
    fault.fail_at = 0;
    unit_check(&u);
    ok(mid_mem_free(u.thread, block));
    unit_check(&u);
    fault_close(&u, &fault);
}

/* --- finalizers without memory ---------------------------------------------------------------------------------------------- */

static struct {
    struct unit *u;
    mid_handle vec, map, keys;
    size_t items;
    mid_status status;
    bool by_map;
} grown;

/* Until there is no more, though objects wait to be freed that the drain which runs this will come to. */
static void grow(mid_thread *thread, mid_handle object)
{
    (void)object;
    grown.status = MID_OK;
    while (grown.status == MID_OK && !grown.by_map) {
        grown.status = mid_resize(thread, grown.vec, grown.items);
        grown.items = grown.items * 3 / 2;
    }
    for (size_t i = 0; grown.status == MID_OK && i < grown.items; i++) {
        mid_handle key = mid_load(thread, grown.keys, ITEM(i));
        grown.status = mid_weak_map_set(thread, grown.map, key, mid_from_int(1));
        mid_release(thread, key);
    }
}

/* An array of garbage, of which the first has the finalizer and the others wait while it runs. */
static mid_handle make_dying(struct unit *u, mid_type final, unsigned others)
{
    mid_handle array, made;
    ok(mid_new_array(u->thread, u->vec, others + 1, &array));
    for (unsigned i = 0; i <= others; i++) {
        ok(mid_new(u->thread, i == others ? final : u->node, &made));
        mid_give(u->thread, array, ITEM(i), made);
    }
    return array;
}

static void finalizer_finds_no_memory(bool by_map)
{
    struct unit u;
    mid_handle key, dying;
    unit_open(&u, "heap-limit=6M,reserve=0");
    mid_type final = unit_node_type(u.heap, (mid_type_desc){.name = "final", .finalize = grow});
    memset(&grown, 0, sizeof grown);
    grown.u = &u;
    grown.by_map = by_map;
    grown.items = by_map ? 40000 : 1000;
    dying = make_dying(&u, final, 60);
    ok(mid_new_array(u.thread, u.vec, by_map ? grown.items : 1, &grown.vec));
    grown.keys = grown.vec;
    for (size_t i = 0; by_map && i < grown.items; i++) {
        ok(mid_new(u.thread, u.node, &key));
        mid_give(u.thread, grown.keys, ITEM(i), key);
    }
    ok(mid_weak_map_new(u.thread, MID_WEAK_KEYS, &grown.map));
    mid_release(u.thread, dying);
    expect(MID_ELIMIT, grown.status);
    unit_check(&u);
    mid_release(u.thread, grown.map);
    mid_release(u.thread, grown.vec);
    unit_close(&u);
}

TEST(a_finalizer_grows_an_array_until_it_is_refused)
{
    finalizer_finds_no_memory(false);
}

TEST(a_finalizer_grows_a_weak_map_until_it_is_refused)
{
    finalizer_finds_no_memory(true);
}

/* --- collections without memory ----------------------------------------------------------------------------------------------- */

static unsigned finalized;

static void note(mid_thread *thread, mid_handle object)
{
    (void)thread, (void)object;
    finalized++;
}

static void drop_ring(struct unit *u, mid_type type)
{
    mid_handle one, other;
    ok(mid_new(u->thread, type, &one));
    ok(mid_new(u->thread, type, &other));
    mid_store(u->thread, one, LEFT, other);
    mid_store(u->thread, other, LEFT, one);
    mid_release(u->thread, one);
    mid_release(u->thread, other);
}

/* Garbage that waits for finalizers, or is to be kept, has to be remembered: whoever asked is told that it is not. */
TEST(a_collection_says_that_it_left_garbage)
{
    for (int save = 0; save <= 1; save++) {
        struct fault_os fault;
        struct unit u;
        mid_collect_result result;
        size_t count = 0;
        mid_handle kept[8];
        fault_open(&u, &fault, "");
        mid_type final = unit_node_type(u.heap, (mid_type_desc){.name = "final", .finalize = note});
        drop_ring(&u, u.node);
        ok(mid_collect(u.thread, NULL)); /* it has its marks from now on */
        ok(mid_collect_save(u.thread, save));
        drop_ring(&u, u.node);
        drop_ring(&u, final);
        finalized = 0;
        fault.fail_at = fault.calls + 1;
        expect(MID_ENOMEM, mid_collect(u.thread, &result));
        assert_int_equal(fault.failed, 1);
        assert_int_equal(result.garbage, 4);
        assert_int_equal(result.freed, save ? 0 : 2);
        assert_int_equal(finalized, 0);
        unit_check(&u);
        ok(mid_collect(u.thread, &result));
        assert_int_equal(result.freed, save ? 0 : 2);
        assert_int_equal(finalized, save ? 0 : 2);
        ok(mid_collect_save(u.thread, 0));
        ok(mid_collect_saved(u.thread, kept, 8, &count));
        assert_int_equal(count, save ? 4 : 0);
        for (size_t i = 0; i < count; i++)
            mid_release(u.thread, kept[i]);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(finalized, 2);
        assert_int_equal(unit_stats(&u).live_objects, 0);
        fault_close(&u, &fault);
    }
}

/* --- a thread that ends inside a callback ----------------------------------------------------------------------------------- */

static void end_thread(mid_thread *thread, mid_weak gone, mid_handle owner, void *context)
{
    (void)gone, (void)context;
    mid_release(thread, owner); /* the program's; what the call itself has is the library's */
    pthread_exit(NULL);
}

struct ending {
    mid_heap *heap;
    mid_type type;
    mid_status status;
};

static void *ends_inside(void *context)
{
    struct ending *e = context;
    mid_thread *thread;
    mid_handle owner = 0, object = 0;
    mid_weak weak;
    e->status = mid_thread_attach(e->heap, &thread);
    if (e->status == MID_OK)
        e->status = mid_new(thread, e->type, &owner);
    if (e->status == MID_OK)
        e->status = mid_new(thread, e->type, &object);
    if (e->status == MID_OK)
        e->status = mid_weak_new_with(thread, object, owner, end_thread, NULL, &weak);
    if (e->status != MID_OK)
        return context;
    mid_release(thread, object);
    return context;
}

TEST(a_thread_that_ends_inside_a_callback_lets_go_of_the_owner)
{
    struct unit u;
    pthread_t id;
    void *result = &u;
    unit_open(&u, "");
    struct ending e = {u.heap, u.node, MID_OK};
    assert_int_equal(pthread_create(&id, NULL, ends_inside, &e), 0);
    pthread_join(id, &result);
    ok(e.status);
    assert_null(result);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_stats(&u).live_objects, 0);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_call_is_refused_and_served_when_something_was_freed),
        cmocka_unit_test(to_shrink_takes_no_first_call),
        cmocka_unit_test(a_finalizer_grows_an_array_until_it_is_refused),
        cmocka_unit_test(a_finalizer_grows_a_weak_map_until_it_is_refused),
        cmocka_unit_test(a_collection_says_that_it_left_garbage),
        cmocka_unit_test(a_thread_that_ends_inside_a_callback_lets_go_of_the_owner),
    };
    return UNIT_RUN(tests);
}
