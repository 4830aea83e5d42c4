/* Policies of types: free lists with payloads, objects made ahead, interning, the cache, immortals. */
#include "deep.h"

#include <pthread.h>

#include "midden/policy.h"

struct word {
    uint64_t value, note;
};

static uint32_t word_hash(const void *object, void *context)
{
    (void)context;
    return (uint32_t)((const struct word *)object)->value % 97; /* many collide */
}

static int word_equal(const void *a, const void *b, void *context)
{
    (void)context;
    return ((const struct word *)a)->value == ((const struct word *)b)->value;
}

static int word_matches(const void *object, const void *key)
{
    return ((const struct word *)object)->value == *(const uint64_t *)key;
}

static mid_type_desc words(uint32_t cached)
{
    return (mid_type_desc){.struct_size = sizeof(mid_type_desc), .name = "word", .size = sizeof(struct word), .flags = MID_INTERNED, .cached = cached, .hash = word_hash, .equal = word_equal};
}

static mid_handle word(struct unit *u, mid_type type, uint64_t value)
{
    mid_handle made, one;
    ok(mid_new(u->thread, type, &made));
    ((struct word *)mid_get(u->thread, made))->value = value;
    ok(mid_intern(u->thread, made, &one));
    return one;
}

static mid_policy_stats shown(struct unit *u, mid_type type)
{
    mid_policy_stats stats;
    ok(mid_policy_stats_get(u->heap, type, &stats, sizeof stats));
    return stats;
}

static mid_handle there(struct unit *u, mid_type type, uint64_t value)
{
    mid_handle found;
    ok(mid_intern_find(u->thread, type, (uint32_t)value % 97, word_matches, &value, &found));
    return found;
}

TEST(equal_objects_are_one_and_die)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = unit_type(u.heap, words(0));
    enum { COUNT = 2000 };
    mid_handle held[COUNT];
    for (int round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < COUNT; i++)
            held[i] = word(&u, type, i);
        for (uint64_t i = 0; i < COUNT; i++) {
            mid_handle again = word(&u, type, i), found = there(&u, type, i);
            assert_int_equal(again, held[i]);
            assert_int_equal(found, held[i]);
            mid_release(u.thread, again);
            mid_release(u.thread, found);
        }
        assert_int_equal(shown(&u, type).interned, COUNT);
        unit_check(&u);
        for (uint64_t i = 0; i < COUNT; i++)
            if (i % 3 != 0)
                mid_release(u.thread, held[i]);
        assert_int_equal(there(&u, type, 1), 0);
        assert_int_equal(shown(&u, type).interned, (COUNT + 2) / 3);
        ok(mid_compact(u.thread, round == 1 ? MID_COMPACT_PLAIN : MID_COMPACT_DEEP, 0, NULL));
        for (uint64_t i = 0; i < COUNT; i += 3) {
            mid_handle found = there(&u, type, i);
            assert_int_equal(found, held[i]);
            mid_release(u.thread, found);
            mid_release(u.thread, held[i]);
        }
        unit_check(&u);
    }
    assert_int_equal(shown(&u, type).interned, 0);
    assert_true(shown(&u, type).hits >= 3 * 2 * COUNT);
    unit_close(&u);
}

/* What only slots hold is renamed, and the table knows. */
TEST(a_deep_compaction_renames_what_is_interned)
{
    static struct deep d;
    deep_open(&d, "");
    mid_type type = unit_type(d.u.heap, words(0));
    mid_handle old[SLOTS];
    unsigned renamed = 0;
    for (unsigned i = 0; i < SLOTS; i++)
        old[i] = deep_put(&d, i, word(&d.u, type, 1000 + i));
    deep_settle(&d);
    assert_true(deep_compact(&d) != 0);
    for (unsigned i = 0; i < SLOTS; i++) {
        mid_handle found = there(&d.u, type, 1000 + i);
        assert_int_equal(found, deep_item(&d, i));
        renamed += found != old[i];
        mid_release(d.u.thread, found);
    }
    assert_true(renamed != 0);
    unit_check(&d.u);
    mid_release(d.u.thread, d.root);
    unit_close(&d.u);
}

/* What refers to others cannot be asked for its hash when it dies: they may be gone. */
struct pair {
    mid_slot other;
    uint32_t value;
};

static uint32_t pair_hash(const void *object, void *context)
{
    (void)context;
    return ((const struct pair *)object)->value % 31;
}

static int pair_equal(const void *a, const void *b, void *context)
{
    (void)context;
    return ((const struct pair *)a)->value == ((const struct pair *)b)->value;
}

TEST(what_refers_to_others_is_interned_and_renamed)
{
    static struct deep d;
    static const uint32_t slots[] = {0};
    deep_open(&d, "");
    mid_type type = unit_type(d.u.heap, (mid_type_desc){.name = "pair", .size = sizeof(struct pair), .ref_offsets = slots, .ref_count = 1, .flags = MID_INTERNED,
                                                        .hash = pair_hash, .equal = pair_equal});
    for (unsigned i = 0; i < SLOTS; i++) {
        mid_handle made, one, other;
        ok(mid_new(d.u.thread, type, &made));
        ok(mid_new(d.u.thread, d.u.node, &other));
        ((struct pair *)mid_get(d.u.thread, made))->value = i;
        mid_give(d.u.thread, made, 0, other);
        ok(mid_intern(d.u.thread, made, &one));
        assert_int_equal(one, made);
        deep_put(&d, i, one);
    }
    deep_settle(&d);
    assert_true(deep_compact(&d) != 0);
    unit_check(&d.u);
    for (unsigned i = 0; i < SLOTS; i++) {
        mid_handle made, one;
        ok(mid_new(d.u.thread, type, &made));
        ((struct pair *)mid_get(d.u.thread, made))->value = i;
        ok(mid_intern(d.u.thread, made, &one));
        assert_int_equal(one, deep_item(&d, i));
        mid_release(d.u.thread, one);
    }
    mid_release(d.u.thread, d.root);
    ok(mid_collect(d.u.thread, NULL));
    assert_int_equal(shown(&d.u, type).interned, 0);
    unit_close(&d.u);
}

TEST(the_cache_holds_the_last_that_died)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = unit_type(u.heap, words(10));
    mid_handle first = word(&u, type, 1000);
    ((struct word *)mid_get(u.thread, first))->note = 77;
    mid_release(u.thread, first);
    assert_int_equal(shown(&u, type).cached, 1);
    mid_handle again = there(&u, type, 1000);
    assert_int_equal(again, first);
    assert_int_equal(((struct word *)mid_get(u.thread, again))->note, 77);
    mid_release(u.thread, again);
    for (uint64_t i = 0; i < 50; i++)
        mid_release(u.thread, word(&u, type, i));
    unit_check(&u);
    assert_int_equal(shown(&u, type).cached, 10);
    assert_int_equal(shown(&u, type).evicted, 41);
    assert_int_equal(there(&u, type, 1000), 0);
    assert_int_equal(there(&u, type, 39), 0);
    again = there(&u, type, 45);
    assert_int_not_equal(again, 0);
    ok(mid_trim(u.thread, 0, NULL)); /* memory is wanted */
    assert_int_equal(shown(&u, type).cached, 0);
    assert_int_equal(shown(&u, type).emptied, 10);
    assert_int_equal(shown(&u, type).interned, 1);
    unit_check(&u);
    mid_release(u.thread, again);
    assert_int_equal(shown(&u, type).cached, 1);
    unit_close(&u); /* what the cache holds is no leak */
}

static int payloads;
static void payload_free(void *payload, void *context)
{
    (void)context;
    payloads--;
    free(payload);
}

struct buffer {
    mid_slot link;
    uint32_t spare;
    void *data;
};

static mid_type buffers(struct unit *u, uint32_t keep, uint32_t ahead)
{
    static const uint32_t slots[] = {0};
    return unit_type(u->heap, (mid_type_desc){.name = "buffer", .size = sizeof(struct buffer), .ref_offsets = slots, .ref_count = 1, .payload_free = payload_free,
                                              .payload_offset = offsetof(struct buffer, data), .keep = keep, .ahead = ahead});
}

TEST(the_dead_are_kept_with_their_payloads)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = buffers(&u, 4, 0);
    mid_handle made[8], other;
    mid_weak weak;
    for (int i = 0; i < 8; i++) {
        ok(mid_new(u.thread, type, &made[i]));
        struct buffer *b = mid_get(u.thread, made[i]);
        assert_null(b->data);
        b->data = malloc(16);
        payloads++;
    }
    ok(mid_new(u.thread, u.node, &other));
    mid_give(u.thread, made[0], 0, other);
    ok(mid_weak_new(u.thread, made[0], &weak));
    for (int i = 0; i < 8; i++)
        mid_release(u.thread, made[i]);
    assert_int_equal(payloads, 4);
    assert_false(mid_is_live(u.thread, other));
    assert_int_equal(mid_weak_get(u.thread, weak), 0);
    ok(mid_weak_drop(u.thread, weak));
    assert_int_equal(shown(&u, type).kept, 4);
    ok(mid_compact(u.thread, MID_COMPACT_DEEP, 0, NULL));
    unit_check(&u);
    for (int i = 0; i < 6; i++) {
        ok(mid_new(u.thread, type, &made[i]));
        struct buffer *b = mid_get(u.thread, made[i]);
        assert_int_equal(b->data != NULL, i < 4);
        assert_int_equal(mid_peek(u.thread, made[i], 0), 0);
    }
    assert_int_equal(shown(&u, type).reused, 4);
    for (int i = 0; i < 6; i++)
        mid_release(u.thread, made[i]);
    assert_int_equal(payloads, 4);
    mid_reclaim(u.thread); /* whether the system got anything is not the point */
    assert_int_equal(payloads, 0);
    assert_int_equal(shown(&u, type).kept, 0);
    unit_close(&u);
}

TEST(garbage_cycles_are_kept_too)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = buffers(&u, 100, 0);
    mid_handle a, b;
    ok(mid_new(u.thread, type, &a));
    ok(mid_new(u.thread, type, &b));
    mid_store(u.thread, a, 0, b);
    mid_give(u.thread, b, 0, a);
    mid_release(u.thread, b);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(shown(&u, type).kept, 2);
    unit_check(&u);
    unit_close(&u);
}

TEST(objects_are_made_ahead)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = buffers(&u, 0, 20);
    assert_int_equal(shown(&u, type).kept, 20);
    ok(mid_trim(u.thread, 0, NULL));
    assert_int_equal(shown(&u, type).kept, 20);
    mid_handle made[20];
    for (int i = 0; i < 20; i++)
        ok(mid_new(u.thread, type, &made[i]));
    assert_int_equal(shown(&u, type).made, 0);
    for (int i = 0; i < 20; i++)
        mid_release(u.thread, made[i]);
    assert_int_equal(shown(&u, type).kept, 20);
    unit_check(&u);
    unit_close(&u);
}

TEST(immortals_are_born)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "eternal", .flags = MID_IMMORTAL}), array = unit_type(u.heap, (mid_type_desc){.name = "eternal array", .size = 8, .item_size = 1, .flags = MID_IMMORTAL});
    mid_handle made, long_one;
    uint32_t count;
    ok(mid_new(u.thread, type, &made));
    ok(mid_new_array(u.thread, array, 10, &long_one));
    ok(mid_count_of(u.thread, made, &count));
    assert_int_equal(count, UINT32_MAX);
    ok(mid_count_of(u.thread, long_one, &count));
    assert_int_equal(count, UINT32_MAX);
    for (int i = 0; i < 10; i++)
        mid_release(u.thread, made);
    assert_true(mid_is_live(u.thread, made));
    ok(mid_collect(u.thread, NULL));
    assert_true(mid_is_live(u.thread, made));
    ok(mid_heap_check(u.heap));
    expect(MID_EHELD, mid_heap_close(u.heap));
}

TEST(policies_that_do_not_fit_and_old_callers)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = 0;
    mid_type_desc bad[] = {words(0), words(0), words(1), words(1u << 21), {.struct_size = sizeof(mid_type_desc), .name = "x", .size = 8, .item_size = 1, .keep = 1},
                           {.struct_size = sizeof(mid_type_desc), .name = "x", .size = 8, .cached = 1}, {.struct_size = sizeof(mid_type_desc), .name = "x", .size = 8, .keep = 1, .flags = MID_IMMORTAL}};
    bad[0].hash = NULL;
    bad[1].flags = 0;
    bad[2].flags |= MID_IMMORTAL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect(i == 3 ? MID_ESIZE : MID_EINVAL, mid_type_register(u.heap, &bad[i], &type));
    mid_type_desc old = {.struct_size = offsetof(mid_type_desc, keep), .name = "old", .size = 8, .keep = 9, .cached = 9};
    ok(mid_type_register(u.heap, &old, &type)); /* it does not look beyond */
    assert_int_equal(shown(&u, type).kept_most, 0);
    mid_handle made, out;
    ok(mid_new(u.thread, type, &made));
    expect(MID_ETYPE, mid_intern(u.thread, made, &out));
    expect(MID_EHANDLE, mid_intern(u.thread, 0, &out));
    expect(MID_ENULL, mid_intern(u.thread, made, NULL));
    expect(MID_ETYPE, mid_intern_find(u.thread, type, 0, word_matches, NULL, &out));
    expect(MID_ETYPE, mid_intern_find(u.thread, 4000, 0, word_matches, NULL, &out));
    expect(MID_ETYPE, mid_policy_stats_get(u.heap, 4000, &(mid_policy_stats){0}, sizeof(mid_policy_stats)));
    mid_release(u.thread, made);
    unit_close(&u);
}

struct crew {
    struct unit *u;
    mid_type type;
};

static void *intern_and_drop(void *context)
{
    struct crew *c = context;
    mid_thread *thread;
    if (mid_thread_attach(c->u->heap, &thread) != MID_OK)
        return "no thread";
    for (uint64_t i = 0; i < unit_scale(30000); i++) {
        mid_handle made, one, two;
        uint64_t value = i * 7 % 40;
        if (mid_new(thread, c->type, &made) != MID_OK)
            return "no memory";
        ((struct word *)mid_get(thread, made))->value = value;
        if (mid_intern(thread, made, &one) != MID_OK || mid_intern_find(thread, c->type, (uint32_t)value % 97, word_matches, &value, &two) != MID_OK)
            return "refused";
        if (one != two || ((struct word *)mid_get(thread, one))->value != value)
            return "two of one value";
        mid_release(thread, one);
        mid_release(thread, two);
        mid_safepoint(thread);
    }
    return mid_thread_detach(thread) == MID_OK ? NULL : "not detached";
}

static void threads_intern(uint32_t cached)
{
    struct unit u;
    unit_open(&u, "");
    struct crew c = {&u, unit_type(u.heap, words(cached))};
    pthread_t threads[4];
    void *wrong;
    ok(mid_blocked_enter(u.thread));
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, intern_and_drop, &c), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        if (wrong != NULL)
            fail_msg("%s", (const char *)wrong);
    }
    ok(mid_blocked_leave(u.thread));
    unit_check(&u);
    ok(mid_collect(u.thread, NULL));
    assert_true(shown(&u, c.type).interned <= cached);
    unit_close(&u);
}

TEST(threads_find_the_same_object)
{
    threads_intern(0);
}

TEST(threads_find_the_same_object_in_the_cache)
{
    threads_intern(16);
}

TEST(without_memory_nothing_is_lost)
{
    for (unsigned nth = 0; nth < 2; nth++) {
        struct unit u;
        mid_options options;
        mid_options_init(&options);
        ok(mid_options_parse(&options, "heap-limit=4M", NULL));
        unit_open_with(&u, &options);
        mid_type type, fails = 0;
        mid_type_desc desc = words(8), ahead = {.struct_size = sizeof ahead, .name = "ahead", .size = 4096, .ahead = 4000 + nth};
        ok(mid_type_register(u.heap, &desc, &type));
        assert_int_equal(mid_type_register(u.heap, &ahead, &fails), MID_ELIMIT);
        assert_int_equal(fails, 0);
        mid_handle made, one;
        uint64_t count = 0;
        mid_status status = MID_OK;
        mid_handle chain = 0;
        for (; status == MID_OK; count++) {
            mid_handle node;
            status = mid_new(u.thread, type, &made);
            if (status != MID_OK)
                break;
            ((struct word *)mid_get(u.thread, made))->value = count + nth;
            status = mid_intern(u.thread, made, &one);
            if (status != MID_OK) {
                mid_release(u.thread, made);
                break;
            }
            status = mid_new(u.thread, u.node, &node);
            if (status != MID_OK) {
                mid_release(u.thread, one);
                break;
            }
            mid_init(u.thread, node, LEFT, one);
            mid_init(u.thread, node, RIGHT, chain);
            chain = node;
        }
        assert_int_equal(status, MID_ELIMIT);
        unit_check(&u);
        mid_release(u.thread, chain);
        unit_close(&u);
    }
}

static void trims(mid_thread *thread, mid_handle object)
{
    (void)object;
    mid_trim(thread, 0, NULL);
}

/* What dies while the heap closes is not kept, also if somebody asks for memory meanwhile. */
TEST(nothing_is_kept_by_a_heap_that_closes)
{
    struct unit u;
    mid_handle holder, held;
    mid_type kept;
    unit_open(&u, "");
    mid_type_desc keeps = {.struct_size = sizeof keeps, .name = "kept", .size = 16, .keep = 8};
    ok(mid_type_register(u.heap, &keeps, &kept));
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "trims", .finalize = trims});
    ok(mid_new(u.thread, type, &holder));
    ok(mid_new(u.thread, kept, &held));
    mid_give(u.thread, holder, LEFT, held);
    mid_store(u.thread, holder, RIGHT, holder);
    mid_release(u.thread, holder);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_objects_are_one_and_die),
        cmocka_unit_test(nothing_is_kept_by_a_heap_that_closes),
        cmocka_unit_test(a_deep_compaction_renames_what_is_interned),
        cmocka_unit_test(what_refers_to_others_is_interned_and_renamed),
        cmocka_unit_test(the_cache_holds_the_last_that_died),
        cmocka_unit_test(the_dead_are_kept_with_their_payloads),
        cmocka_unit_test(garbage_cycles_are_kept_too),
        cmocka_unit_test(objects_are_made_ahead),
        cmocka_unit_test(immortals_are_born),
        cmocka_unit_test(policies_that_do_not_fit_and_old_callers),
        cmocka_unit_test(threads_find_the_same_object),
        cmocka_unit_test(threads_find_the_same_object_in_the_cache),
        cmocka_unit_test(without_memory_nothing_is_lost),
    };
    return UNIT_RUN(tests);
}
