/* tests/unit/test_fork_dict.c: dictionaries in a forked child: what the parent made is found, changes stay the child's. A child must not use
 * cmocka (test_fork.c says why). */
#include "child.h"

#include "midden/dict.h"
#include "midden/freeze.h"
#include "midden/kinds.h"

#define INT(n) mid_from_int((int32_t)(n))

enum { DICTS = 30 };

static mid_kinds kinds;
static mid_keys keys;

static mid_handle text(mid_thread *thread, unsigned number)
{
    char content[24];
    mid_handle made = 0;
    mid_text_new(thread, &kinds, content, (size_t)snprintf(content, sizeof content, "key %u", number), &made);
    return made;
}

static bool put(mid_thread *thread, mid_handle dict, unsigned number)
{
    mid_handle key = text(thread, number);
    mid_status status = mid_dict_set(thread, dict, key, INT(number));
    mid_release(thread, key);
    return key != 0 && status == MID_OK;
}

static bool all_there(mid_thread *thread, mid_handle dict, unsigned count)
{
    size_t length = 0;
    for (unsigned i = 0; i < count; i++) {
        mid_handle key = text(thread, i), found = mid_dict_peek(thread, dict, key);
        mid_release(thread, key);
        if (found != INT(i))
            return false;
    }
    return mid_dict_length(thread, dict, &length) == MID_OK && length == count;
}

static void in_the_child(struct unit *u, const mid_handle *dicts)
{
    for (unsigned i = 0; i < DICTS; i++) {
        NEED(all_there(u->thread, dicts[i], i));
        for (unsigned more = 0; more < 12; more++)
            NEED(put(u->thread, dicts[i], i + more));
        NEED(all_there(u->thread, dicts[i], i + 12));
    }
    NEED(mid_collect(u->thread, NULL) == MID_OK);
    NEED(mid_compact(u->thread, MID_COMPACT_PLAIN, 0, NULL) == MID_OK);
    NEED(mid_heap_check(u->heap) == MID_OK);
    for (unsigned i = 0; i < DICTS; i++) {
        NEED(all_there(u->thread, dicts[i], i + 12));
        NEED(mid_dict_clear(u->thread, dicts[i]) == MID_OK && all_there(u->thread, dicts[i], 0));
    }
    NEED(mid_heap_check(u->heap) == MID_OK);
    _exit(0);
}

static void fork_with(bool frozen)
{
    struct unit u;
    mid_handle dicts[DICTS];
    unit_open(&u, "");
    ok(mid_kinds_open(u.heap, &kinds));
    ok(mid_kinds_keys(&kinds, &keys));
    for (unsigned i = 0; i < DICTS; i++) {
        ok(mid_dict_new(u.thread, &keys, &dicts[i]));
        for (unsigned n = 0; n < i; n++)
            assert_true(put(u.thread, dicts[i], n));
    }
    if (frozen)
        ok(mid_freeze(u.thread));
    pid_t child = fork();
    if (child == 0)
        in_the_child(&u, dicts);
    child_ends(child);
    if (frozen)
        ok(mid_unfreeze(u.thread));
    for (unsigned i = 0; i < DICTS; i++) {
        assert_true(all_there(u.thread, dicts[i], i));
        mid_release(u.thread, dicts[i]);
    }
    unit_drain(&u);
    unit_close_empty(&u);
}

TEST(a_child_goes_on_with_them) { fork_with(false); }
TEST(a_child_goes_on_with_frozen_ones) { fork_with(true); }

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_child_goes_on_with_them), cmocka_unit_test(a_child_goes_on_with_frozen_ones)};
    return UNIT_RUN(tests);
}
