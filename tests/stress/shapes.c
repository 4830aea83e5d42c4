/* tests/stress/shapes.c: structures of many objects, built and dropped: long lists for the work list, rings and cliques for
 * the cycle collector, ropes of acyclic holders. Building runs no finalizer, so that the last of run.root is the last made. */
#include <string.h>

#include "act.h"
#include "ops.h"

static const struct kind *kind_named(const char *name)
{
    unsigned n = 0;
    while (strcmp(kinds[n].name, name) != 0)
        n++;
    return &kinds[n];
}

/* The last slot that is one whatever the object's mask says. */
static uint32_t last_slot(const struct obj *o)
{
    return (o->kind->flags & K_MASK) != 0 ? o->kind->ref_count - 1 : o->slot_count - 1;
}

#define LAST (run.root.count - 1)

/* A chain of `length` objects whose last made, held, refers to the one before; null: refused. */
static struct obj *chain(const struct kind *kind, uint32_t length, struct obj **first)
{
    struct obj *o = act_new(kind, 2);
    *first = o;
    while (o != NULL && --length != 0) {
        struct obj *next = act_new(kind, 2);
        if (next == NULL)
            break;
        act_give(next, last_slot(next), LAST - 1);
        if (one_in(8))
            act_store(next, 0, random_value(next));
        o = next;
    }
    return o;
}

void op_list(void)
{
    static const char *const of[] = {"node8", "wide60", "fatarray", "finalnode", "paynode", "pairs"};
    struct obj *first;
    size_t held = run.root.count;
    chain(kind_named(of[pick(6)]), 1 + pick((uint32_t)run.live_target / 2), &first);
    if (run.root.count > held && !one_in(4))
        act_release(LAST);
}

void op_ring(void)
{
    static const char *const of[] = {"node8", "wide200", "array", "finalarray", "paynode", "pairs", "align16"};
    struct obj *first, *last = chain(kind_named(of[pick(7)]), one_in(3) ? 1 : 1 + pick(200), &first);
    if (last == NULL)
        return;
    act_store(first, last_slot(first), (val)last);
    if (one_in(2))
        act_weak_new(first);
    if (!one_in(8))
        act_release(LAST);
}

/* A ring that closes, right after a collection, without any count ever falling: the last reference moves into it. */
void op_knot(void)
{
    static const char *const of[] = {"node8", "array", "finalnode", "mask40"};
    struct obj *first;
    op_collect(); /* what this frees may leave other counts fallen, so once more */
    op_collect();
    if (chain(kind_named(of[pick(4)]), 1 + pick(5), &first) != NULL)
        act_give(first, last_slot(first), LAST);
    op_collect();
}

/* Each of a few refers to all. */
void op_clique(void)
{
    static const char *const of[] = {"array", "finalarray", "pairs", "fatarray"};
    uint32_t size = 1 + pick(12);
    struct obj *member[12];
    for (uint32_t n = 0; n < size; n++) {
        member[n] = act_new(kind_named(of[pick(4)]), size);
        if (member[n] == NULL)
            return; /* what was made stays held */
    }
    for (uint32_t n = 0; n < size; n++) {
        for (uint32_t i = 0; i < size; i++)
            act_store(member[n], member[n]->kind->ref_count + i, (val)member[i]);
    }
    for (uint32_t keep = pick(4); size > keep; size--)
        act_release(LAST);
}

/* Acyclic holders, each of an older one and a leaf, under one that holds a ring as well. */
void op_rope(void)
{
    struct obj *first, *rope = chain(kind_named("low16"), 1 + pick(300), &first);
    if (rope == NULL)
        return;
    struct obj *top = act_new(kind_named("top24"), 0);
    if (top == NULL)
        return;
    act_give(top, 0, LAST - 1);
    act_store(top, 1, random_value(top));
    struct obj *leaf = act_new(kind_named("finalleaf"), 0);
    if (leaf != NULL)
        act_give(first, 0, LAST);
    if (!one_in(4))
        act_release(LAST);
}

/* Many objects of one size, most of them dropped at random: sparse pools, for compaction. */
void op_scatter(void)
{
    static const char *const of[] = {"wide5000", "final4000", "wide2048", "leaf3001", "leaf520", "wide200", "align64"};
    const struct kind *kind = kind_named(of[pick(7)]);
    uint32_t count = 40 + pick((uint32_t)run.live_target / 5);
    if (model.bytes + (size_t)count * kind->size > (12u << 20))
        return;
    size_t base = run.root.count;
    for (uint32_t n = 0; n < count; n++) {
        struct obj *o = act_new(kind, 0);
        if (o == NULL)
            break;
        for (uint32_t i = 0; i < o->slot_count && one_in(4); i++)
            act_store(o, i, random_value(o));
    }
    for (uint32_t n = count - count / 8; n != 0 && run.root.count > base; n--)
        act_release(base + pick((uint32_t)(run.root.count - base)));
}

/* Arrays that die in pieces, and at their ends more leaves at once than one release may free. */
void op_wide(void)
{
    static const char *const of[] = {"array", "fatarray", "finalarray"};
    enum { LEAVES = 40 };
    struct obj *o = act_new(kind_named(of[pick(3)]), 900 + pick(3000));
    if (o == NULL)
        return;
    for (uint32_t i = o->slot_count - LEAVES; i < o->slot_count; i++) {
        struct obj *leaf = act_new(kind_named("leaf24"), 0);
        if (leaf == NULL)
            break;
        if (model.weak_count < 100 && one_in(4))
            act_weak_new(leaf);
        act_give(o, i, LAST);
    }
    for (uint32_t i = pick(8), step = 1 + pick(4); i < o->slot_count - LEAVES; i += step)
        act_store(o, i, random_value(o));
    if (!one_in(3))
        act_release(LAST);
}

/* Blocks that change size and shape: slots, page runs, mappings of their own. */
void op_large(void)
{
    static const char *const of[] = {"bytes", "paybytes", "array", "records"};
    static const uint32_t sizes[] = {2000, 30000, 40000, 70000, 300000, 1000000, 1100000, 2000000, 3000000};
    const struct kind *kind = kind_named(of[pick(4)]);
    if (model.big >= 12 || model.bytes > (12u << 20))
        return;
    struct obj *o = act_new(kind, sizes[pick(9)] / kind->item_size);
    if (o == NULL)
        return;
    protect(o);
    act_release(LAST);
    for (uint32_t n = 1 + pick(4); n != 0; n--) {
        act_resize(o, (sizes[pick(9)] + pick(5000)) / kind->item_size);
        if (o->slot_count != 0)
            act_store(o, o->slot_count - 1, random_value(o));
    }
    if (one_in(4))
        act_hold(o);
    unprotect(o);
}
