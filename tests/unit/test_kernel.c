/* What the heap says of its memory against what the kernel knows of the same ranges: bytes, and areas. */
#include "unit.h"

#include "alloc/alloc.h"
#include "kernel_os.h"

static struct kernel_os kernel;

static void open_kernel(struct unit *u, const char *text)
{
    mid_options options;
    mid_options_init(&options);
    ok(mid_options_parse(&options, text, NULL));
    kernel_os_init(&kernel);
    options.os = &kernel.os;
    unit_open_with(u, &options);
}

/* --- bytes --------------------------------------------------------------------------------------------------------- */

enum { SMALL = 100000, LARGE = 30, OBJECTS = SMALL + LARGE };
static mid_handle object[OBJECTS];
static size_t items[OBJECTS];

static void make(struct unit *u, size_t i, size_t size)
{
    items[i] = size;
    object[i] = unit_array(u, u->bytes, size);
    memset(((struct bytes *)mid_get(u->thread, object[i]))->data, 1, size);
}

/* Most sizes are below 1 KiB, some up to 32 KiB; a third of the large ones are mappings. */
static void fill(struct unit *u, uint64_t seed)
{
    for (size_t i = 0; i < SMALL; i++)
        if (object[i] == 0)
            make(u, i, unit_random(&seed) % (i % 1000 == 0 ? 32000 : 1000));
    for (size_t i = SMALL; i < OBJECTS; i++)
        if (object[i] == 0)
            make(u, i, 33000 + unit_random(&seed) % (i % 3 == 0 ? 4000000 : 1000000));
}

static void thin(struct unit *u, unsigned keep_percent, uint64_t seed)
{
    for (size_t i = 0; i < OBJECTS; i++)
        if (unit_random(&seed) % 100 >= keep_percent) {
            mid_release(u->thread, object[i]);
            object[i] = 0;
        }
    unit_drain(u);
}

static mid_memory memory_of(struct unit *u)
{
    mid_memory m;
    ok(mid_stats_memory(u->heap, &m, sizeof m));
    const uint64_t *figure = (const uint64_t *)&m;
    uint64_t sum = 0;
    for (size_t i = 0; i < offsetof(mid_memory, committed_bytes) / sizeof *figure; i++)
        sum += figure[i];
    assert_int_equal(sum, m.committed_bytes);
    return m;
}

static void agrees(struct unit *u, const char *when)
{
    struct kernel_figures kernels = kernel_os_figures(&kernel);
    mid_memory m = memory_of(u);
    mid_stats s = unit_stats(u);
    uint64_t live = 0;
    for (size_t i = 0; i < OBJECTS; i++)
        live += object[i] != 0 ? sizeof(struct bytes) + items[i] : 0;
    assert_int_equal(m.live_bytes, live);
    assert_int_equal(m.committed_bytes, s.committed_bytes);
    assert_int_equal(m.empty_bytes, s.empty_bytes);
    assert_int_equal(m.entry_bytes + m.bound_entry_bytes + m.free_entry_bytes, s.table_bytes);
    assert_int_equal(m.index_bytes + m.tail_bytes + m.live_bytes + m.rounding_bytes + m.dead_bytes + m.free_slot_bytes +
                         m.empty_bytes + m.free_page_bytes + m.descriptor_bytes + m.metadata_bytes,
                     s.committed_bytes - s.table_bytes);
    assert_int_equal(kernels.foreign, 0);
    assert_true(m.touched_bytes <= m.committed_bytes);
    uint64_t apart = kernels.resident > m.touched_bytes ? kernels.resident - m.touched_bytes : m.touched_bytes - kernels.resident;
    if (apart > m.touched_bytes / 50)
        print_error("%s: %zu bytes are resident, %llu were touched\n", when, kernels.resident, (unsigned long long)m.touched_bytes);
    assert_true(apart <= m.touched_bytes / 50);
}

TEST(the_kernel_agrees)
{
    struct unit u;
    open_kernel(&u, "");
    fill(&u, 1);
    agrees(&u, "full");
    thin(&u, 10, 2);
    agrees(&u, "thinned");
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
    unit_compacted(&u, 0);
    agrees(&u, "compacted");
    ok(mid_trim(u.thread, 0, NULL));
    agrees(&u, "trimmed");
    fill(&u, 3);
    agrees(&u, "filled again");
    for (size_t i = SMALL; i < OBJECTS; i++) { /* runs and mappings grow, shrink, change into each other */
        size_t size = i % 2 == 0 ? items[i] / 2 + 33000 : items[i] + 500000;
        ok(mid_resize(u.thread, object[i], size));
        memset(((struct bytes *)mid_get(u.thread, object[i]))->data, 2, size);
        items[i] = size;
    }
    agrees(&u, "resized");
    thin(&u, 50, 4);
    ok(mid_collect(u.thread, NULL));
    agrees(&u, "thinned again");
    thin(&u, 0, 5);
    ok(mid_trim(u.thread, 0, NULL));
    mid_memory m = memory_of(&u);
    assert_int_equal(m.live_bytes + m.rounding_bytes + m.dead_bytes, 0);
    unit_close(&u);
}

/* A block that nobody has freed for good is dead, and counted whole. */
TEST(each_byte_has_its_name)
{
    struct unit u;
    open_kernel(&u, "reserve=0,spare=0");
    mid_type odd = unit_plain_type(u.heap, "odd", 1000); /* in slots of 1024 */
    const mid_memory none = memory_of(&u);
    mid_handle one = unit_new(&u, odd), two = unit_new(&u, odd), run = unit_array(&u, u.bytes, 40000);
    mid_memory m = memory_of(&u);
    const uint64_t slots = 63, pages = 40960;
    assert_int_equal(m.live_bytes, 2 * 1000 + sizeof(struct bytes) + 40000);
    assert_int_equal(m.rounding_bytes, 2 * 24 + pages - sizeof(struct bytes) - 40000);
    assert_int_equal(m.free_slot_bytes, (slots - 2) * 1024);
    assert_int_equal(m.index_bytes, slots * 4);
    assert_int_equal(m.tail_bytes, 65536 - slots * (1024 + 4));
    assert_int_equal(m.entry_bytes, 3 * 16);
    assert_int_equal(none.live_bytes + none.rounding_bytes + none.free_slot_bytes + none.index_bytes + none.entry_bytes, 0);
    mid_release(u.thread, two);
    mid_release(u.thread, run);
    m = memory_of(&u);
    assert_int_equal(m.live_bytes + m.rounding_bytes, 1024);
    assert_int_equal(m.entry_bytes, 16);
    mid_release(u.thread, one);
    expect(MID_ENULL, mid_stats_memory(NULL, &m, sizeof m));
    expect(MID_ENULL, mid_stats_memory(u.heap, NULL, sizeof m));
    uint64_t first[2] = {7, 7}; /* an older program's, which knows one figure */
    ok(mid_stats_memory(u.heap, (mid_memory *)first, sizeof first[0]));
    assert_true(first[0] == 0 && first[1] == 7);
    unit_close(&u);
}

/* --- areas --------------------------------------------------------------------------------------------------------- */

/* docs/design/alloc.md, "The kernel's areas". */
static size_t areas_at_most(void)
{
    size_t most = 0;
    for (size_t i = 0; i < kernel.count; i++)
        most += !kernel.ranges[i].reserved ? 1 : kernel.ranges[i].size == MID_ARENA_SIZE ? 16 : 3;
    return most;
}

TEST(areas_are_few_whatever_goes_back)
{
    enum { PAIRS = 1500, BLOCKS = 400, ROUNDS = 12 };
    static mid_handle half[2 * PAIRS], block[BLOCKS];
    struct unit u;
    uint64_t seed = 9, holes = 0;
    open_kernel(&u, "reserve=0,spare=0,max-objects=1M");
    mid_type big = unit_type(u.heap, (mid_type_desc){.name = "half", .size = 32768, .flags = MID_UNCLEARED});
    for (size_t i = 0; i < 2 * PAIRS; i++)
        half[i] = unit_new(&u, big);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t returned = unit_stats(&u).returned_bytes;
        for (size_t i = 0; i < PAIRS; i++) {
            bool leave = unit_random(&seed) % 2;
            for (size_t k = 2 * i; k < 2 * i + 2; k++)
                if (leave) {
                    mid_release(u.thread, half[k]);
                    half[k] = 0;
                } else if (half[k] == 0) {
                    half[k] = unit_new(&u, big);
                }
        }
        for (size_t i = 0; i < BLOCKS; i++) {
            mid_release(u.thread, block[i]);
            block[i] = unit_random(&seed) % 2 ? unit_array(&u, u.bytes, 33000 + unit_random(&seed) % 1200000) : 0;
        }
        unit_drain(&u);
        if (round % 4 == 3) {
            ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
            unit_compacted(&u, 0);
        }
        ok(mid_trim(u.thread, 0, NULL));
        holes += (unit_stats(&u).returned_bytes - returned) / (64 << 10);
        struct kernel_figures kernels = kernel_os_figures(&kernel);
        assert_int_equal(kernels.foreign, 0);
        assert_true(kernels.areas <= areas_at_most());
    }
    assert_true(holes > 2 * areas_at_most()); /* each of them a piece of its own, had it cost an area */
    for (size_t i = 0; i < 2 * PAIRS; i++)
        mid_release(u.thread, half[i]);
    for (size_t i = 0; i < BLOCKS; i++)
        mid_release(u.thread, block[i]);
    unit_close(&u);
}

/* --- the domain mem -------------------------------------------------------------------------------------------------- */

static void *block[SMALL];

static void agree_on_blocks(struct unit *u, const char *when)
{
    mid_memory m;
    struct kernel_figures kernels = kernel_os_figures(&kernel);
    ok(mid_stats_memory(u->heap, &m, sizeof m));
    uint64_t apart = kernels.resident > m.touched_bytes ? kernels.resident - m.touched_bytes : m.touched_bytes - kernels.resident;
    if (apart > m.touched_bytes / 50)
        print_error("%s: %zu bytes are resident, %llu were touched\n", when, kernels.resident, (unsigned long long)m.touched_bytes);
    assert_true(apart <= m.touched_bytes / 50);
}

TEST(the_kernel_agrees_on_blocks)
{
    struct unit u;
    uint64_t seed = 4;
    open_kernel(&u, "");
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < SMALL; i++) {
            size_t size = 1 + unit_random(&seed) % (i % 1000 == 0 ? 100000 : round == 1 ? 100 : 1000);
            if (block[i] == NULL) {
                ok(mid_mem_malloc(u.thread, size, &block[i]));
                memset(block[i], 1, size);
            }
        }
        agree_on_blocks(&u, "full");
        for (size_t i = 0; i < SMALL; i++)
            if (unit_random(&seed) % 10 != 0) {
                ok(mid_mem_free(u.thread, block[i]));
                block[i] = NULL;
            }
        agree_on_blocks(&u, "thinned");
        ok(mid_trim(u.thread, 0, NULL));
        agree_on_blocks(&u, "trimmed");
    }
    for (size_t i = 0; i < SMALL; i++)
        ok(mid_mem_free(u.thread, block[i]));
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernel_agrees),
        cmocka_unit_test(the_kernel_agrees_on_blocks),
        cmocka_unit_test(each_byte_has_its_name),
        cmocka_unit_test(areas_are_few_whatever_goes_back),
    };
    return UNIT_RUN(tests);
}
