/* Compaction: the promise of heap.h (pools = ceil(L/k) + 1), contents, handles, pins, budgets, and memory returned. */
#include "unit.h"

#include "alloc/alloc.h"

/* Objects of many sizes with a recognisable filling. */
struct crowd {
    size_t count;
    mid_handle *object;
    uint32_t *items;
};

static unsigned char filling(size_t i, size_t k)
{
    return (unsigned char)(i * 167 + k * 13 + 1);
}

/* Fewer fill no more than a pool of each class, and there is nothing to gain. */
static size_t crowd_size(size_t natively, size_t least)
{
    size_t scaled = unit_scale(natively);
    return scaled < least ? least : scaled;
}

static void crowd_make(struct unit *u, struct crowd *c, size_t count, size_t largest, uint64_t seed)
{
    c->count = count;
    c->object = calloc(count, sizeof *c->object);
    c->items = calloc(count, sizeof *c->items);
    assert_true(c->object != NULL && c->items != NULL);
    for (size_t i = 0; i < count; i++) {
        c->items[i] = (uint32_t)(unit_random(&seed) % largest);
        c->object[i] = unit_array(u, u->bytes, c->items[i]);
        struct bytes *at = mid_get(u->thread, c->object[i]);
        at->tag = i;
        for (size_t k = 0; k < c->items[i]; k++)
            at->data[k] = filling(i, k);
    }
}

static void crowd_thin(struct unit *u, struct crowd *c, unsigned keep_percent, uint64_t seed)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->object[i] != 0 && unit_random(&seed) % 100 >= keep_percent) {
            mid_release(u->thread, c->object[i]);
            c->object[i] = 0;
        }
}

static void crowd_verify(struct unit *u, struct crowd *c)
{
    size_t wrong = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (c->object[i] == 0)
            continue;
        const struct bytes *at = mid_get(u->thread, c->object[i]);
        wrong += at->tag != i || at->length != c->items[i] || unit_count(u, c->object[i]) != 1;
        for (size_t k = 0; k < c->items[i]; k++)
            wrong += at->data[k] != filling(i, k);
    }
    assert_int_equal(wrong, 0);
}

static void crowd_drop(struct unit *u, struct crowd *c)
{
    for (size_t i = 0; i < c->count; i++)
        mid_release(u->thread, c->object[i]);
    free(c->object);
    free(c->items);
}

TEST(a_full_pass_keeps_its_promise)
{
    static const unsigned keeps[] = {1, 10, 33, 70, 95};
    for (size_t k = 0; k < sizeof keeps / sizeof *keeps; k++) {
        struct unit u;
        struct crowd c;
        unit_open(&u, "");
        crowd_make(&u, &c, crowd_size(120000, 15000), 700, 5 + k);
        crowd_thin(&u, &c, keeps[k], 99);
        mid_compact_result result;
        ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, &result));
        unit_check(&u);
        unit_compacted(&u, 0);
        crowd_verify(&u, &c);
        assert_true(result.moved_objects > 0 && result.moved_bytes > 0);
        assert_true(result.pools_after < result.pools_before);
        assert_int_equal(result.pools_pinned, 0);
        mid_stats stats = unit_stats(&u);
        assert_int_equal(stats.compactions, 1);
        assert_int_equal(stats.moved_objects, result.moved_objects);
        assert_int_equal(stats.moved_bytes, result.moved_bytes);
        ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, &result)); /* nothing to gain any more */
        assert_int_equal(result.moved_objects, 0);
        assert_int_equal(result.pools_after, result.pools_before);
        crowd_drop(&u, &c);
        unit_close(&u);
    }
}

TEST(big_slots_move_too)
{
    struct unit u;
    struct crowd c;
    unit_open(&u, "");
    crowd_make(&u, &c, unit_scale(4000), 32700, 11);
    crowd_thin(&u, &c, 25, 12);
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
    unit_check(&u);
    unit_compacted(&u, 0);
    crowd_verify(&u, &c);
    crowd_drop(&u, &c);
    unit_close(&u);
}

/* Slots a pool of the class that holds objects of this size. */
static uint32_t slots_for(struct unit *u, uint32_t size)
{
    mid_class_stats stats;
    for (unsigned i = 0; mid_stats_class(u->heap, i, &stats) == MID_OK; i++)
        if (stats.slot_size >= size)
            return stats.slots_per_pool;
    return 0;
}

TEST(greedy_moves_no_more_than_needed)
{
    struct unit u;
    unit_open(&u, "");
    /* Fill four pools of one class, then thin them to 100 %, 100 %, 50 % and 10 %: only the last can go. */
    mid_type type = unit_plain_type(u.heap, "slot", 64);
    uint32_t slots = slots_for(&u, 64);
    assert_true(slots > 100);
    mid_handle *objects = calloc(4u * slots, sizeof *objects);
    assert_non_null(objects);
    for (uint32_t i = 0; i < 4 * slots; i++)
        objects[i] = unit_new(&u, type);
    for (uint32_t i = 2 * slots; i < 4 * slots; i++)
        if (i < 3 * slots ? i % 2 : i % 10) {
            mid_release(u.thread, objects[i]);
            objects[i] = 0;
        }
    mid_compact_result result;
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, &result));
    unit_compacted(&u, 0);
    assert_true(result.moved_objects <= slots / 10 + 1 + slots / 2 + 1); /* never the full ones */
    for (uint32_t i = 0; i < 4 * slots; i++)
        mid_release(u.thread, objects[i]);
    free(objects);
    unit_close(&u);
}

TEST(nothing_moves_when_no_pool_would_come_free)
{
    struct unit u;
    struct crowd c;
    unit_open(&u, "");
    crowd_make(&u, &c, unit_scale(100000), 300, 21);
    mid_compact_result result;
    void **before = calloc(c.count, sizeof *before);
    assert_non_null(before);
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL)); /* settle what allocation left half full */
    for (size_t i = 0; i < c.count; i++)
        before[i] = mid_get(u.thread, c.object[i]);
    size_t holes = 0;
    for (size_t i = 0; i < c.count; i += c.count / 10, holes++) { /* far fewer than a pool */
        mid_release(u.thread, c.object[i]);
        c.object[i] = 0;
    }
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, &result));
    assert_true(result.moved_objects <= holes); /* a pool comes free only if so few objects were left in it */
    unit_compacted(&u, 0);
    uint64_t moved = 0;
    for (size_t i = 0; i < c.count; i++)
        moved += c.object[i] != 0 && before[i] != mid_get(u.thread, c.object[i]);
    assert_int_equal(moved, result.moved_objects);
    free(before);
    crowd_verify(&u, &c);
    crowd_drop(&u, &c);
    unit_close(&u);
}

TEST(a_heap_with_no_waste_is_left_alone)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle objects[200];
    for (int i = 0; i < 200; i++)
        objects[i] = unit_new(&u, u.node);
    mid_compact_result result;
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, &result));
    assert_int_equal(result.moved_objects, 0);
    for (int i = 0; i < 200; i++)
        mid_release(u.thread, objects[i]);
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, &result));
    unit_close(&u);
}

TEST(slices_add_up_to_a_full_pass)
{
    struct unit u;
    struct crowd c;
    unit_open(&u, "");
    crowd_make(&u, &c, unit_scale(400000), 300, 31);
    crowd_thin(&u, &c, 15, 32);
    uint64_t moved = 0, more = 0;
    for (;;) {
        mid_compact_result result;
        mid_status status = mid_compact(u.thread, MID_COMPACT_PLAIN, 1, &result);
        moved += result.moved_objects;
        if (status == MID_OK)
            break;
        assert_int_equal(status, MID_MORE);
        assert_true(++more < 1000000);
        if (more % 64 == 0)
            crowd_verify(&u, &c);
    }
    assert_true(more > 3);
    assert_true(moved > 0);
    unit_check(&u);
    unit_compacted(&u, 0);
    crowd_verify(&u, &c);
    crowd_drop(&u, &c);
    unit_close(&u);
}

/* The system's decommit, counted. */
static struct {
    mid_os os;
    size_t calls, bytes;
} counted;

static void counted_decommit(void *ctx, void *at, size_t size)
{
    counted.calls++;
    counted.bytes += size;
    mid_os_default.decommit(ctx, at, size);
}

/* Each call costs; so a pool that a slice has emptied waits for those beside it. */
TEST(slices_return_pools_side_by_side)
{
    struct unit u;
    struct crowd c;
    mid_options options;
    counted.os = mid_os_default;
    counted.os.decommit = counted_decommit;
    mid_options_init(&options);
    ok(mid_options_parse(&options, "reserve=0,spare=0%", NULL));
    options.os = &counted.os;
    unit_open_with(&u, &options);
    crowd_make(&u, &c, 200000, 300, 33);
    crowd_thin(&u, &c, 10, 34);
    counted.calls = counted.bytes = 0;
    uint64_t used = unit_stats(&u).committed_bytes;
    while (mid_compact(u.thread, MID_COMPACT_PLAIN, 100, NULL) == MID_MORE)
        ;
    assert_true(counted.bytes > used / 2);
    assert_true(counted.bytes / counted.calls >= 3 * (size_t)65536);
    assert_int_equal(unit_stats(&u).empty_bytes, 0);
    crowd_verify(&u, &c);
    crowd_drop(&u, &c);
    unit_close(&u);
}

TEST(the_program_goes_on_between_slices)
{
    struct unit u;
    struct crowd c;
    uint64_t seed = 77;
    unit_open(&u, "");
    crowd_make(&u, &c, unit_scale(200000), 200, 41);
    crowd_thin(&u, &c, 30, 42);
    for (int slice = 0; slice < 300; slice++) {
        (void)mid_compact(u.thread, MID_COMPACT_PLAIN, 20, NULL);
        for (int i = 0; i < 200; i++) {
            size_t at = unit_random(&seed) % c.count;
            mid_release(u.thread, c.object[at]);
            c.object[at] = unit_array(&u, u.bytes, c.items[at]);
            struct bytes *bytes = mid_get(u.thread, c.object[at]);
            bytes->tag = at;
            for (size_t k = 0; k < c.items[at]; k++)
                bytes->data[k] = filling(at, k);
        }
        if (slice % 50 == 0)
            unit_check(&u);
    }
    crowd_verify(&u, &c);
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
    unit_compacted(&u, 0);
    crowd_verify(&u, &c);
    crowd_drop(&u, &c);
    unit_close(&u);
}

TEST(pinned_objects_stay_where_they_are)
{
    struct unit u;
    struct crowd c;
    enum { PINS = 20 };
    size_t pinned[PINS];
    void *address[PINS];
    unit_open(&u, "");
    crowd_make(&u, &c, crowd_size(150000, 15000), 100, 51);
    crowd_thin(&u, &c, 10, 52);
    size_t at = 0;
    for (size_t p = 0; p < PINS; p++) {
        for (at += c.count / (PINS + 5); c.object[at] == 0; at++)
            ;
        pinned[p] = at;
        ok(mid_pin(u.thread, c.object[at], &address[p]));
        assert_ptr_equal(address[p], mid_get(u.thread, c.object[at]));
        if (p % 2 == 0)
            ok(mid_pin(u.thread, c.object[at], NULL)); /* nests */
    }
    assert_int_equal(unit_stats(&u).pinned_objects, PINS);
    mid_compact_result result;
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, &result));
    assert_true(result.pools_pinned >= 1 && result.pools_pinned <= PINS);
    unit_compacted(&u, PINS);
    for (size_t p = 0; p < PINS; p++)
        assert_ptr_equal(address[p], mid_get(u.thread, c.object[pinned[p]]));
    crowd_verify(&u, &c);
    for (size_t p = 0; p < PINS; p++)
        ok(mid_unpin(u.thread, c.object[pinned[p]]));
    assert_int_equal(unit_stats(&u).pinned_objects, PINS / 2);
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
    for (size_t p = 0; p < PINS; p += 2) /* pinned once more */
        assert_ptr_equal(address[p], mid_get(u.thread, c.object[pinned[p]]));
    for (size_t p = 0; p < PINS; p += 2)
        ok(mid_unpin(u.thread, c.object[pinned[p]]));
    for (size_t p = 0; p < PINS; p++)
        expect(MID_EPINNED, mid_unpin(u.thread, c.object[pinned[p]]));
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
    unit_compacted(&u, 0); /* so they have moved if they stood in the way */
    assert_int_equal(unit_stats(&u).pinned_objects, 0);
    crowd_verify(&u, &c);
    crowd_drop(&u, &c);
    unit_close(&u);
}

TEST(resident_memory_really_falls)
{
    struct unit u;
    struct crowd c;
    unit_open(&u, "reserve=0");
    size_t count = unit_scale(400000);
    crowd_make(&u, &c, count, 300, 61);
    size_t bytes = unit_stats(&u).live_slot_bytes;
    crowd_thin(&u, &c, 10, 62);
    size_t full = unit_resident();
    uint64_t committed = unit_stats(&u).committed_bytes;
    mid_compact_result result;
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, &result));
    size_t after = unit_resident();
    assert_true(result.returned_bytes > bytes / 2);
    assert_true(unit_stats(&u).committed_bytes + bytes / 2 < committed);
    assert_true(unit_stats(&u).returned_bytes >= result.returned_bytes);
    if (!UNIT_SANITIZED && !RUNNING_ON_VALGRIND) /* their own memory is resident too */
        assert_true(after + bytes / 2 < full);
    crowd_verify(&u, &c);
    crowd_drop(&u, &c);
    unit_close(&u);
}

TEST(trim_gives_back_what_frees_have_emptied)
{
    struct unit u;
    struct crowd c;
    unit_open(&u, "reserve=256K,spare=1000%");
    crowd_make(&u, &c, unit_scale(200000), 300, 71);
    mid_handle some = unit_new(&u, u.node);
    crowd_drop(&u, &c);
    uint64_t returned = 0;
    ok(mid_trim(u.thread, 0, &returned));
    assert_true(unit_stats(&u).empty_bytes <= 256u << 10);
    assert_true(unit_stats(&u).returned_bytes >= returned);
    ok(mid_trim(u.thread, 0, &returned));
    assert_int_equal(returned, 0);
    ok(mid_trim(u.thread, 0, NULL));
    unit_check(&u);
    mid_release(u.thread, some);
    unit_close(&u);
}

TEST(references_survive_moving)
{
    struct unit u;
    size_t count = unit_scale(100000);
    unit_open(&u, "");
    mid_handle head = 0, dropped = 0;
    for (size_t i = 0; i < count; i++) { /* two interleaved lists */
        mid_handle *list = i % 4 == 0 ? &head : &dropped;
        mid_handle next = unit_new(&u, u.node);
        unit_node(&u, next)->value = i;
        mid_give(u.thread, next, i % 3 ? LEFT : RIGHT, *list);
        *list = next;
    }
    mid_release(u.thread, dropped);
    unit_drain(&u);
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
    unit_check(&u);
    unit_compacted(&u, 0);
    size_t seen = 0;
    for (mid_handle at = head; at != 0; seen++) {
        uint64_t i = unit_node(&u, at)->value;
        assert_int_equal(i % 4, 0);
        at = mid_peek(u.thread, at, i % 3 ? LEFT : RIGHT);
    }
    assert_int_equal(seen, (count + 3) / 4);
    mid_release(u.thread, head);
    unit_drain(&u);
    unit_close_empty(&u);
}

/* What a plan names may be gone at the next slice: pools that the program emptied and an allocation under the limit, the
 * compaction's own for new handles included, gave back with their whole arena. */
enum { ARENA_POOLS = 255, HANDLES_A_STEP = 4096, LIMIT = 1u << 29 };

static mid_handle mapped(struct unit *u)
{
    return unit_array(u, u->bytes, 1u << 20); /* with its head more than a page run can be */
}

static size_t in_arena_of(struct unit *u, const mid_handle *objects, size_t count, mid_handle one)
{
    size_t found = 0;
    uintptr_t arena = (uintptr_t)mid_get(u->thread, one) >> 24;
    for (size_t i = 0; i < count; i++)
        found += objects[i] != 0 && (uintptr_t)mid_get(u->thread, objects[i]) >> 24 == arena;
    return found;
}

/* Leave `keep` objects of those in one pool. */
static void thin_pool(struct unit *u, mid_handle *pool, uint32_t slots, uint32_t keep)
{
    for (uint32_t i = keep; i < slots; i++) {
        mid_release(u->thread, pool[i]);
        pool[i] = 0;
    }
}

TEST(a_plan_survives_the_loss_of_an_arena)
{
    struct unit u;
    static mid_handle objects[(ARENA_POOLS + 2) * 64], mapping[900];
    mid_options options;
    mid_options_init(&options);
    options.heap_limit = LIMIT;
    options.reserve = 0;
    unit_open_with(&u, &options);
    mid_type type = unit_plain_type(u.heap, "kilobyte", 1024);
    const uint32_t slots = slots_for(&u, 1024);
    size_t count = 0;
    assert_in_range(slots, 60, 64);
    while (count < (ARENA_POOLS + 1) * slots)
        objects[count++] = unit_new(&u, type);
    mid_handle *lone = objects + ARENA_POOLS * slots;
    assert_int_equal(in_arena_of(&u, objects, count, lone[0]), slots); /* the last pool has an arena for itself */

    thin_pool(&u, objects + 10 * slots, slots, 0); /* its place is for a pool of which only 16 slots ever had a name, */
    ok(mid_pin(u.thread, lone[0], NULL));          /* not for the last one */
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
    ok(mid_unpin(u.thread, lone[0]));
    for (int i = 0; i < 16; i++)
        objects[count++] = unit_new(&u, type);
    assert_int_equal(in_arena_of(&u, objects, count, lone[0]), slots);
    for (size_t i = 0; i < count; i++)
        if (objects[i] != 0)
            *(uint64_t *)mid_get(u.thread, objects[i]) = i;
    thin_pool(&u, objects, slots, slots - 5); /* receives first, and five fill it */
    thin_pool(&u, lone, slots, 7);
    for (size_t pool = 1; pool < ARENA_POOLS; pool++)
        if (pool != 10)
            thin_pool(&u, objects + pool * slots, slots, 6);

    mid_compact_result result;
    do /* until the plan is made and the first pool is full: the young one is next */
        expect(MID_MORE, mid_compact(u.thread, MID_COMPACT_PLAIN, 1, &result));
    while (result.moved_objects == 0);
    mid_handle ballast = mapped(&u);
    size_t mappings = 0;
    do { /* until the next handle needs memory for the table */
        assert_true(mappings < 900);
        mapping[mappings++] = mapped(&u);
    } while ((mapping[mappings - 1] / 2 + 1) % HANDLES_A_STEP != 0);
    size_t room = LIMIT - unit_stats(&u).committed_bytes;
    ok(mid_resize(u.thread, ballast, (1u << 20) + (room & ~(size_t)4095)));
    assert_true(LIMIT - unit_stats(&u).committed_bytes < 4096);
    thin_pool(&u, lone, 7, 0);

    mid_stats before = unit_stats(&u);
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 60000000, &result)); /* a budget, or it would plan anew */
    uint64_t emptied = before.empty_bytes + (result.pools_before - result.pools_after) * 65536;
    assert_true(unit_stats(&u).returned_bytes - before.returned_bytes >= emptied + 65536); /* the table grew, and shrank again */
    assert_true(result.moved_objects > 0);
    unit_check(&u);
    unit_compacted(&u, 0);
    for (size_t i = 0; i < count; i++)
        if (objects[i] != 0) {
            assert_int_equal(*(uint64_t *)mid_get(u.thread, objects[i]), i);
            mid_release(u.thread, objects[i]);
        }
    for (size_t i = 0; i < mappings; i++)
        mid_release(u.thread, mapping[i]);
    mid_release(u.thread, ballast);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_pass_keeps_its_promise),
        cmocka_unit_test(big_slots_move_too),
        cmocka_unit_test(greedy_moves_no_more_than_needed),
        cmocka_unit_test(nothing_moves_when_no_pool_would_come_free),
        cmocka_unit_test(a_heap_with_no_waste_is_left_alone),
        cmocka_unit_test(slices_add_up_to_a_full_pass),
        cmocka_unit_test(slices_return_pools_side_by_side),
        cmocka_unit_test(the_program_goes_on_between_slices),
        cmocka_unit_test(pinned_objects_stay_where_they_are),
        cmocka_unit_test(resident_memory_really_falls),
        cmocka_unit_test(trim_gives_back_what_frees_have_emptied),
        cmocka_unit_test(references_survive_moving),
        cmocka_unit_test(a_plan_survives_the_loss_of_an_arena),
    };
    return UNIT_RUN(tests);
}
