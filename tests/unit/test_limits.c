/* Hard limits: the heap's own (heap-limit, max-objects) and the process's address space. */
#include "child.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Allocate arrays of `items` bytes until refused; the handles go on a list of vecs, so that nothing else is needed. */
static size_t fill(struct unit *u, size_t items, mid_handle *list, mid_status *why)
{
    size_t made = 0;
    for (;; made++) {
        mid_handle cell, bytes = 0;
        *why = mid_new(u->thread, u->node, &cell);
        if (*why == MID_OK && (*why = mid_new_array(u->thread, u->bytes, items, &bytes)) != MID_OK) {
            assert_int_equal(bytes, 0);
            mid_release(u->thread, cell);
        }
        if (*why != MID_OK)
            return made;
        mid_give(u->thread, cell, RIGHT, bytes);
        mid_give(u->thread, cell, LEFT, *list);
        *list = cell;
    }
}

TEST(the_heap_limit_is_kept_and_recovered_from)
{
    static const size_t sizes[] = {10, 1000, 30000, 50000, 900000, 1500000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct unit u;
        mid_status why;
        mid_handle list = 0;
        unit_open(&u, "heap-limit=24M");
        size_t first = fill(&u, sizes[i], &list, &why);
        assert_int_equal(why, MID_ELIMIT);
        assert_true(first > 5);
        mid_stats stats = unit_stats(&u);
        assert_true(stats.committed_bytes <= 24u << 20);
        assert_true(stats.peak_committed_bytes <= 24u << 20);
        assert_true(stats.live_slot_bytes > 8u << 20); /* most of the limit is objects */
        unit_check(&u);
        mid_release(u.thread, list); /* everything goes; then as much fits again */
        unit_drain(&u);
        list = 0;
        size_t second = fill(&u, sizes[i], &list, &why);
        assert_int_equal(why, MID_ELIMIT);
        assert_true(second >= first - first / 10);
        unit_check(&u);
        mid_release(u.thread, list);
        unit_drain(&u);
        unit_close(&u);
    }
}

TEST(memory_of_one_shape_serves_another)
{
    struct unit u;
    mid_status why;
    static const size_t sizes[] = {16, 30000, 100, 1500000, 700, 400000, 16};
    unit_open(&u, "heap-limit=24M");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        mid_handle list = 0;
        size_t made = fill(&u, sizes[i], &list, &why);
        assert_int_equal(why, MID_ELIMIT);
        assert_true(made * (sizes[i] + 16) > 6u << 20);
        mid_release(u.thread, list);
        unit_drain(&u);
        unit_check(&u);
    }
    unit_close(&u);
}

TEST(compaction_makes_room_under_the_limit)
{
    struct unit u;
    enum { COUNT = 30000 };
    static mid_handle objects[COUNT];
    unit_open(&u, "heap-limit=24M,reserve=0");
    mid_handle room = unit_array(&u, u.bytes, 100000); /* for the plan: what the limit leaves over may be less than a page */
    size_t made = 0;
    while (made < COUNT && mid_new_array(u.thread, u.bytes, 984, &objects[made]) == MID_OK)
        made++;
    assert_in_range(made, 10000, COUNT - 1); /* the limit is reached */
    for (size_t i = 0; i < made; i++)
        if (i % 8 != 0) {
            mid_release(u.thread, objects[i]);
            objects[i] = 0;
        }
    mid_handle large = 0;
    expect(MID_ELIMIT, mid_new_array(u.thread, u.bytes, 12u << 20, &large)); /* pages are sparse, not free */
    mid_release(u.thread, room);
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
    unit_compacted(&u, 0);
    ok(mid_new_array(u.thread, u.bytes, 12u << 20, &large));
    unit_check(&u);
    mid_release(u.thread, large);
    for (size_t i = 0; i < made; i++)
        mid_release(u.thread, objects[i]);
    unit_close(&u);
}

TEST(a_collection_makes_room_under_the_limit)
{
    struct unit u;
    mid_handle made = 0;
    size_t rings = 0;
    unit_open(&u, "heap-limit=16M");
    mid_handle keep = unit_new(&u, u.node);
    mid_status status;
    while ((status = mid_new(u.thread, u.node, &made)) == MID_OK) {
        mid_store(u.thread, made, LEFT, made);
        mid_release(u.thread, made);
        rings++;
        assert_true(rings < 10000000);
    }
    assert_int_equal(status, MID_ELIMIT);
    status = mid_collect(u.thread, NULL); /* the marks may not fit */
    assert_true(status == MID_OK || status == MID_ELIMIT);
    unit_check(&u);
    if (status == MID_OK) {
        assert_int_equal(unit_live(&u), 1);
        mid_release(u.thread, unit_new(&u, u.node));
    }
    mid_release(u.thread, keep);
    unit_check(&u);
    ok(mid_heap_destroy(u.heap));
}

TEST(the_number_of_objects_is_limited)
{
    struct unit u;
    unit_open(&u, "max-objects=10000");
    mid_handle *objects = calloc(20000, sizeof *objects);
    assert_non_null(objects);
    for (int round = 0; round < 3; round++) {
        size_t made = 0;
        mid_status status = MID_OK;
        while (made < 20000 && (status = mid_new(u.thread, u.node, &objects[made])) == MID_OK)
            made++;
        assert_int_equal(status, MID_ELIMIT);
        assert_in_range(made, 5000, 10000);
        unit_check(&u);
        for (size_t i = 0; i < made; i++)
            mid_release(u.thread, objects[i]);
        assert_int_equal(unit_live(&u), 0);
    }
    free(objects);
    unit_close(&u);
}

TEST(handles_of_one_class_serve_another)
{
    struct unit u;
    unit_open(&u, "max-objects=20000");
    for (size_t size = 8; size < 30000; size = size * 2 + 8) { /* free slots keep their handles: they must be taken off */
        mid_type type = unit_plain_type(u.heap, "sized", size);
        mid_handle objects[3000];
        for (int i = 0; i < 3000; i++)
            objects[i] = unit_new(&u, type);
        for (int i = 0; i < 3000; i++)
            mid_release(u.thread, objects[i]);
        unit_check(&u);
    }
    unit_close(&u);
}

/* As an allocation would: what is dead but not yet freed is no reason to refuse. */
TEST(a_resize_under_the_limit_frees_what_waits)
{
    struct unit u;
    enum { COUNT = 400 };
    unit_open(&u, "heap-limit=16M,max-objects=8192,reserve=0,free-batch=32");
    mid_handle grows = unit_array(&u, u.bytes, 40000), pooled = unit_array(&u, u.bytes, 1000);
    for (int round = 0; round < 2; round++) {
        mid_handle vec = unit_array(&u, u.vec, COUNT), bytes;
        uint32_t made = 0;
        while (made < COUNT && mid_new_array(u.thread, u.bytes, 100000, &bytes) == MID_OK)
            mid_give(u.thread, vec, ITEM(made++), bytes);
        assert_in_range(made, 50, COUNT - 1);
        mid_release(u.thread, vec);
        assert_true(unit_stats(&u).waiting_objects > 0);
        ok(mid_resize(u.thread, round == 0 ? grows : pooled, 8000000));
        unit_check(&u);
        assert_int_equal(unit_live(&u), 2);
        ok(mid_resize(u.thread, round == 0 ? grows : pooled, 1000));
    }
    mid_release(u.thread, grows);
    mid_release(u.thread, pooled);
    unit_close(&u);
}

/* --- the address space, in a child of its own ----------------------------------------------------------------------- */

/* What went wrong in the child, as its exit status. */
enum { FINE, NO_HEAP, NO_THREAD, NO_TYPE, TOO_FEW, NEVER_REFUSED, WRONG_STATUS, CORRUPT, NOT_RECOVERED, NOT_CLOSED };

static int under_limit(size_t limit)
{
    static const uint32_t slots[] = {0, 4};
    mid_type_desc desc = {.struct_size = sizeof desc, .name = "node", .size = 4000, .ref_offsets = slots, .ref_count = 2};
    struct rlimit rlimit = {limit, limit};
    mid_heap *heap;
    mid_thread *t;
    mid_type type;
    mid_handle list = 0, next;
    if (setrlimit(RLIMIT_AS, &rlimit) != 0 || mid_heap_open(&heap, NULL) != MID_OK)
        return NO_HEAP;
    if (mid_thread_attach(heap, &t) != MID_OK)
        return NO_THREAD;
    if (mid_type_register(heap, &desc, &type) != MID_OK)
        return NO_TYPE;
    for (int round = 0; round < 2; round++) {
        size_t made = 0;
        mid_status status;
        for (; (status = mid_new(t, type, &next)) == MID_OK; made++) {
            memset((char *)mid_get(t, next) + 8, 0x11, 3992);
            mid_give(t, next, LEFT, list);
            list = next;
            if (made * 4000 > limit)
                return NEVER_REFUSED;
        }
        if (made < 2000)
            return round == 0 ? TOO_FEW : NOT_RECOVERED;
        if (status != MID_ENOMEM && status != MID_ELIMIT)
            return WRONG_STATUS;
        if (mid_heap_check(heap) != MID_OK)
            return CORRUPT;
        mid_release(t, list);
        list = 0;
        mid_stats stats;
        for (int i = 0; i < 1000000 && mid_stats_get(heap, &stats, sizeof stats) && stats.waiting_objects != 0; i++)
            mid_safepoint(t);
    }
    return mid_heap_close(heap) == MID_OK ? FINE : NOT_CLOSED;
}

TEST(an_address_space_limit_is_lived_with)
{
    if (UNIT_SANITIZED || RUNNING_ON_VALGRIND)
        skip(); /* they need more addresses than any limit leaves */
    static const size_t limits[] = {(size_t)128 << 20, (size_t)512 << 20, (size_t)2 << 30};
    for (size_t i = 0; i < 3; i++) {
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(under_limit(limits[i]));
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), FINE);
    }
}

TEST(no_address_space_at_all_is_told)
{
    if (UNIT_SANITIZED || RUNNING_ON_VALGRIND)
        skip();
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {4096, 4096};
        mid_heap *heap = NULL;
        _exit(setrlimit(RLIMIT_AS, &none) != 0 || mid_heap_open(&heap, NULL) != MID_ENOMEM || heap != NULL);
    }
    child_ends(child);
}

/* --- locked memory ---------------------------------------------------------------------------------------------------- */

enum { NOT_PERMITTED = 77, NOT_ZERO };

static size_t not_empty(mid_thread *t, mid_handle vec, uint32_t items)
{
    size_t count = 0;
    for (uint32_t i = 0; i < items; i++)
        count += mid_peek(t, vec, ITEM(i)) != 0;
    return count;
}

/* The life of a heap whose memory the system may never take back. */
static int locked(void)
{
    enum { ITEMS = 20000 };
    mid_type_desc desc = {.struct_size = sizeof desc, .name = "vec", .size = sizeof(struct vec), .item_size = 4,
                          .length_offset = offsetof(struct vec, length), .items_are_refs = 1};
    mid_heap *heap;
    mid_thread *t;
    mid_type type;
    mid_handle kept, vec = 0;
    mid_options options;
    mid_options_init(&options);
    options.reserve = options.spare = 0;
    options.max_objects = 8192;
    if (mlockall(MCL_FUTURE) != 0 || mid_heap_open(&heap, &options) != MID_OK)
        return NOT_PERMITTED;
    if (mid_thread_attach(heap, &t) != MID_OK)
        return NO_THREAD;
    if (mid_type_register(heap, &desc, &type) != MID_OK)
        return NO_TYPE;
    if (mid_new_array(t, type, ITEMS, &kept) != MID_OK)
        return NOT_PERMITTED;
    for (int round = 0; round < 3; round++) {
        if (mid_new_array(t, type, ITEMS, &vec) != MID_OK)
            return TOO_FEW;
        if (not_empty(t, vec, ITEMS) != 0)
            return NOT_ZERO;
        for (uint32_t i = 0; i < ITEMS; i++)
            mid_store(t, vec, ITEM(i), mid_from_int((int)i));
        mid_release(t, vec);
        if (round == 1) /* the region goes as a whole */
            mid_release(t, kept);
        if (mid_trim(t, 0, NULL) != MID_OK)
            return WRONG_STATUS;
    }
    if (mid_heap_check(heap) != MID_OK)
        return CORRUPT;
    return mid_heap_close(heap) == MID_OK ? FINE : NOT_CLOSED;
}

TEST(locked_memory_is_lived_with)
{
    if (UNIT_SANITIZED || RUNNING_ON_VALGRIND)
        skip(); /* they map more than can be locked */
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(locked());
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NOT_PERMITTED) {
        print_message("not tried: mlockall is not permitted, or not for as much as a heap takes\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), FINE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_heap_limit_is_kept_and_recovered_from),
        cmocka_unit_test(memory_of_one_shape_serves_another),
        cmocka_unit_test(compaction_makes_room_under_the_limit),
        cmocka_unit_test(a_collection_makes_room_under_the_limit),
        cmocka_unit_test(the_number_of_objects_is_limited),
        cmocka_unit_test(handles_of_one_class_serve_another),
        cmocka_unit_test(an_address_space_limit_is_lived_with),
        cmocka_unit_test(no_address_space_at_all_is_told),
        cmocka_unit_test(a_resize_under_the_limit_frees_what_waits),
        cmocka_unit_test(locked_memory_is_lived_with),
    };
    return UNIT_RUN(tests);
}
