/* The domains raw, mem and object: blocks, their figures, bad input, other allocators in front of them and in their place. */
#include "gc/heap.h"
#include "fault_os.h"
#include "unit.h"

#define BLOCKS 4000

static mid_domain_stats figures(mid_heap *heap, mid_domain domain)
{
    mid_domain_stats s;
    ok(mid_stats_domain(heap, domain, &s, sizeof s));
    return s;
}

static void empty(mid_heap *heap, mid_domain domain)
{
    mid_domain_stats s = figures(heap, domain);
    assert_int_equal(s.live_blocks, 0);
    assert_int_equal(s.asked_bytes, 0);
    assert_int_equal(s.taken_bytes, 0);
    assert_int_equal(s.allocations, s.frees);
}

static void whole(mid_heap *heap)
{
    if (mid_heap_check(heap) != MID_OK)
        print_error("%s\n", mid_heap_check_text(heap));
    ok(mid_heap_check(heap));
}

/* The same face for raw and mem. */
static mid_status get(struct unit *u, mid_domain d, size_t size, void **out)
{
    return d == MID_DOMAIN_RAW ? mid_raw_malloc(u->heap, size, out) : mid_mem_malloc(u->thread, size, out);
}
static mid_status get_cleared(struct unit *u, mid_domain d, size_t count, size_t size, void **out)
{
    return d == MID_DOMAIN_RAW ? mid_raw_calloc(u->heap, count, size, out) : mid_mem_calloc(u->thread, count, size, out);
}
static mid_status again(struct unit *u, mid_domain d, void **block, size_t size)
{
    return d == MID_DOMAIN_RAW ? mid_raw_realloc(u->heap, block, size) : mid_mem_realloc(u->thread, block, size);
}
static mid_status drop(struct unit *u, mid_domain d, void *block)
{
    return d == MID_DOMAIN_RAW ? mid_raw_free(u->heap, block) : mid_mem_free(u->thread, block);
}

static size_t some_size(uint64_t *seed)
{
    uint64_t r = unit_random(seed) % 100;
    return r < 95 ? unit_random(seed) % 600 : r < 99 ? unit_random(seed) % 40000 : unit_random(seed) % (r % 2 ? 3000000 : 9000);
}

/* Each block is filled with a byte of its own, which must be there when it is resized or freed. */
static void filled(const unsigned char *at, size_t size, unsigned char with)
{
    for (size_t i = 0; i < size; i++)
        if (at[i] != with)
            fail_msg("byte %zu of %zu is %u and not %u", i, size, at[i], with);
}

static void churn(struct unit *u, mid_domain d, uint64_t seed)
{
    static void *block[BLOCKS];
    static size_t size[BLOCKS];
    uint64_t asked = 0, live = 0;
    memset(block, 0, sizeof block);
    for (size_t n = 0; n < unit_scale(20000); n++) {
        size_t i = unit_random(&seed) % BLOCKS, want = some_size(&seed), kept;
        if (block[i] == NULL || unit_random(&seed) % 3 == 0) {
            kept = block[i] == NULL ? 0 : size[i] < want ? size[i] : want;
            live += block[i] == NULL;
            asked += want - (block[i] == NULL ? 0 : size[i]);
            ok(again(u, d, &block[i], want));
            filled(block[i], kept, (unsigned char)i);
            memset(block[i], (int)(i & 255), want);
            size[i] = want;
            assert_int_equal((uintptr_t)block[i] % (want != 0 && want % 16 == 0 ? 16 : 8), 0);
        } else {
            filled(block[i], size[i], (unsigned char)i);
            asked -= size[i];
            live--;
            ok(drop(u, d, block[i]));
            block[i] = NULL;
        }
        if (n % 5000 == 0) {
            assert_int_equal(figures(u->heap, d).asked_bytes, asked);
            assert_int_equal(figures(u->heap, d).live_blocks, live);
            whole(u->heap);
        }
    }
    mid_domain_stats s = figures(u->heap, d);
    assert_true(s.peak_asked_bytes >= s.asked_bytes && s.taken_bytes >= s.asked_bytes && s.peak_blocks >= live && s.reallocations != 0);
    for (size_t i = 0; i < BLOCKS; i++)
        ok(drop(u, d, block[i]));
    empty(u->heap, d);
    whole(u->heap);
}

TEST(blocks_keep_what_is_written_to_them)
{
    for (mid_domain d = MID_DOMAIN_RAW; d <= MID_DOMAIN_MEM; d++) {
        struct unit u;
        unit_open(&u, "");
        churn(&u, d, 7 + d);
        unit_close(&u);
    }
}

TEST(pools_of_every_size)
{
    static const uint64_t sizes[] = {16384, 65536, 262144};
    for (size_t i = 0; i < 3; i++) {
        mid_options options;
        struct unit u;
        mid_options_init(&options);
        options.pool_size = sizes[i];
        unit_open_with(&u, &options);
        churn(&u, MID_DOMAIN_MEM, 100 + i);
        unit_close(&u);
    }
}

TEST(zeros_and_edges)
{
    for (mid_domain d = MID_DOMAIN_RAW; d <= MID_DOMAIN_MEM; d++) {
        struct unit u;
        void *a, *b, *c = &u;
        unit_open(&u, "");
        ok(get(&u, d, 0, &a));
        ok(get(&u, d, 0, &b));
        assert_true(a != NULL && b != NULL && a != b);
        ok(drop(&u, d, a));
        ok(drop(&u, d, b));
        ok(drop(&u, d, NULL));
        for (size_t size = 1; size <= 2000000; size = size * 3 + 1) {
            ok(get(&u, d, size, &a));
            memset(a, 255, size);
            ok(drop(&u, d, a));
            ok(get_cleared(&u, d, size, 1, &a));
            filled(a, size, 0);
            ok(again(&u, d, &a, 0));
            assert_non_null(a);
            ok(drop(&u, d, a));
        }
        expect(MID_ESIZE, get(&u, d, SIZE_MAX, &c));
        assert_null(c);
        expect(MID_ESIZE, get_cleared(&u, d, SIZE_MAX / 2, 3, &c));
        ok(get(&u, d, 100, &a));
        b = a;
        expect(MID_ESIZE, again(&u, d, &a, SIZE_MAX));
        assert_ptr_equal(a, b);
        ok(drop(&u, d, a));
        empty(u.heap, d);
        unit_close(&u);
    }
}

TEST(what_is_no_block_is_told)
{
    struct unit u, other;
    void *small, *large, *huge, *raw, *theirs, *freed;
    char here[64] = {0};
    size_t size = 1;
    unit_open(&u, "");
    unit_open(&other, "");
    ok(mid_mem_malloc(u.thread, 48, &small));
    ok(mid_mem_malloc(u.thread, 100000, &large));
    ok(mid_mem_malloc(u.thread, 3000000, &huge));
    ok(mid_mem_malloc(u.thread, 48, &freed));
    ok(mid_mem_malloc(other.thread, 48, &theirs));
    ok(mid_raw_malloc(u.heap, 48, &raw));
    ok(mid_mem_free(u.thread, freed));
    mid_handle made = unit_array(&u, u.bytes, 500);
    void *bad[] = {(char *)small + 8, (char *)small - 8, (char *)large + 4096, (char *)huge + 4096, freed, theirs, raw, here, (void *)8,
                   (void *)-16, mid_get(u.thread, made), u.heap, (void *)((uintptr_t)small & ~(uintptr_t)0xffffff), (char *)small + 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        void *block = bad[i];
        expect(MID_EBLOCK, mid_mem_free(u.thread, block));
        expect(MID_EBLOCK, mid_mem_free_anywhere(u.heap, block));
        expect(MID_EBLOCK, mid_mem_realloc(u.thread, &block, 10));
        expect(MID_EBLOCK, mid_mem_size(u.thread, block, &size));
        assert_ptr_equal(block, bad[i]);
    }
    void *not_raw[] = {small, large, huge, here + 32, (char *)raw + 16, mid_get(u.thread, made)};
    for (size_t i = 0; i < sizeof not_raw / sizeof *not_raw; i++) {
        expect(MID_EBLOCK, mid_raw_free(u.heap, not_raw[i]));
        expect(MID_EBLOCK, mid_raw_realloc(u.heap, &not_raw[i], 10));
    }
    expect(MID_EBLOCK, mid_raw_free(other.heap, raw));
    ok(mid_mem_size(u.thread, small, &size));
    assert_int_equal(size, 48);
    ok(mid_mem_size(u.thread, huge, &size));
    assert_int_equal(size, 3000000);
    void *blocks[] = {small, large, huge};
    for (size_t i = 0; i < 3; i++) {
        ok(mid_mem_free(u.thread, blocks[i]));
        expect(MID_EBLOCK, mid_mem_free(u.thread, blocks[i]));
    }
    ok(mid_raw_free(u.heap, raw));
    mid_release(u.thread, made);
    empty(u.heap, MID_DOMAIN_MEM);
    ok(mid_mem_free(other.thread, theirs));
    unit_close(&other);
    unit_close(&u);
}

TEST(nulls_and_wrong_states)
{
    struct unit u;
    void *block = NULL;
    mid_handle object = 0;
    mid_domain_stats s;
    mid_allocator a;
    unit_open(&u, "");
    expect(MID_ENULL, mid_mem_malloc(NULL, 1, &block));
    expect(MID_ENULL, mid_mem_malloc(u.thread, 1, NULL));
    expect(MID_ENULL, mid_mem_calloc(u.thread, 1, 1, NULL));
    expect(MID_ENULL, mid_mem_free(NULL, &block));
    expect(MID_ENULL, mid_mem_free_anywhere(NULL, &block));
    expect(MID_ENULL, mid_mem_realloc(u.thread, NULL, 1));
    expect(MID_ENULL, mid_raw_malloc(NULL, 1, &block));
    expect(MID_ENULL, mid_raw_malloc(u.heap, 1, NULL));
    expect(MID_ENULL, mid_raw_realloc(u.heap, NULL, 1));
    expect(MID_ENULL, mid_raw_free(NULL, NULL));
    expect(MID_ENULL, mid_object_malloc(u.thread, 1, NULL));
    expect(MID_ENULL, mid_object_realloc(u.thread, NULL, 1));
    expect(MID_ENULL, mid_object_free(NULL, 0));
    expect(MID_ENULL, mid_stats_domain(u.heap, MID_DOMAIN_RAW, NULL, 0));
    expect(MID_EINVAL, mid_stats_domain(u.heap, MID_DOMAIN_COUNT, &s, sizeof s));
    expect(MID_EINVAL, mid_domain_get_allocator(u.heap, (mid_domain)-1, &a));
    ok(mid_domain_get_allocator(u.heap, MID_DOMAIN_MEM, &a));
    expect(MID_EINVAL, mid_domain_set_allocator(u.heap, MID_DOMAIN_COUNT, &a));
    a.free = NULL;
    expect(MID_ENULL, mid_domain_set_allocator(u.heap, MID_DOMAIN_MEM, &a));
    ok(mid_mem_malloc(u.thread, 10, &block));
    ok(mid_blocked_enter(u.thread));
    void *more = NULL;
    expect(MID_ETHREAD, mid_mem_malloc(u.thread, 10, &more));
    expect(MID_ETHREAD, mid_mem_free(u.thread, block));
    expect(MID_ETHREAD, mid_object_malloc(u.thread, 10, &object));
    expect(MID_ETHREAD, mid_charge(u.thread, 1));
    ok(mid_mem_free_anywhere(u.heap, block)); /* this one may */
    ok(mid_raw_malloc(u.heap, 10, &more));
    ok(mid_raw_free(u.heap, more));
    ok(mid_blocked_leave(u.thread));
    empty(u.heap, MID_DOMAIN_MEM);
    unit_close(&u);
}

/* --- object ----------------------------------------------------------------------------------------------------------------------- */

TEST(objects_by_the_block)
{
    struct unit u;
    mid_handle h[600], no = 5;
    size_t size;
    uint64_t asked = 0;
    unit_open(&u, "");
    for (unsigned i = 0; i < 600; i++) {
        ok(mid_object_malloc(u.thread, i * 7, &h[i]));
        asked += i * 7;
        unsigned char *at = mid_object_data(u.thread, h[i], &size);
        assert_int_equal(size, i * 7);
        filled(at, size, 0);
        memset(at, (int)(i & 255), size);
    }
    assert_int_equal(figures(u.heap, MID_DOMAIN_OBJECT).asked_bytes, asked);
    for (unsigned i = 0; i < 600; i += 3) { /* some grow out of their pools, some out of all */
        size_t want = i % 2 ? i * 1000 : i / 2;
        asked += want - i * 7;
        ok(mid_object_realloc(u.thread, &h[i], want));
        filled(mid_object_data(u.thread, h[i], &size), want < i * 7 ? want : i * 7, (unsigned char)i);
        assert_int_equal(size, want);
    }
    for (unsigned i = 1; i < 600; i += 3) {
        asked -= i * 7;
        mid_release(u.thread, h[i]); /* dies like any object */
    }
    unit_drain(&u);
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
    mid_domain_stats s = figures(u.heap, MID_DOMAIN_OBJECT);
    assert_int_equal(s.live_blocks, 400);
    assert_int_equal(s.asked_bytes, asked);
    assert_true(s.taken_bytes > asked);
    for (unsigned i = 2; i < 600; i += 3)
        filled(mid_object_data(u.thread, h[i], NULL), i * 7, (unsigned char)i);
    mid_handle node = unit_new(&u, u.node);
    expect(MID_ETYPE, mid_object_free(u.thread, node));
    expect(MID_ETYPE, mid_object_realloc(u.thread, &node, 3));
    expect(MID_EHANDLE, mid_object_free(u.thread, h[1]));
    expect(MID_EHANDLE, mid_object_free(u.thread, no));
    expect(MID_ESIZE, mid_object_malloc(u.thread, SIZE_MAX, &no));
    assert_int_equal(no, 0);
    ok(mid_object_free(u.thread, 0));
    assert_null(mid_object_data(u.thread, node, NULL));
    mid_release(u.thread, node);
    for (unsigned i = 0; i < 600; i += i % 3 == 0 ? 2 : 1)
        ok(mid_object_free(u.thread, h[i]));
    unit_drain(&u);
    empty(u.heap, MID_DOMAIN_OBJECT);
    unit_close(&u);
}

TEST(objects_and_blocks_through_deep_compaction)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle top = unit_array(&u, u.vec, 300);
    char *block[300];
    for (unsigned i = 0; i < 300; i++) {
        mid_handle h;
        void *at;
        ok(mid_object_calloc(u.thread, 3, i + 1, &h));
        memset(mid_object_data(u.thread, h, NULL), (int)(i & 255), 3 * (i + 1));
        mid_give(u.thread, top, ITEM(i), h);
        ok(mid_mem_malloc(u.thread, 3 * (i + 1) * (i % 50 == 0 ? 1000 : 1), &at));
        block[i] = memset(at, (int)(i & 255), 3 * (i + 1));
    }
    ok(mid_compact(u.thread, MID_COMPACT_DEEP, 0, NULL));
    for (unsigned i = 0; i < 300; i++) {
        size_t size;
        filled(mid_object_data(u.thread, mid_peek(u.thread, top, ITEM(i)), &size), 3 * (i + 1), (unsigned char)i);
        assert_int_equal(size, 3 * (i + 1));
        filled((unsigned char *)block[i], 3 * (i + 1), (unsigned char)i);
        ok(mid_mem_free(u.thread, block[i]));
    }
    assert_int_equal(figures(u.heap, MID_DOMAIN_OBJECT).live_blocks, 300);
    whole(u.heap);
    mid_release(u.thread, top);
    unit_drain(&u);
    empty(u.heap, MID_DOMAIN_OBJECT);
    unit_close(&u);
}

/* --- other allocators --------------------------------------------------------------------------------------------------------------- */

struct wrapper {
    mid_allocator inner;
    size_t calls, fail_at; /* from 1; 0: none fails */
};

static bool fails(struct wrapper *w)
{
    return ++w->calls == w->fail_at;
}
static mid_status wrap_malloc(void *c, mid_caller caller, size_t size, uintptr_t *block)
{
    struct wrapper *w = c;
    return fails(w) ? MID_ENOMEM : w->inner.malloc(w->inner.context, caller, size, block);
}
static mid_status wrap_calloc(void *c, mid_caller caller, size_t count, size_t size, uintptr_t *block)
{
    struct wrapper *w = c;
    return fails(w) ? MID_ENOMEM : w->inner.calloc(w->inner.context, caller, count, size, block);
}
static mid_status wrap_realloc(void *c, mid_caller caller, uintptr_t *block, size_t size)
{
    struct wrapper *w = c;
    return fails(w) ? MID_ENOMEM : w->inner.realloc(w->inner.context, caller, block, size);
}
static mid_status wrap_free(void *c, mid_caller caller, uintptr_t block)
{
    struct wrapper *w = c;
    return w->inner.free(w->inner.context, caller, block);
}

static mid_allocator wrap(struct wrapper *w, mid_heap *heap, mid_domain d)
{
    *w = (struct wrapper){0};
    ok(mid_domain_get_allocator(heap, d, &w->inner));
    mid_allocator a = {w, wrap_malloc, wrap_calloc, wrap_realloc, wrap_free, 1};
    ok(mid_domain_set_allocator(heap, d, &a));
    return a;
}

/* Every call of a domain fails once; what was there stays. */
static bool scenario(struct unit *u, mid_domain d)
{
    void *a = NULL, *b = NULL;
    mid_handle h = 0, i = 0;
    bool done;
    if (d == MID_DOMAIN_OBJECT) {
        done = mid_object_malloc(u->thread, 100, &h) == MID_OK && mid_object_calloc(u->thread, 10, 10, &i) == MID_OK &&
               mid_object_realloc(u->thread, &h, 5000) == MID_OK && mid_object_realloc(u->thread, &i, 70000) == MID_OK;
        ok(mid_object_free(u->thread, h));
        ok(mid_object_free(u->thread, i));
        unit_drain(u);
        return done;
    }
    done = get(u, d, 100, &a) == MID_OK;
    if (done)
        memset(a, 3, 100);
    done = done && get_cleared(u, d, 10, 10, &b) == MID_OK && again(u, d, &a, 5000) == MID_OK && again(u, d, &a, 2000000) == MID_OK &&
           again(u, d, &b, 3) == MID_OK;
    if (a != NULL)
        filled(a, 100, 3);
    ok(drop(u, d, a));
    ok(drop(u, d, b));
    return done;
}

TEST(a_wrapper_fails_each_call_in_turn)
{
    for (mid_domain d = MID_DOMAIN_RAW; d < MID_DOMAIN_COUNT; d++) {
        struct unit u;
        struct wrapper w;
        unit_open(&u, "");
        wrap(&w, u.heap, d);
        size_t n = 0;
        do {
            w.calls = 0;
            w.fail_at = ++n;
            bool done = scenario(&u, d);
            assert_int_equal(done, w.calls < n);
            empty(u.heap, d);
            whole(u.heap);
        } while (w.calls >= n);
        assert_true(n > 4);
        ok(mid_domain_set_allocator(u.heap, d, &w.inner));
        size_t calls = w.calls;
        assert_true(scenario(&u, d));
        assert_int_equal(w.calls, calls);
        unit_close(&u);
    }
}

/* An allocator of its own: a bump, never freed. */
struct bump {
    _Alignas(16) char memory[65536];
    size_t used, frees;
};
static mid_status bump_malloc(void *c, mid_caller caller, size_t size, uintptr_t *block)
{
    struct bump *b = c;
    (void)caller;
    size = (size + 15) & ~(size_t)15;
    if (size > sizeof b->memory - b->used)
        return MID_ENOMEM;
    *block = (uintptr_t)(b->memory + b->used);
    b->used += size;
    return MID_OK;
}
static mid_status bump_calloc(void *c, mid_caller caller, size_t count, size_t size, uintptr_t *block)
{
    return bump_malloc(c, caller, count * size, block);
}
static mid_status bump_realloc(void *c, mid_caller caller, uintptr_t *block, size_t size)
{
    uintptr_t old = *block;
    mid_status status = bump_malloc(c, caller, size, block);
    if (status == MID_OK && old != 0)
        memcpy((void *)*block, (void *)old, 8);
    return status;
}
static mid_status bump_free(void *c, mid_caller caller, uintptr_t block)
{
    struct bump *b = c;
    (void)caller;
    b->frees += block != 0;
    return MID_OK;
}

TEST(an_allocator_takes_the_place_of_a_domains)
{
    static struct bump b;
    for (mid_domain d = MID_DOMAIN_RAW; d <= MID_DOMAIN_MEM; d++) {
        struct unit u;
        void *block, *early;
        mid_allocator own, set, mine = {&b, bump_malloc, bump_calloc, bump_realloc, bump_free, 0};
        memset(&b, 0, sizeof b);
        unit_open(&u, "");
        ok(mid_domain_get_allocator(u.heap, d, &own));
        ok(get(&u, d, 100, &early));
        expect(MID_EHELD, mid_domain_set_allocator(u.heap, d, &mine));
        ok(drop(&u, d, early));
        ok(mid_domain_set_allocator(u.heap, d, &mine));
        ok(mid_domain_get_allocator(u.heap, d, &set));
        assert_ptr_equal(set.context, &b);
        ok(get(&u, d, 100, &block));
        assert_true((char *)block >= b.memory && (char *)block < b.memory + sizeof b.memory);
        assert_int_equal(figures(u.heap, d).live_blocks, 0);
        expect(MID_EHELD, mid_domain_set_allocator(u.heap, d, &own));
        struct wrapper w;
        wrap(&w, u.heap, d); /* around mine */
        ok(again(&u, d, &block, 200));
        assert_true(w.calls == 1 && b.used >= 300);
        expect(MID_ENOMEM, again(&u, d, &block, 100000));
        ok(mid_domain_set_allocator(u.heap, d, &set));
        ok(drop(&u, d, block));
        assert_int_equal(b.frees, 1);
        ok(mid_domain_set_allocator(u.heap, d, &own));
        ok(get(&u, d, 100, &block));
        assert_int_equal(figures(u.heap, d).live_blocks, 1);
        ok(drop(&u, d, block));
        for (int i = 0; i < 300; i++) { /* past a page of copies */
            ok(mid_domain_set_allocator(u.heap, d, &mine));
            ok(mid_domain_set_allocator(u.heap, d, &own));
        }
        unit_close(&u);
    }
}

/* --- foreign memory ------------------------------------------------------------------------------------------------------------------ */

TEST(charges_are_never_below_zero)
{
    struct unit u;
    unit_open(&u, "");
    expect(MID_ENULL, mid_charge(NULL, 1));
    expect(MID_ENULL, mid_uncharge(NULL, 1));
    ok(mid_charge(u.thread, 1000));
    expect(MID_EINVAL, mid_uncharge(u.heap, 1001));
    expect(MID_ESIZE, mid_charge(u.thread, UINT64_MAX));
    expect(MID_ESIZE, mid_charge(u.thread, (uint64_t)1 << 62));
    mid_stats s = unit_stats(&u);
    assert_int_equal(s.foreign_bytes, 1000);
    ok(mid_uncharge(u.heap, 400));
    ok(mid_uncharge(u.heap, 600));
    expect(MID_EINVAL, mid_uncharge(u.heap, 1));
    s = unit_stats(&u);
    assert_int_equal(s.foreign_bytes, 0);
    assert_int_equal(s.peak_foreign_bytes, 1000);
    unit_close(&u);
}

/* Objects that are small, in cycles, and have much behind them. */
static mid_heap *charged_heap;
static void uncharge(void *payload, void *context)
{
    (void)context;
    size_t size = 65536;
    if (mid_uncharge(charged_heap, size) != MID_OK || mid_mem_free_anywhere(charged_heap, payload) != MID_OK)
        abort();
}

struct heavy {
    mid_slot self, spare;
    void *payload;
};

TEST(foreign_growth_calls_for_a_collection)
{
    static const uint32_t slots[] = {offsetof(struct heavy, self)};
    struct unit u;
    unit_open(&u, "");
    charged_heap = u.heap;
    mid_type heavy = unit_type(u.heap, (mid_type_desc){.name = "heavy", .size = sizeof(struct heavy), .ref_offsets = slots, .ref_count = 1,
                                                       .payload_free = uncharge, .payload_offset = offsetof(struct heavy, payload)});
    mid_service_set_growth(u.heap, 8u << 20, 100);
    uint64_t most = 0;
    for (int i = 0; i < 1000; i++) {
        mid_handle h;
        void *block;
        ok(mid_new(u.thread, heavy, &h));
        ok(mid_mem_malloc(u.thread, 64, &block));
        ((struct heavy *)mid_get(u.thread, h))->payload = block;
        ok(mid_charge(u.thread, 65536));
        mid_store(u.thread, h, MID_SLOT(struct heavy, self), h);
        mid_release(u.thread, h);
        ok(mid_safepoint(u.thread));
        mid_stats s = unit_stats(&u);
        most = s.foreign_bytes > most ? s.foreign_bytes : most;
    }
    mid_stats s = unit_stats(&u);
    assert_true(s.collections != 0 && most < 40u << 20); /* of 62 MiB that came in all */
    assert_int_equal(s.live_objects * 65536, s.foreign_bytes);
    ok(mid_collect(u.thread, NULL));
    unit_drain(&u);
    assert_int_equal(unit_stats(&u).foreign_bytes, 0);
    empty(u.heap, MID_DOMAIN_MEM);
    unit_close(&u);
}

/* --- memory ---------------------------------------------------------------------------------------------------------------------------- */

TEST(every_byte_of_mem_has_a_name)
{
    struct unit u;
    void *block[3000];
    uint64_t seed = 5;
    unit_open(&u, "");
    for (size_t i = 0; i < 3000; i++)
        ok(mid_mem_malloc(u.thread, some_size(&seed) % 200000, &block[i]));
    for (int round = 0; round < 3; round++) {
        mid_memory m;
        ok(mid_stats_memory(u.heap, &m, sizeof m));
        mid_stats s = unit_stats(&u);
        mid_domain_stats d = figures(u.heap, MID_DOMAIN_MEM);
        const uint64_t *figure = (const uint64_t *)&m;
        uint64_t sum = m.mem_live_bytes + m.mem_rounding_bytes + m.mem_free_bytes + m.mem_index_bytes;
        for (size_t i = 0; i < offsetof(mid_memory, committed_bytes) / sizeof *figure; i++)
            sum += figure[i];
        assert_int_equal(sum, m.committed_bytes);
        assert_int_equal(s.pool_bytes + s.run_bytes + s.mapping_bytes + s.empty_bytes + s.table_bytes + s.metadata_bytes + s.block_bytes,
                         s.committed_bytes);
        assert_int_equal(m.mem_live_bytes, d.asked_bytes);
        assert_true(m.touched_bytes <= m.committed_bytes);
        for (size_t i = (size_t)round; i < 3000; i += 3)
            ok(mid_mem_free(u.thread, block[i]));
    }
    ok(mid_trim(u.thread, 0, NULL));
    assert_int_equal(unit_stats(&u).block_bytes, 0);
    assert_true(unit_stats(&u).empty_bytes <= 512u << 10);
    whole(u.heap);
    unit_close(&u);
}

TEST(at_the_limit)
{
    mid_options options;
    struct unit u;
    void *block[4096], *large;
    size_t n = 0;
    mid_options_init(&options);
    options.heap_limit = 8u << 20;
    unit_open_with(&u, &options);
    mid_status status;
    while ((status = mid_mem_malloc(u.thread, 4000, &block[n])) == MID_OK)
        n++;
    expect(MID_ELIMIT, status);
    assert_true(n > 1000 && figures(u.heap, MID_DOMAIN_MEM).refused == 1);
    expect(MID_ELIMIT, mid_mem_malloc(u.thread, 100000, &large));
    expect(MID_ELIMIT, mid_mem_malloc(u.thread, 5000000, &large));
    expect(MID_ELIMIT, mid_mem_realloc(u.thread, &block[0], 100000));
    void *raw;
    ok(mid_raw_malloc(u.heap, 20u << 20, &raw)); /* is not bounded by it */
    ok(mid_raw_free(u.heap, raw));
    assert_true(unit_stats(&u).peak_committed_bytes <= 8u << 20);
    whole(u.heap);
    while (n > 0)
        ok(mid_mem_free(u.thread, block[--n]));
    ok(mid_mem_malloc(u.thread, 5000000, &large)); /* empty pools make way */
    ok(mid_mem_free(u.thread, large));
    mid_handle h = 0;
    ok(mid_object_malloc(u.thread, 6000000, &h));
    expect(MID_ELIMIT, mid_mem_malloc(u.thread, 3000000, &large));
    mid_release(u.thread, h);
    ok(mid_mem_malloc(u.thread, 3000000, &large));
    ok(mid_mem_free(u.thread, large));
    unit_close(&u);
}

static bool heap_scenario(struct unit *u)
{
    void *block[40] = {NULL};
    mid_handle h = 0;
    bool done = true;
    for (int i = 0; i < 40 && done; i++)
        done = mid_mem_malloc(u->thread, (size_t)i * i * i * 40, &block[i]) == MID_OK;
    for (int i = 0; i < 40 && done; i++) {
        memset(block[i], i, (size_t)i);
        done = mid_mem_realloc(u->thread, &block[i], (size_t)i * 10000) == MID_OK;
        filled(block[i], (size_t)i, (unsigned char)i);
    }
    for (int i = 0; i < 40 && done; i++) {
        done = mid_mem_realloc(u->thread, &block[i], (size_t)i) == MID_OK;
        filled(block[i], (size_t)i, (unsigned char)i);
    }
    done = done && mid_object_malloc(u->thread, 50000, &h) == MID_OK && mid_object_realloc(u->thread, &h, 2000000) == MID_OK;
    for (int i = 0; i < 40; i++)
        ok(mid_mem_free(u->thread, block[i]));
    ok(mid_object_free(u->thread, h));
    return done;
}

TEST(the_nth_request_for_memory_is_refused)
{
    size_t n = 0, calls;
    do {
        struct fault_os fault;
        struct unit u;
        fault_open(&u, &fault, "reserve=0");
        fault.calls = 0;
        fault.fail_at = ++n;
        bool done = heap_scenario(&u);
        calls = fault.calls;
        assert_true(done || calls >= n);
        fault.fail_at = 0;
        empty(u.heap, MID_DOMAIN_MEM);
        whole(u.heap);
        assert_true(heap_scenario(&u));
        fault_close(&u, &fault);
    } while (calls >= n);
    assert_true(n > 20);
}

TEST(the_map_shows_them)
{
    struct unit u;
    void *block[100];
    unit_open(&u, "");
    for (int i = 0; i < 100; i++)
        ok(mid_mem_malloc(u.thread, 1000, &block[i]));
    mid_units *units = calloc(1, sizeof *units);
    unsigned found = 0, live = 0;
    while (mid_service_units(u.heap, units))
        for (unsigned i = 0; i < units->count; i++)
            if (units->units[i].use == MID_UNIT_MEM) {
                found++;
                live += units->units[i].live;
            }
    free(units);
    assert_int_equal(found, 2);
    assert_true(live >= 100);
    for (int i = 0; i < 100; i++)
        ok(mid_mem_free(u.thread, block[i]));
    unit_close(&u);
}

/* A large block that is to shrink, and finds no smaller place, keeps its first page alone. */
TEST(a_large_block_shrinks_where_there_is_no_other_place)
{
    struct fault_os fault;
    struct unit u;
    fault_open(&u, &fault, "");
    void *block = NULL;
    ok(mid_mem_malloc(u.thread, 60000, &block));
    memset(block, 'x', 60000);
    fault.fail_at = fault.calls + 1;
    fault.for_good = 1;
    ok(mid_mem_realloc(u.thread, &block, 100));
    assert_true(fault.failed != 0);
    ok(mid_mem_realloc(u.thread, &block, 0));
    ok(mid_mem_realloc(u.thread, &block, 100));
    fault.fail_at = 0;
    memset(block, 'x', 100);
    mid_domain_stats s;
    ok(mid_stats_domain(u.heap, MID_DOMAIN_MEM, &s, sizeof s));
    assert_int_equal(s.asked_bytes, 100);
    assert_true(s.taken_bytes <= 4096);
    unit_check(&u);
    for (int i = 0; i < 100; i++)
        assert_int_equal(((char *)block)[i], 'x');
    ok(mid_mem_realloc(u.thread, &block, 50000));
    for (int i = 0; i < 100; i++)
        assert_int_equal(((char *)block)[i], 'x');
    ok(mid_mem_realloc(u.thread, &block, 0));
    unit_check(&u);
    ok(mid_mem_free(u.thread, block));
    fault_close(&u, &fault);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_keep_what_is_written_to_them),
        cmocka_unit_test(pools_of_every_size),
        cmocka_unit_test(zeros_and_edges),
        cmocka_unit_test(what_is_no_block_is_told),
        cmocka_unit_test(nulls_and_wrong_states),
        cmocka_unit_test(objects_by_the_block),
        cmocka_unit_test(objects_and_blocks_through_deep_compaction),
        cmocka_unit_test(a_wrapper_fails_each_call_in_turn),
        cmocka_unit_test(an_allocator_takes_the_place_of_a_domains),
        cmocka_unit_test(charges_are_never_below_zero),
        cmocka_unit_test(foreign_growth_calls_for_a_collection),
        cmocka_unit_test(every_byte_of_mem_has_a_name),
        cmocka_unit_test(at_the_limit),
        cmocka_unit_test(the_nth_request_for_memory_is_refused),
        cmocka_unit_test(the_map_shows_them),
        cmocka_unit_test(a_large_block_shrinks_where_there_is_no_other_place),
    };
    return UNIT_RUN(tests);
}
