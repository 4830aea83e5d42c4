/* Sweeps, a piece at a time: what they find, and what may happen at any of their steps. */
#include <sys/mman.h>

#include "child.h"
#include "cycles.h"

/* More than one stop can prove. */
#define LARGE (MID_SWEEP_SMALL + 1000)

/* --- whole -------------------------------------------------------------------------------------------------------- */

/* Garbage and the living, entangled; returns how much of it is garbage. */
static size_t mixture(struct unit *u, uint64_t seed, mid_handle *kept, size_t keep, size_t objects)
{
    mid_handle *all = calloc(objects, sizeof *all);
    assert_non_null(all);
    for (size_t i = 0; i < objects; i++)
        all[i] = unit_random(&seed) % 20 == 0 ? unit_array(u, u->vec, unit_random(&seed) % 30) : unit_new(u, u->node);
    for (size_t i = 0; i < objects; i++) {
        mid_type type = 0;
        size_t items = 0;
        ok(mid_type_of(u->thread, all[i], &type));
        ok(mid_items_of(u->thread, all[i], &items));
        for (size_t n = 0; n < (type == u->vec ? items : 2); n++) /* mostly to neighbours, so that there are many islands */
            if (unit_random(&seed) % 3 != 0)
                mid_store(u->thread, all[i], type == u->vec ? ITEM(n) : (unsigned)n,
                          all[(i / 12 * 12 + unit_random(&seed) % 12) % objects]);
    }
    for (size_t i = 0; i < objects; i++)
        if (i % (objects / keep) == 0 && i / (objects / keep) < keep)
            kept[i / (objects / keep)] = all[i];
        else
            mid_release(u->thread, all[i]);
    free(all);
    unit_drain(u);
    return unit_live(u);
}

TEST(a_sweep_finds_what_a_collection_would)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        uint64_t left[2] = {0};
        for (int whole = 0; whole < 2; whole++) {
            struct unit u;
            mid_handle kept[20];
            cycles_open(&u, seed % 2 ? "" : "shared=off");
            size_t before = mixture(&u, seed, kept, 20, unit_scale(seed <= 4 ? 3000 : 40000) + 1000);
            if (whole) {
                ok(mid_collect(u.thread, NULL));
            } else {
                cycles_begin(&u);
                cycles_finish(&u);
                cycles_prove(&u, AMPLE);
            }
            unit_drain(&u);
            left[whole] = unit_live(&u);
            assert_true(left[whole] < before);
            unit_check(&u);
            for (int i = 0; i < 20; i++)
                mid_release(u.thread, kept[i]);
            cycles_close(&u);
        }
        assert_int_equal(left[0], left[1]);
    }
}

/* Pages of the marks that have memory. */
static size_t marked_pages(struct unit *u)
{
    const mid_array *marks = &u->heap->proposer->sweep.marks;
    size_t pages = (marks->bytes + 4095) / 4096, count = 0;
    unsigned char *there = calloc(pages, 1);
    assert_non_null(there);
    assert_int_equal(mincore(marks->data, marks->bytes, there), 0);
    for (size_t i = 0; i < pages; i++)
        count += there[i] & 1;
    free(there);
    return count;
}

/* Only where something may be on a cycle does a sweep write its marks. */
TEST(a_sweep_takes_no_memory_for_what_cannot_be_on_a_cycle)
{
    enum { LEAVES = 100000 };
    struct unit u;
    cycles_open(&u, "");
    mid_handle root = unit_array(&u, u.vec, LEAVES), leaf;
    for (size_t i = 0; i < LEAVES; i++) {
        ok(mid_new_array(u.thread, u.bytes, 8, &leaf));
        mid_give(u.thread, root, ITEM(i), leaf);
    }
    mid_release(u.thread, unit_ring(&u, u.node, 3));
    cycles_begin(&u);
    cycles_to(&u, MID_SWEEP_REVIVE);
    assert_true(marked_pages(&u) <= 3);
    cycles_finish(&u);
    cycles_prove(&u, AMPLE);
    assert_int_equal(unit_live(&u), LEAVES + 1);
    unit_check(&u);
    mid_release(u.thread, root);
    cycles_close(&u);
}

/* What lived, and how much grew, when it began: the next is due by that. */
TEST(growth_counts_from_what_a_sweep_left_alive)
{
    struct unit u;
    cycles_open(&u, "growth-min=64K,growth=75%");
    mid_handle kept = unit_ring(&u, u.node, 10000);
    mid_release(u.thread, unit_ring(&u, u.node, 10000));
    assert_true(mid_sweep_due(u.heap));
    cycles_begin(&u);
    cycles_finish(&u);
    uint64_t live = mid_live_bytes(u.heap);
    assert_int_equal(unit_live(&u), 10000);
    assert_int_equal(cycles_shown(&u).live_at_collection, live);
    assert_false(mid_sweep_due(u.heap));
    assert_int_equal(unit_stats(&u).collections, 1);
    mid_release(u.thread, kept);
    cycles_close(&u);
}

static void trace(const void *object, mid_visitor *visitor)
{
    const struct node *node = object;
    mid_visit(visitor, &node->left);
    mid_visit(visitor, &node->right);
}

TEST(traced_types_are_swept_in_stops)
{
    struct unit u;
    cycles_open(&u, "");
    mid_type types[2];
    for (int races = 0; races < 2; races++)
        types[races] = unit_type(u.heap, (mid_type_desc){.name = "traced", .size = sizeof(struct node), .trace = trace,
                                                         .flags = races ? MID_TRACE_RACES : 0});
    mid_handle kept = unit_ring(&u, types[0], 100);
    for (int races = 0; races < 2; races++) {
        mid_release(u.thread, unit_ring(&u, types[races], 50));
        mid_release(u.thread, unit_ring(&u, types[races], LARGE));
    }
    cycles_begin(&u);
    cycles_finish(&u);
    assert_int_equal(unit_live(&u), 100);
    unit_check(&u);
    mid_release(u.thread, kept);
    cycles_close(&u);
}

/* --- at each step ------------------------------------------------------------------------------------------------- */

/* The steps that a large set without finalizers goes through. */
static const mid_sweep_step steps[] = {MID_SWEEP_SUBTRACT, MID_SWEEP_REVIVE, MID_SWEEP_GATHER, MID_SWEEP_WATCH,   MID_SWEEP_RESET,
                                       MID_SWEEP_COUNT,    MID_SWEEP_JUDGE,  MID_SWEEP_COMMIT, MID_SWEEP_DISPOSE, MID_SWEEP_CLOSE};
#define STEPS (sizeof steps / sizeof *steps)

/* Half-way through it, if it has two pieces. */
static void reach(struct unit *u, mid_sweep_step step, bool later)
{
    cycles_begin(u);
    cycles_to(u, step);
    for (int i = 0; later && i < 20 && cycles_step(u) == step; i++)
        cycles_piece(u);
}

struct scene {
    struct unit u;
    mid_handle kept;   /* a ring of 100, ... */
    mid_handle large;  /* a large one, held: 5000 */
    uint64_t garbage;
};

static void scene_open(struct scene *s, const char *options)
{
    cycles_open(&s->u, options);
    s->kept = unit_ring(&s->u, s->u.node, 100);
    s->large = unit_ring(&s->u, s->u.node, 5000);
    mid_release(s->u.thread, unit_ring(&s->u, s->u.node, LARGE));
    for (int i = 0; i < 100; i++)
        mid_release(s->u.thread, unit_ring(&s->u, s->u.node, 7));
    s->garbage = LARGE + 700;
}

static void scene_close(struct scene *s)
{
    mid_release(s->u.thread, s->kept);
    mid_release(s->u.thread, s->large);
    cycles_close(&s->u);
}

/* What lives at the end of it: all that was dropped before it began has gone. */
static void scene_finish(struct scene *s, uint64_t live)
{
    unit_check(&s->u);
    cycles_finish(&s->u);
    cycles_prove(&s->u, AMPLE);
    unit_drain(&s->u);
    assert_int_equal(unit_live(&s->u), live);
    unit_check(&s->u);
}

static const char *const modes[] = {"", "shared=off"};

#define EACH_STEP(scene, step, mode)                                   \
    for (size_t mode = 0; mode < 2; mode++)                            \
        for (size_t step = 0; step < 2 * STEPS; step++)                \
            for (int once_ = (scene_open(scene, modes[mode]), reach(&(scene)->u, steps[step / 2], step % 2), 1); once_; once_ = 0)

TEST(objects_made_meanwhile_live)
{
    struct scene s;
    EACH_STEP(&s, i, mode)
    {
        mid_handle made = unit_ring(&s.u, s.u.node, 300);
        mid_store(s.u.thread, s.kept, RIGHT, made);
        mid_release(s.u.thread, made);
        scene_finish(&s, 5400);
        scene_close(&s);
    }
}

TEST(objects_freed_meanwhile_are_gone)
{
    struct scene s;
    EACH_STEP(&s, i, mode)
    {
        mid_handle at = s.kept; /* a row that dies at once, and its names come again */
        for (int n = 0; n < 50; n++)
            at = mid_peek(s.u.thread, at, LEFT);
        mid_give(s.u.thread, at, LEFT, mid_retain(s.u.thread, s.kept)); /* 49 of them */
        mid_handle again = unit_ring(&s.u, s.u.node, 60);
        scene_finish(&s, 5000 + 51 + 60);
        mid_release(s.u.thread, again);
        scene_close(&s);
    }
}

/* From slot to slot, and no count tells: the ring is turned over a holder while it is counted. */
TEST(what_is_moved_meanwhile_lives)
{
    struct scene s;
    EACH_STEP(&s, i, mode)
    {
        mid_handle holder = unit_new(&s.u, s.u.node);
        mid_give(s.u.thread, holder, LEFT, s.large);
        for (int n = 0; cycles_step(&s.u) != MID_SWEEP_NONE && n < 1000000; n++) {
            mid_give(s.u.thread, holder, n % 2 ? LEFT : RIGHT, mid_take(s.u.thread, holder, n % 2 ? RIGHT : LEFT));
            cycles_piece(&s.u);
        }
        scene_finish(&s, 5101);
        s.large = mid_load(s.u.thread, holder, mid_peek(s.u.thread, holder, LEFT) != 0 ? LEFT : RIGHT);
        mid_release(s.u.thread, holder);
        scene_close(&s);
    }
}

/* What is dropped meanwhile is this sweep's or the next one's. */
TEST(what_is_dropped_meanwhile_is_found_by_the_next)
{
    struct scene s;
    EACH_STEP(&s, i, mode)
    {
        mid_release(s.u.thread, s.large);
        unit_check(&s.u);
        cycles_finish(&s.u);
        cycles_prove(&s.u, AMPLE);
        assert_true(unit_live(&s.u) == 5100 || unit_live(&s.u) == 100);
        cycles_begin(&s.u);
        scene_finish(&s, 100);
        mid_release(s.u.thread, s.kept);
        cycles_close(&s.u);
    }
}

TEST(all_may_be_moved_in_memory_meanwhile)
{
    struct scene s;
    EACH_STEP(&s, i, mode)
    {
        mid_handle sparse[3000];
        for (size_t n = 0; n < 3000; n++)
            sparse[n] = unit_new(&s.u, s.u.node);
        for (size_t n = 0; n < 3000; n++)
            if (n % 10 != 0)
                mid_release(s.u.thread, sparse[n]);
        ok(mid_compact(s.u.thread, MID_COMPACT_PLAIN, 0, NULL));
        unit_compacted(&s.u, 0);
        for (int n = 0; n < 10 && cycles_step(&s.u) != MID_SWEEP_NONE; n++) {
            cycles_piece(&s.u);
            assert_true(mid_compact(s.u.thread, MID_COMPACT_PLAIN, 1, NULL) <= MID_MORE);
        }
        scene_finish(&s, 5400);
        for (size_t n = 0; n < 3000; n += 10)
            mid_release(s.u.thread, sparse[n]);
        scene_close(&s);
    }
}

/* --- brought to an end at each step ------------------------------------------------------------------------------- */

TEST(a_collection_ends_it_and_finds_all)
{
    struct scene s;
    EACH_STEP(&s, i, mode)
    {
        ok(i % 3 == 0 ? mid_reclaim(s.u.thread) : mid_collect(s.u.thread, NULL));
        assert_int_equal(cycles_step(&s.u), MID_SWEEP_NONE);
        assert_int_equal(cycles_shown(&s.u).sweeping, MID_SWEEPS_NOT);
        assert_int_equal(unit_live(&s.u), 5100);
        unit_check(&s.u);
        mid_release(s.u.thread, unit_ring(&s.u, s.u.node, LARGE)); /* and another one works */
        cycles_begin(&s.u);
        scene_finish(&s, 5100);
        scene_close(&s);
    }
}

/* The service's own collection, of a heap that has become small. */
TEST(a_collection_beside_it_does_no_harm)
{
    struct scene s;
    EACH_STEP(&s, i, mode)
    {
        mid_collect_result result;
        ok(mid_service_stop(s.u.heap, s.u.thread, AMPLE, NULL));
        ok(mid_service_collect(s.u.heap, &result));
        mid_service_resume(s.u.heap);
        mid_handle made = unit_ring(&s.u, s.u.node, 6000); /* of the same names */
        scene_finish(&s, 11100);
        mid_release(s.u.thread, made);
        scene_close(&s);
    }
}

TEST(a_service_that_ends_leaves_a_heap_that_closes)
{
    struct scene s;
    EACH_STEP(&s, i, mode)
    {
        mid_service_unbind(s.u.heap);
        mid_release(s.u.thread, s.kept);
        mid_release(s.u.thread, s.large);
        unit_check(&s.u);
        if (i % 3 == 0)
            unit_destroy(&s.u);
        else
            unit_close(&s.u);
    }
}

TEST(it_goes_on_in_the_child_of_a_fork)
{
    struct scene s;
    if (RUNNING_ON_VALGRIND || UNIT_SANITIZED)
        skip(); /* not every one follows a fork */
    EACH_STEP(&s, i, mode)
    {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) { /* no assertions here */
            mid_status status = MID_OK;
            while (status == MID_OK && cycles_step(&s.u) != MID_SWEEP_NONE) {
                uint64_t freed;
                status = mid_service_sweep(s.u.heap, AMPLE, false) <= MID_MORE ? MID_OK : MID_EINVAL;
                if (status == MID_OK && (status = mid_service_stop(s.u.heap, s.u.thread, AMPLE, NULL)) == MID_OK) {
                    mid_service_prove(s.u.heap, AMPLE, &freed);
                    mid_service_resume(s.u.heap);
                }
            }
            mid_release(s.u.thread, s.kept);
            mid_release(s.u.thread, s.large);
            mid_service_unbind(s.u.heap);
            bool good = status == MID_OK && mid_heap_check(s.u.heap) == MID_OK;
            _exit(good && mid_heap_close(s.u.heap) == MID_OK ? 0 : 1);
        }
        child_ends(child);
        scene_finish(&s, 5100);
        scene_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sweep_finds_what_a_collection_would),
        cmocka_unit_test(a_sweep_takes_no_memory_for_what_cannot_be_on_a_cycle),
        cmocka_unit_test(growth_counts_from_what_a_sweep_left_alive),
        cmocka_unit_test(traced_types_are_swept_in_stops),
        cmocka_unit_test(objects_made_meanwhile_live),
        cmocka_unit_test(objects_freed_meanwhile_are_gone),
        cmocka_unit_test(what_is_moved_meanwhile_lives),
        cmocka_unit_test(what_is_dropped_meanwhile_is_found_by_the_next),
        cmocka_unit_test(all_may_be_moved_in_memory_meanwhile),
        cmocka_unit_test(a_collection_ends_it_and_finds_all),
        cmocka_unit_test(a_collection_beside_it_does_no_harm),
        cmocka_unit_test(a_service_that_ends_leaves_a_heap_that_closes),
        cmocka_unit_test(it_goes_on_in_the_child_of_a_fork),
    };
    return UNIT_RUN(tests);
}
