/* The system refuses memory at the nth request, for every n until the scenario passes without a refusal: each call either
 * works or says MID_ENOMEM, the heap checks out after every refusal, and everything goes back to the system. */
#include "unit.h"

#include "fault_os.h"

#define OBJECTS 600

struct run {
    struct unit u;
    struct fault_os fault;
    mid_handle object[OBJECTS];
    mid_weak weak[20];
    size_t weak_count, refusals;
    size_t seen; /* fault.failed when last looked at */
};

/* The check may need memory of its own; what it finds is the question here, not whether it can look. */
static void check(struct run *run)
{
    size_t fail_at = run->fault.fail_at;
    run->fault.fail_at = 0;
    if (run->u.heap != NULL)
        unit_check(&run->u);
    run->fault.fail_at = fail_at;
}

/* A call came back with `status`: a refusal must be honest, and leave the heap whole. */
static int went_well(struct run *run, mid_status status)
{
    if (status == MID_OK || status == MID_MORE)
        return 1;
    assert_int_equal(status, MID_ENOMEM);
    assert_true(run->fault.failed > run->seen); /* something was refused since the last call that failed */
    run->seen = run->fault.for_good ? run->seen : run->fault.failed;
    run->refusals++;
    check(run);
    return 0;
}

static int opened(struct run *run)
{
    static const uint32_t slots[] = {offsetof(struct node, left), offsetof(struct node, right)};
    struct unit *u = &run->u;
    mid_options options;
    mid_options_init(&options);
    options.os = &run->fault.os;
    options.max_objects = 1u << 20;
    options.reserve = 128u << 10;
    mid_status status = mid_heap_open(&u->heap, &options);
    if (status != MID_OK) {
        assert_null(u->heap);
        return went_well(run, status);
    }
    if (!went_well(run, mid_thread_attach(u->heap, &u->thread)))
        return 0;
    mid_type_desc node = {.struct_size = sizeof node, .name = "node", .size = sizeof(struct node), .ref_offsets = slots, .ref_count = 2};
    mid_type_desc vec = {.struct_size = sizeof vec, .name = "vec", .size = sizeof(struct vec), .item_size = 4,
                         .length_offset = offsetof(struct vec, length), .items_are_refs = 1};
    mid_type_desc bytes = {.struct_size = sizeof bytes, .name = "bytes", .size = sizeof(struct bytes), .item_size = 1,
                           .length_offset = offsetof(struct bytes, length)};
    for (int i = 0; i < 30; i++) { /* the type table grows */
        mid_type other;
        if (!went_well(run, mid_type_register(u->heap, &node, &other)))
            return 0;
    }
    return went_well(run, mid_type_register(u->heap, &node, &u->node)) &&
           went_well(run, mid_type_register(u->heap, &vec, &u->vec)) &&
           went_well(run, mid_type_register(u->heap, &bytes, &u->bytes));
}

static void make_objects(struct run *run)
{
    static const size_t sizes[] = {20, 300, 5000, 31000, 40000, 300000, 1500000};
    struct unit *u = &run->u;
    for (size_t i = 0; i < OBJECTS; i++) {
        mid_handle *at = &run->object[i];
        mid_status status = i % 3 == 0   ? mid_new(u->thread, u->node, at)
                            : i % 3 == 1 ? mid_new_array(u->thread, u->vec, i % 40, at)
                                         : mid_new_array(u->thread, u->bytes, sizes[i / 3 % 7] + i, at);
        assert_true((status == MID_OK) == (*at != 0));
        went_well(run, status);
        if (*at != 0 && i % 3 == 0 && i > 3)
            mid_store(u->thread, *at, LEFT, run->object[i - 3]);
        if (*at != 0 && i % 3 == 1 && i % 40 > 0)
            mid_store(u->thread, *at, ITEM(0), run->object[i - 1]);
        if (*at != 0 && i % 3 == 2)
            memset(((struct bytes *)mid_get(u->thread, *at))->data, (int)(i & 0xFF), sizes[i / 3 % 7] + i);
    }
}

static void use_objects(struct run *run)
{
    static const size_t to[] = {1700000, 50, 41000, 700, 3000000, 32000, 0};
    struct unit *u = &run->u;
    mid_scope scope;
    if (went_well(run, mid_scope_open(u->thread, &scope))) {
        for (size_t i = 0; i < OBJECTS; i += 2)
            if (run->object[i] != 0 && mid_keep(u->thread, mid_retain(u->thread, run->object[i])) == 0)
                went_well(run, mid_thread_status(u->thread));
        mid_scope_close(u->thread, &scope, 0);
    }
    for (size_t i = 0; i < OBJECTS; i += 5)
        if (run->object[i] != 0 && run->weak_count < 20)
            run->weak_count += (size_t)went_well(run, mid_weak_new(u->thread, run->object[i], &run->weak[run->weak_count]));
    for (size_t i = 2; i < OBJECTS; i += 6) {
        if (run->object[i] == 0)
            continue;
        size_t before = 0, after = 0;
        ok(mid_items_of(u->thread, run->object[i], &before));
        int done = went_well(run, mid_resize(u->thread, run->object[i], to[i / 6 % 7]));
        ok(mid_items_of(u->thread, run->object[i], &after));
        assert_int_equal(after, done ? to[i / 6 % 7] : before);
        if (after > 0)
            assert_int_equal(((struct bytes *)mid_get(u->thread, run->object[i]))->data[0], i & 0xFF);
    }
    for (size_t i = 0; i < OBJECTS; i += 50)
        if (run->object[i] != 0 && went_well(run, mid_pin(u->thread, run->object[i], NULL)))
            ok(mid_unpin(u->thread, run->object[i]));
}

static void shrink(struct run *run)
{
    struct unit *u = &run->u;
    for (size_t i = 0; i < OBJECTS; i++)
        if (i % 4 != 0) {
            mid_release(u->thread, run->object[i]);
            run->object[i] = 0;
        }
    went_well(run, mid_collect(u->thread, NULL));
    went_well(run, mid_compact(u->thread, MID_COMPACT_PLAIN, 0, NULL));
    went_well(run, mid_trim(u->thread, 0, NULL));
    for (size_t i = 0; i < OBJECTS; i += 12)
        if (run->object[i] != 0)
            assert_true(unit_count(u, run->object[i]) >= 1);
    check(run);
}

/* The whole scenario with the nth request refused; returns how many refusals the program saw. */
static size_t scenario(size_t n, int for_good, int destroy, size_t *failed)
{
    struct run *run = calloc(1, sizeof *run);
    assert_non_null(run);
    fault_os_init(&run->fault);
    run->fault.fail_at = n;
    run->fault.for_good = for_good;
    if (opened(run)) {
        make_objects(run);
        use_objects(run);
        shrink(run);
        for (size_t i = 0; i < OBJECTS; i++)
            mid_release(run->u.thread, run->object[i]);
        unit_drain(&run->u);
        check(run);
        for (size_t i = 0; i < run->weak_count; i++)
            ok(mid_weak_drop(run->u.thread, run->weak[i]));
    }
    if (run->u.heap != NULL)
        ok(destroy ? mid_heap_destroy(run->u.heap) : mid_heap_close(run->u.heap));
    *failed = run->fault.failed;
    size_t refusals = run->refusals;
    fault_os_done(&run->fault);
    free(run);
    return refusals;
}

static void every_n(int for_good)
{
    size_t failed = 1, refusals = 0, n = 0;
    size_t step = RUNNING_ON_VALGRIND ? 7 : 1;
    for (n = 1; failed != 0; n += step)
        refusals += scenario(n, for_good, (int)(n & 1), &failed);
    assert_true(n > 20); /* the scenario asks often enough to be worth it */
    assert_true(refusals >= (n - 1) / step / 4);
}

TEST(without_refusals_everything_works)
{
    size_t failed = 1;
    assert_int_equal(scenario(0, 0, 0, &failed), 0);
    assert_int_equal(failed, 0);
}

TEST(each_single_request_is_refused_once)
{
    every_n(0);
}

TEST(from_each_request_on_all_are_refused)
{
    every_n(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_refusals_everything_works),
        cmocka_unit_test(each_single_request_is_refused_once),
        cmocka_unit_test(from_each_request_on_all_are_refused),
    };
    return UNIT_RUN(tests);
}
