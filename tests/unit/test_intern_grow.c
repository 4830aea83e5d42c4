/* test_intern_grow.c: the table of what is interned grows by a few places a call, and everything that may happen meanwhile happens. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deep.h"
#include "fault_os.h"
#include "midden/policy.h"
#include "unit.h"

struct word {
    mid_slot other;
    uint64_t value;
};

static uint32_t word_hash(const void *object, void *context)
{
    uint64_t value = ((const struct word *)object)->value;
    return context != NULL ? (uint32_t)(value % 97) : (uint32_t)(value * 0x9E3779B97F4A7C15u >> 32);
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

/* Leaves are asked for their hash as they die; of what may refer to others it is known by number. */
static mid_type words(struct unit *u, bool leaves, bool poor)
{
    static const uint32_t slots[] = {0};
    return unit_type(u->heap, (mid_type_desc){.name = "word", .size = sizeof(struct word), .flags = MID_INTERNED, .ref_offsets = slots,
                                              .ref_count = leaves ? 0 : 1, .hash = word_hash, .equal = word_equal,
                                              .policy_context = poor ? (void *)slots : NULL});
}

static mid_status try(struct unit *u, mid_type type, uint64_t value, mid_handle *one)
{
    mid_handle made;
    mid_status status = mid_new(u->thread, type, &made);
    *one = 0;
    if (status != MID_OK)
        return status;
    ((struct word *)mid_get(u->thread, made))->value = value;
    status = mid_intern(u->thread, made, one);
    if (status != MID_OK)
        mid_release(u->thread, made);
    return status;
}

static mid_handle word(struct unit *u, mid_type type, uint64_t value)
{
    mid_handle one;
    ok(try(u, type, value, &one));
    return one;
}

static mid_handle find(struct unit *u, mid_type type, uint64_t value, bool poor)
{
    struct word like = {.value = value};
    mid_handle found;
    ok(mid_intern_find(u->thread, type, word_hash(&like, poor ? &like : NULL), word_matches, &value, &found));
    return found;
}

static mid_policy_stats shown(struct unit *u, mid_type type)
{
    mid_policy_stats stats;
    ok(mid_policy_stats_get(u->heap, type, &stats, sizeof stats));
    return stats;
}

/* A full one of 131,072 places, which are 1 MiB, and one more: there are two tables. */
#define FULL 87381u
static mid_handle held[FULL + 1];
static mid_type between(struct unit *u, unsigned more)
{
    mid_type type = words(u, true, false);
    for (unsigned i = 0; i < FULL + more; i++)
        held[i] = word(u, type, i);
    return type;
}

TEST(the_old_table_goes_by_and_by)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = between(&u, 0);
    assert_int_equal(shown(&u, type).table_bytes, 1 << 20);
    held[FULL] = word(&u, type, FULL);
    assert_int_equal(shown(&u, type).table_bytes, 3 << 20);
    unsigned sizes = 0, calls = 0;
    for (uint64_t was = 3 << 20, now; was != 2 << 20; was = now, calls++) {
        mid_handle found = find(&u, type, calls % FULL, false);
        assert_int_equal(found, held[calls % FULL]);
        mid_release(u.thread, found);
        now = shown(&u, type).table_bytes;
        assert_true(now <= was && now >= 2 << 20 && was - now <= 256 << 10);
        sizes += now != was;
    }
    assert_true(sizes >= 4);
    assert_in_range(calls, 131072 / 40, 131072 / 8); /* a few places each, but not too few */
    unit_check(&u);
    for (unsigned i = 0; i <= FULL; i++)
        mid_release(u.thread, held[i]);
    unit_drain(&u);
    assert_int_equal(shown(&u, type).interned, 0);
    unit_close(&u);
}

TEST(found_and_dying_in_either_table)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = between(&u, 1);
    unit_check(&u);
    for (unsigned i = 0; i <= FULL; i += 3) {
        mid_release(u.thread, held[i]);
        held[i] = 0;
        if (i % 10001 == 0)
            unit_check(&u);
    }
    unit_drain(&u);
    assert_true(shown(&u, type).table_bytes > 2 << 20); /* nobody has looked anything up */
    for (unsigned i = 0; i <= FULL; i++) {
        mid_handle found = find(&u, type, i, false);
        assert_int_equal(found, held[i]);
        if (found != 0)
            mid_release(u.thread, found);
    }
    assert_int_equal(shown(&u, type).table_bytes, 2 << 20);
    unit_check(&u);
    for (unsigned i = 0; i <= FULL; i++)
        mid_release(u.thread, held[i]);
    unit_close(&u);
}

TEST(trimmed_in_between)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = between(&u, 1);
    ok(mid_trim(u.thread, 0, NULL));
    assert_int_equal(shown(&u, type).table_bytes, 2 << 20);
    for (unsigned i = 100; i <= FULL; i++)
        mid_release(u.thread, held[i]);
    unit_drain(&u);
    ok(mid_trim(u.thread, 0, NULL));
    assert_true(shown(&u, type).table_bytes <= 4096);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(word(&u, type, i), held[i]);
        mid_release(u.thread, held[i]);
        mid_release(u.thread, held[i]);
    }
    unit_close(&u);
}

#ifndef __SANITIZE_THREAD__ /* which does not follow locks across a fork */
TEST(forked_in_between)
{
    struct unit u;
    int status;
    unit_open(&u, "");
    mid_type type = between(&u, 1);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        for (unsigned i = 0; i <= FULL; i++) {
            mid_handle found;
            struct word like = {.value = i};
            if (mid_intern_find(u.thread, type, word_hash(&like, NULL), word_matches, &like.value, &found) != MID_OK || found != held[i])
                _exit(1);
            mid_release(u.thread, found);
            mid_release(u.thread, found);
        }
        _exit(mid_heap_check(u.heap) == MID_OK && mid_heap_close(u.heap) == MID_OK ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    unit_check(&u);
    for (unsigned i = 0; i <= FULL; i++)
        mid_release(u.thread, held[i]);
    unit_close(&u);
}

#endif

/* Objects come, go and are looked for, by good hashes and poor ones; the tables are looked at all along. */
static void at_random(bool leaves, bool poor, unsigned many)
{
    struct unit u;
    uint64_t seed = 11;
    static mid_handle at[20000];
    memset(at, 0, sizeof at);
    unit_open(&u, "");
    mid_type type = words(&u, leaves, poor);
    for (unsigned round = 0; round < many * 12; round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t value = (seed >> 33) % many;
        unsigned phase = round / (many * 2) % 3;
        if ((seed >> 60) < (phase == 1 ? 4u : 12u)) {
            mid_handle one = word(&u, type, value);
            assert_true(at[value] == 0 || at[value] == one);
            if (at[value] != 0)
                mid_release(u.thread, one);
            at[value] = one;
        } else if (seed >> 63) {
            mid_release(u.thread, at[value]);
            at[value] = 0;
        } else {
            mid_handle found = find(&u, type, value, poor);
            assert_int_equal(found, at[value]);
            mid_release(u.thread, found);
        }
        if (round % (many / 2) == 0) {
            unit_check(&u);
            if (round % (many * 2) == 0)
                ok(mid_compact(u.thread, round % (many * 4) == 0 ? MID_COMPACT_DEEP : MID_COMPACT_PLAIN, 0, NULL));
        }
    }
    for (unsigned i = 0; i < many; i++)
        mid_release(u.thread, at[i]);
    unit_drain(&u);
    assert_int_equal(shown(&u, type).interned, 0);
    unit_close(&u);
}

TEST(leaves_at_random) { at_random(true, false, 20000); }
TEST(what_refers_to_others_at_random) { at_random(false, false, 20000); }
TEST(with_a_poor_hash) { at_random(true, true, 600); }

/* Numbers change while there are two tables: half of what the root holds is in either. */
TEST(renamed_in_between)
{
    for (int leaves = 0; leaves < 2; leaves++) {
        static struct deep d;
        deep_open(&d, "");
        mid_type type = words(&d.u, leaves, false);
        static mid_handle others[4000];
        unsigned other = 0;
        for (unsigned i = 0; i < SLOTS; i++)
            deep_put(&d, i, word(&d.u, type, i));
        uint64_t was = shown(&d.u, type).table_bytes;
        while (shown(&d.u, type).table_bytes <= was * 2 && other < 4000) { /* both: the one of twice the size, and the one before */
            others[other] = word(&d.u, type, SLOTS + other);
            other++;
        }
        assert_true(other < 4000);
        deep_settle(&d);
        assert_true(deep_compact(&d) != 0);
        unit_check(&d.u);
        for (unsigned i = 0; i < SLOTS; i++) {
            mid_handle found = find(&d.u, type, i, false);
            assert_int_equal(found, deep_item(&d, i));
            mid_release(d.u.thread, found);
        }
        for (unsigned i = 0; i < other; i++) {
            assert_int_equal(find(&d.u, type, SLOTS + i, false), others[i]);
            mid_release(d.u.thread, others[i]);
            mid_release(d.u.thread, others[i]);
        }
        mid_release(d.u.thread, d.root);
        ok(mid_collect(d.u.thread, NULL));
        unit_drain(&d.u);
        assert_int_equal(shown(&d.u, type).interned, 0);
        unit_close(&d.u);
    }
}

TEST(no_memory)
{
    unsigned refused = 0;
    for (size_t n = 1; n < 48; n++) {
        struct unit u;
        struct fault_os os;
        mid_options options;
        static mid_handle at[60000];
        fault_os_init(&os);
        mid_options_init(&options);
        options.os = &os.os;
        unit_open_with(&u, &options);
        mid_type type = words(&u, n % 4 < 2, false);
        os.calls = 0;
        os.fail_at = n;
        os.for_good = n % 2;
        for (unsigned i = 0; i < 60000; i++) {
            mid_status status = try(&u, type, i, &at[i]);
            assert_true(status == MID_OK || status == MID_ENOMEM);
            refused += status != MID_OK;
        }
        for (unsigned i = 0; i < 60000; i++) {
            mid_handle found = find(&u, type, i, false);
            assert_int_equal(found, at[i]);
            mid_release(u.thread, found);
        }
        os.fail_at = 0;
        unit_check(&u);
        for (unsigned i = 0; i < 60000; i++)
            mid_release(u.thread, at[i]);
        unit_drain(&u);
        assert_int_equal(shown(&u, type).interned, 0);
        unit_close(&u);
        assert_int_equal(os.violations, 0);
        fault_os_done(&os);
    }
    assert_true(refused != 0);
}

struct crowd {
    struct unit *u;
    mid_type type;
    unsigned number;
};

static void *intern_many(void *argument)
{
    struct crowd *c = argument;
    struct unit u = *c->u;
    static __thread mid_handle mine[20000];
    if (mid_thread_attach(u.heap, &u.thread) != MID_OK)
        return argument;
    for (unsigned i = 0; i < 20000; i++) {
        if (try(&u, c->type, i + c->number * 5000, &mine[i]) != MID_OK)
            return argument;
        if (i % 2 != 0) {
            mid_release(u.thread, mine[i]);
            mine[i] = 0;
        }
        if (i % 50 == 0 && mid_safepoint(u.thread) != MID_OK)
            return argument;
    }
    for (unsigned i = 0; i < 20000; i += 2)
        mid_release(u.thread, mine[i]);
    return mid_thread_detach(u.thread) == MID_OK ? NULL : argument;
}

TEST(many_threads)
{
    struct unit u;
    struct crowd c[4];
    pthread_t id[4];
    void *bad;
    unit_open(&u, "");
    mid_type type = words(&u, true, false);
    for (unsigned i = 0; i < 4; i++) {
        c[i] = (struct crowd){&u, type, i};
        assert_int_equal(pthread_create(&id[i], NULL, intern_many, &c[i]), 0);
    }
    for (int i = 0; i < 12; i++) {
        ok(mid_compact(u.thread, i % 4 == 0 ? MID_COMPACT_DEEP : MID_COMPACT_PLAIN, 0, NULL));
        unit_check(&u);
    }
    ok(mid_blocked_enter(u.thread));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(id[i], &bad), 0);
        assert_null(bad);
    }
    ok(mid_blocked_leave(u.thread));
    unit_drain(&u);
    assert_int_equal(shown(&u, type).interned, 0);
    unit_check(&u);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_old_table_goes_by_and_by),
        cmocka_unit_test(found_and_dying_in_either_table),
        cmocka_unit_test(trimmed_in_between),
#ifndef __SANITIZE_THREAD__
        cmocka_unit_test(forked_in_between),
#endif
        cmocka_unit_test(leaves_at_random),
        cmocka_unit_test(what_refers_to_others_at_random),
        cmocka_unit_test(with_a_poor_hash),
        cmocka_unit_test(renamed_in_between),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
