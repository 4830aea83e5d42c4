/* tests/stress/pairs.c: weak maps and ephemerons on the objects of the graph.
 *
 * To the model a pair is one more reference of its key, which ends where weak references to the key do: a map that is held from outside
 * adds nothing else. Keys are of cyclic kinds, as the model's collection looks at no others. Where the heap collects when it likes
 * there are no pairs: what it has found nobody knows. */
#include "act.h"
#include "beside.h"
#include "midden/weak.h"

#define PAIRS 48u
#define NAMES 32

static struct pair {
    struct obj *key, *value;
    mid_handle ephemeron; /* 0: in the map */
} pairs[PAIRS];
static struct obj *named[NAMES];
static mid_handle by_key, by_name;

/* --- the model ---------------------------------------------------------------------------------------------------------------- */

struct obj *pair_value(const struct obj *key, unsigned *at)
{
    for (; key->pairs != 0 && *at < PAIRS; ++*at)
        if (pairs[*at].key == key && pairs[*at].value != NULL)
            return pairs[(*at)++].value;
    return NULL;
}

static void pair_end(struct pair *p, bool count_only)
{
    struct obj *value = p->value;
    p->key->pairs--;
    p->key = p->value = NULL;
    if (value != NULL && count_only && value->in_garbage)
        value->count--;
    else if (value != NULL)
        model_unref(value);
}

void pairs_clear(struct obj *key, bool count_only)
{
    for (unsigned n = 0; key->pairs != 0 && n < PAIRS; n++)
        if (pairs[n].key == key)
            pair_end(&pairs[n], count_only);
    for (unsigned n = 0; key->names != 0 && n < NAMES; n++)
        if (named[n] == key) {
            named[n] = NULL;
            key->names--;
        }
}

void pairs_forget(void)
{
    for (unsigned n = 0; n < PAIRS; n++)
        pairs[n].key = NULL;
    for (unsigned n = 0; n < NAMES; n++)
        named[n] = NULL;
    for (size_t n = 0; n < model.live.count; n++)
        model.live.at[n]->pairs = model.live.at[n]->names = 0;
}

/* --- the heap ------------------------------------------------------------------------------------------------------------------ */

/* What waits may be freed with it. */
void release(mid_handle handle)
{
    struct guard guard = guard_begin();
    mid_release(run.thread, handle);
    guard_end(guard);
}

static mid_handle ask(const struct pair *p)
{
    mid_handle found = 0, key = 0;
    if (run.loose && (p->key->gone || (p->key->doubted && !mid_is_live(run.thread, p->key->handle))))
        return 0; /* the heap has collected the key */
    mid_status status = p->ephemeron != 0 ? mid_ephemeron_get(run.thread, p->ephemeron, &key, &found)
                                          : mid_weak_map_get(run.thread, by_key, p->key->handle, &found);
    if (status != MID_OK || (key != 0 && key != p->key->handle))
        fail("a pair of object %llu: %s, key %u", (unsigned long long)p->key->id, mid_status_name(status), key);
    release(key);
    return found;
}

bool pairs_settle(void)
{
    bool ended = false;
    for (unsigned n = 0; n < PAIRS; n++) {
        if (pairs[n].key == NULL || !pairs[n].key->doubted)
            continue;
        mid_handle found = ask(&pairs[n]);
        if (found == 0) {
            ended = true;
            pair_end(&pairs[n], false);
        }
        release(found);
    }
    for (int n = 0; n < NAMES; n++) {
        mid_handle found = 0;
        if (named[n] == NULL || !named[n]->doubted)
            continue;
        mid_weak_map_get(run.thread, by_name, mid_from_int(n), &found);
        release(found);
        if (found == 0) {
            named[n]->names--;
            named[n] = NULL;
        }
    }
    return ended;
}

static struct pair *set_pair;
static struct obj *set_key, *set_value;

static void commit_set(void)
{
    struct obj *old = set_pair->value;
    set_pair->value = set_value;
    if (set_pair->key == NULL)
        set_key->pairs++;
    set_pair->key = set_key;
    if (old != NULL)
        model_unref(old);
}

/* `value` for this key, in the place of another or not; the value is counted. */
static void set(struct pair *p, struct obj *key, struct obj *value)
{
    set_pair = p;
    set_key = key;
    set_value = value;
    model_ref(value);
    run.commit = commit_set;
    struct guard guard = guard_begin();
    mid_status status = p->ephemeron != 0 ? mid_ephemeron_set(run.thread, p->ephemeron, value->handle)
                                          : mid_weak_map_set(run.thread, by_key, key->handle, value->handle);
    guard_end(guard);
    bool none = refused(status, "a pair");
    if (!none && run.commit != NULL)
        run.commit();
    run.commit = NULL;
    if (none)
        model_unref(value);
}

static void make_ephemeron(struct pair *p, struct obj *key, struct obj *value)
{
    struct guard guard = guard_begin();
    mid_status status = mid_ephemeron_new(run.thread, key->handle, value->handle, &p->ephemeron);
    guard_end(guard);
    if (refused(status, "mid_ephemeron_new"))
        return;
    model_ref(value);
    p->key = key;
    p->value = value;
    key->pairs++;
}

static void drop(struct pair *p)
{
    mid_handle ephemeron = p->ephemeron;
    struct guard guard = guard_begin();
    if (p->key != NULL && ephemeron == 0) {
        mid_handle key = p->key->handle;
        pair_end(p, false);
        if (mid_weak_map_set(run.thread, by_key, key, 0) != MID_OK)
            fail("a pair cannot be taken out of its map");
    } else if (ephemeron != 0) {
        if (p->key != NULL)
            pair_end(p, false);
        p->ephemeron = 0;
        mid_release(run.thread, ephemeron);
    }
    guard_end(guard);
}

static bool have_maps(void)
{
    if (run.mode >= MODE_DAEMON)
        return false;
    if (by_key == 0 && refused(mid_weak_map_new(run.thread, MID_WEAK_KEYS, &by_key), "mid_weak_map_new"))
        return false;
    return by_name != 0 || !refused(mid_weak_map_new(run.thread, MID_WEAK_VALUES, &by_name), "mid_weak_map_new");
}

static struct pair *in_map(const struct obj *key)
{
    for (unsigned n = 0; n < PAIRS; n++)
        if (pairs[n].key == key && pairs[n].ephemeron == 0)
            return &pairs[n];
    return NULL;
}

static void name_one(struct obj *o)
{
    uint32_t n = pick(NAMES);
    mid_handle found;
    if (mid_weak_map_get(run.thread, by_name, mid_from_int((int32_t)n), &found) != MID_OK)
        fail("mid_weak_map_get is refused");
    release(found);
    if (found != 0 && named[n] != NULL && found != named[n]->handle)
        fail("the name %u leads to %u, expected %u", n, found, named[n]->handle);
    if (found == 0 && named[n] != NULL)
        fail("the name %u of object %llu leads nowhere", n, (unsigned long long)named[n]->id);
    struct guard guard = guard_begin();
    mid_status status = mid_weak_map_set(run.thread, by_name, mid_from_int((int32_t)n), o->handle);
    guard_end(guard);
    if (refused(status, "mid_weak_map_set"))
        return;
    if (named[n] != NULL)
        named[n]->names--;
    named[n] = o;
    o->names++;
}

void op_pair(void)
{
    struct obj *key = random_object(), *value = random_object();
    struct pair *p = &pairs[pick(PAIRS)];
    if (key == NULL || value == NULL || !have_maps())
        return;
    protect(key);
    protect(value);
    bool fit = (key->kind->flags & K_CYCLIC) != 0 && may_refer(key, value);
    if (one_in(4))
        name_one(value);
    else if (p->key == NULL && p->ephemeron != 0)
        drop(p); /* its key has died */
    else if (p->key != NULL && one_in(4))
        drop(p);
    else if (p->key != NULL && may_refer(p->key, value))
        set(p, p->key, value);
    else if (p->key == NULL && fit && one_in(3))
        make_ephemeron(p, key, value);
    else if (p->key == NULL && fit)
        set(in_map(key) != NULL ? in_map(key) : p, key, value);
    unprotect(value);
    unprotect(key);
}

void pairs_add_frozen(void)
{
    for (unsigned n = 0; n < 8 && have_maps(); n++) {
        struct obj *key = random_object(), *value = random_object();
        struct pair *p = &pairs[pick(PAIRS)];
        if (key != NULL && value != NULL && p->key == NULL && p->ephemeron == 0 && (key->kind->flags & K_CYCLIC) != 0 &&
            may_refer(key, value) && in_map(key) == NULL)
            set(p, key, value);
    }
}

/* --- questions, the end -------------------------------------------------------------------------------------------------------- */

void pairs_audit(bool exact)
{
    size_t count = 0, mine = 0;
    if (by_key == 0 || run.loose)
        return;
    for (unsigned n = 0; n < PAIRS; n++) {
        mid_handle found = pairs[n].key == NULL ? 0 : ask(&pairs[n]);
        if (found != (pairs[n].key == NULL ? 0 : pairs[n].value->handle))
            fail("a pair of object %llu leads to %u, expected object %llu", (unsigned long long)pairs[n].key->id, found,
                 (unsigned long long)pairs[n].value->id);
        release(found);
        mine += pairs[n].key != NULL && pairs[n].ephemeron == 0;
    }
    if (mid_weak_map_count(run.thread, by_key, &count) != MID_OK || count < mine || (exact && count != mine))
        fail("the weak map has %zu pairs, expected %zu", count, mine);
}

void pairs_live(uint64_t *objects, uint64_t *bytes)
{
    mid_handle all[PAIRS + 2] = {by_key, by_name};
    for (unsigned n = 0; n < PAIRS; n++)
        all[n + 2] = pairs[n].ephemeron;
    for (unsigned n = 0; n < PAIRS + 2; n++) {
        size_t size = 0;
        if (all[n] == 0)
            continue;
        if (mid_size_of(run.thread, all[n], &size) != MID_OK)
            fail("a weak map is no object");
        ++*objects;
        *bytes += size;
    }
}

void pairs_end(void)
{
    for (unsigned n = 0; n < PAIRS; n++)
        if (pairs[n].key != NULL || pairs[n].ephemeron != 0)
            drop(&pairs[n]);
    release(by_key);
    release(by_name);
    by_key = by_name = 0;
    pairs_forget();
}
