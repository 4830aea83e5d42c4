/* Policies and kinds while the system refuses memory at the nth request, for every n until none is refused: each call works or says so, the
 * heap checks out, what was there is there, and everything goes back. */
#include "unit.h"

#include "fault_os.h"
#include "midden/kinds.h"
#include "midden/policy.h"

enum { ITEMS = 900 };

struct run {
    struct unit u;
    struct fault_os fault;
    mid_kinds kinds;
    size_t refusals;
};

/* The check may need memory of its own. */
static void check(struct run *r)
{
    size_t fail_at = r->fault.fail_at;
    r->fault.fail_at = 0;
    unit_check(&r->u);
    r->fault.fail_at = fail_at;
}

static bool went_well(struct run *r, mid_status status)
{
    if (status == MID_OK)
        return true;
    assert_int_equal(status, MID_ENOMEM);
    assert_true(r->fault.failed != 0);
    r->refusals++;
    check(r);
    return false;
}

static uint32_t hash(const void *object, void *context)
{
    (void)context;
    return (uint32_t)((const struct node *)object)->value % 211;
}

static int same(const void *a, const void *b, void *context)
{
    (void)context;
    return ((const struct node *)a)->value == ((const struct node *)b)->value;
}

/* One that is kept, large, and made ahead; one that is interned and cached, with references, so that hashes are kept by number. */
static void use_policies(struct run *r)
{
    static const uint32_t slots[] = {offsetof(struct node, left), offsetof(struct node, right)};
    struct unit *u = &r->u;
    mid_type kept = 0, interned = 0;
    mid_handle made[40] = {0}, one[ITEMS] = {0};
    mid_type_desc keeps = {.struct_size = sizeof keeps, .name = "kept", .size = 40000, .keep = 12, .ahead = 5};
    mid_type_desc interns = {.struct_size = sizeof interns, .name = "interned", .size = sizeof(struct node), .ref_offsets = slots, .ref_count = 2,
                             .flags = MID_INTERNED, .cached = 30, .hash = hash, .equal = same};
    if (went_well(r, mid_type_register(u->heap, &keeps, &kept))) {
        for (unsigned round = 0; round < 2; round++) {
            for (unsigned i = 0; i < 20; i++)
                went_well(r, mid_new(u->thread, kept, &made[i]));
            for (unsigned i = 0; i < 20; i++) {
                mid_release(u->thread, made[i]);
                made[i] = 0;
            }
            check(r);
            went_well(r, mid_trim(u->thread, 0, NULL));
        }
    }
    if (!went_well(r, mid_type_register(u->heap, &interns, &interned)))
        return;
    for (unsigned i = 0; i < ITEMS; i++) {
        mid_handle object;
        if (!went_well(r, mid_new(u->thread, interned, &object)))
            continue;
        ((struct node *)mid_get(u->thread, object))->value = i;
        if (!went_well(r, mid_intern(u->thread, object, &one[i])))
            mid_release(u->thread, object);
    }
    went_well(r, mid_trim(u->thread, 0, NULL));
    check(r);
    for (unsigned i = 0; i < ITEMS; i++)
        mid_release(u->thread, one[i]);
    check(r);
}

static mid_handle text(struct run *r, unsigned number, bool intern)
{
    char content[24];
    mid_handle made = 0;
    size_t bytes = (size_t)snprintf(content, sizeof content, "text %u", number);
    went_well(r, (intern ? mid_text_intern : mid_text_new)(r->u.thread, &r->kinds, content, bytes, &made));
    return made;
}

/* A list has what went in, an interned text is one. */
static void use_kinds(struct run *r)
{
    mid_thread *t = r->u.thread;
    const mid_kinds *k = &r->kinds;
    mid_handle list = 0, all = 0, popped, words[ITEMS] = {0};
    size_t in = 0, length = 0;
    if (!went_well(r, mid_list_new(t, k, 0, &list)) || !went_well(r, mid_text_new(t, k, "", 0, &all))) {
        mid_release(t, list);
        return;
    }
    for (unsigned i = 0; i < ITEMS; i++) {
        mid_handle real = 0, pair = 0, word = text(r, i, false);
        words[i] = text(r, i, true);
        if (word == 0)
            continue;
        went_well(r, mid_string_append(t, k, &all, word));
        if (went_well(r, mid_float_new(t, k, i, &real)) && went_well(r, mid_tuple_new(t, k, (mid_handle[]){word, real}, 2, &pair)))
            in += went_well(r, mid_list_append(t, k, list, pair));
        mid_release(t, pair);
        mid_release(t, real);
        mid_release(t, word);
    }
    check(r);
    ok(mid_list_length(t, k, list, &length));
    assert_int_equal(length, in);
    for (unsigned i = 0; i < ITEMS; i += 7) {
        mid_handle again = text(r, i, true);
        assert_true(again == 0 || words[i] == 0 || again == words[i]);
        mid_release(t, again);
    }
    went_well(r, mid_list_sort(t, k, list, NULL, NULL));
    for (size_t i = 0; i < in; i++) {
        ok(mid_list_pop(t, k, list, &popped));
        mid_release(t, popped);
    }
    for (unsigned i = 0; i < ITEMS; i++)
        mid_release(t, words[i]);
    mid_release(t, all);
    mid_release(t, list);
}

/* Returns whether anything was refused. */
static bool scenario(size_t n, int for_good, size_t *refusals)
{
    struct run *r = calloc(1, sizeof *r);
    fault_open(&r->u, &r->fault, "max-objects=64K,reserve=64K");
    r->fault.calls = 0;
    r->fault.fail_at = n;
    r->fault.for_good = for_good;
    use_policies(r);
    if (went_well(r, mid_kinds_open(r->u.heap, &r->kinds)))
        use_kinds(r);
    check(r);
    unit_drain(&r->u);
    ok(mid_heap_close(r->u.heap));
    bool refused = r->fault.failed != 0;
    *refusals += r->refusals;
    fault_os_done(&r->fault);
    free(r);
    return refused;
}

static void every_n(int for_good)
{
    size_t n = 1, refusals = 0;
    while (scenario(n, for_good, &refusals))
        n += RUNNING_ON_VALGRIND || UNIT_SANITIZED ? 7 : 1;
    assert_true(n > 15);
    assert_true(refusals != 0);
}

TEST(each_single_request_is_refused_once) { every_n(0); }
TEST(from_each_request_on_all_are_refused) { every_n(1); }

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_single_request_is_refused_once), cmocka_unit_test(from_each_request_on_all_are_refused)};
    return UNIT_RUN(tests);
}
