/* tests/stress/audit.c: the whole model against the whole heap; see audit.h. */
#include "audit.h"

#include "act.h"
#include "beside.h"

static void sum_is(const char *what, uint64_t found, uint64_t expected)
{
    if (found != expected)
        fail("%s: %llu, expected %llu", what, (unsigned long long)found, (unsigned long long)expected);
}

/* What lives beside the graph when the audit begins, and what of that a daemon may not take meanwhile. Nobody adds to it. */
static struct {
    uint64_t objects, bytes, sure_objects, sure_bytes;
} beside;

static void sum_is_within(const char *what, uint64_t found, uint64_t least, uint64_t most)
{
    if (found < least || found > most)
        fail("%s: %llu, expected %llu to %llu", what, (unsigned long long)found, (unsigned long long)least, (unsigned long long)most);
}

/* `exact`: nothing waits, so counts are equal; otherwise the heap may be behind. */
static void audit_object(struct obj *o, bool exact)
{
    uint32_t count;
    mid_type type;
    size_t bytes, items;
    if (!mid_is_live(run.thread, o->handle))
        fail("live object %llu (%s, handle %u) is dead in the heap", (unsigned long long)o->id, o->kind->name,
             o->handle);
    if (mid_count_of(run.thread, o->handle, &count) != MID_OK || mid_type_of(run.thread, o->handle, &type) != MID_OK ||
        mid_size_of(run.thread, o->handle, &bytes) != MID_OK || mid_items_of(run.thread, o->handle, &items) != MID_OK)
        fail("a question about live object %llu (%s) is refused", (unsigned long long)o->id, o->kind->name);
    if (o->sticky ? count != UINT32_MAX : exact ? count != o->count : !run.loose && count < o->count)
        fail("object %llu (%s, handle %u) has count %u, expected %u%s", (unsigned long long)o->id, o->kind->name,
             o->handle, count, o->count, exact ? "" : " at least");
    if (type != run.types[o->kind - kinds])
        fail("object %llu has type %u, expected %s", (unsigned long long)o->id, type, o->kind->name);
    if (bytes != kind_bytes(o->kind, o->items) || items != o->items)
        fail("object %llu (%s) has %zu bytes and %zu items, expected %zu and %u", (unsigned long long)o->id,
             o->kind->name, bytes, items, kind_bytes(o->kind, o->items), o->items);
    verify_object(o, false);
    trace_audit(o);
}

static void audit_stats(const mid_stats *stats)
{
    sum_is_within("live_objects", stats->live_objects, model.live.count + beside.sure_objects, model.live.count + beside.objects);
    sum_is("pinned_objects", stats->pinned_objects, model.pinned);
    sum_is("finalized_objects", stats->finalized_objects, run.finalized);
    /* A resize may count as one of each; debug heaps hold the dead back; what is used again counts as none. */
    if (stats->allocated_objects + reused_ever() < model.made || stats->allocated_objects - stats->freed_objects < model.live.count)
        fail("allocated_objects %llu and freed_objects %llu with %llu made and %zu live",
             (unsigned long long)stats->allocated_objects, (unsigned long long)stats->freed_objects,
             (unsigned long long)model.made, model.live.count);
    sum_is("committed_bytes", stats->committed_bytes,
           stats->pool_bytes + stats->empty_bytes + stats->run_bytes + stats->mapping_bytes + stats->table_bytes +
               stats->metadata_bytes + stats->block_bytes);
    if (stats->live_slot_bytes < model.bytes)
        fail("live_slot_bytes: %llu, of objects of %zu bytes", (unsigned long long)stats->live_slot_bytes, model.bytes);
    if (run.heap_limit != 0 && stats->committed_bytes > run.heap_limit)
        fail("committed_bytes: %llu, beyond the limit %llu", (unsigned long long)stats->committed_bytes,
             (unsigned long long)run.heap_limit);
    /* What a call had to leave, such as mid_trim, which is no safepoint, waits in the queue or on the work list. */
    if (model.pending > stats->finalizers_waiting + stats->waiting_objects)
        sum_is("finalizers left to run", model.pending, 0);
}

static void audit_types(void)
{
    unsigned n = pick(kind_count);
    uint64_t objects, bytes, expected = 0, kept = kept_of(n);
    run.epoch++; /* with a daemon it is a safepoint */
    for (size_t i = 0; i < model.live.count; i++)
        expected += model.live.at[i]->kind == &kinds[n];
    if (mid_stats_type(run.heap, run.types[n], &objects, &bytes) != MID_OK)
        fail("mid_stats_type is refused");
    sum_is_within("mid_stats_type", objects, expected + (run.mode < MODE_DAEMON ? kept : 0), expected + kept);
}

/* Every byte once, whatever waits to be freed. */
static void audit_memory(void)
{
    mid_memory m;
    const uint64_t *figure = (const uint64_t *)&m;
    uint64_t sum = 0;
    run.epoch++;
    if (mid_stats_memory(run.heap, &m, sizeof m) != MID_OK)
        fail("mid_stats_memory is refused");
    for (size_t i = 0; i < offsetof(mid_memory, committed_bytes) / sizeof *figure; i++) {
        sum += figure[i];
        if (figure[i] > m.committed_bytes)
            fail("figure %zu of the memory is %llu", i, (unsigned long long)figure[i]);
    }
    sum += m.mem_live_bytes + m.mem_rounding_bytes + m.mem_free_bytes + m.mem_index_bytes;
    sum_is("the memory's figures", sum, m.committed_bytes);
    sum_is_within("live_bytes", m.live_bytes, model.bytes + beside.sure_bytes, model.bytes + beside.bytes);
    if (m.touched_bytes > m.committed_bytes)
        fail("touched_bytes: %llu, of %llu", (unsigned long long)m.touched_bytes, (unsigned long long)m.committed_bytes);
}

static void audit_classes(void)
{
    uint64_t small = 0, slots = 0;
    mid_class_stats stats;
    for (size_t n = 0; n < model.live.count; n++)
        small += !is_large(kind_bytes(model.live.at[n]->kind, model.live.at[n]->items)) && !model.live.at[n]->resized;
    for (unsigned n = 0; mid_stats_class(run.heap, n, &stats) == MID_OK; n++) {
        uint64_t k = stats.slots_per_pool;
        slots += stats.live_slots;
        if (stats.optimal_pools != (stats.live_slots + k - 1) / k || stats.pools * k < stats.live_slots)
            fail("class %u: %llu live slots, %llu pools, %llu optimal", n, (unsigned long long)stats.live_slots,
                 (unsigned long long)stats.pools, (unsigned long long)stats.optimal_pools);
    }
    uint64_t most = beside.objects + model.live.count;
#ifdef MIDDEN_DEBUG
    most += 4096; /* the quarantine */
#endif
    if (slots < small || slots > most)
        fail("the classes have %llu live slots, expected %llu to %llu", (unsigned long long)slots,
             (unsigned long long)small, (unsigned long long)most);
}

/* Handles of the dead name nothing, unless they were given out again. */
static void audit_tombs(void)
{
    for (unsigned n = 0; n < 64; n++) {
        mid_handle handle = model.tomb[n];
        if (handle != 0 && model_find(handle) == NULL && mid_is_live(run.thread, handle) && !beside_has(handle))
            fail("the handle %u of a dead object is live", handle);
    }
}

/* What is dead in the model may still be held by what waits in the heap; once it is dying there, no reference gives it. */
static void audit_weaks(bool exact)
{
    for (size_t n = 0; n < model.weak_count; n++) {
        mid_handle found = model.weak[n].target == NULL ? mid_weak_get(run.thread, model.weak[n].handle) : 0;
        if (found != 0 && (exact || !mid_is_live(run.thread, found)))
            fail("a weak reference to dead object %llu is not empty", (unsigned long long)model.weak[n].id);
        struct guard guard = guard_begin();
        mid_release(run.thread, found);
        guard_end(guard);
    }
}

void audit_heap_check(void)
{
    run.epoch++;
    if (mid_heap_check(run.heap) != MID_OK)
        fail("mid_heap_check: %s", mid_heap_check_text(run.heap));
}

void audit(void)
{
    mid_stats stats = stats_now();
    bool exact = quiet(&stats) && !run.loose;
    run.audits++;
    audit_heap_check();
    if (run.loose)
        model_mark_reachable();
    for (size_t n = 0; n < model.live.count; n++) {
        struct obj *o = model.live.at[n];
        if (!o->pending && (!run.loose || o->marked))
            audit_object(o, exact);
    }
    audit_weaks(exact);
    beside_audit(exact);
    if (exact) {
        beside_live(&beside.objects, &beside.bytes);
        beside_certain(&beside.sure_objects, &beside.sure_bytes);
        stats = stats_now();
        audit_stats(&stats);
        audit_types();
        audit_memory();
        audit_classes();
        audit_tombs();
        sum_is("payloads freed", __atomic_load_n(&model.freed, __ATOMIC_SEQ_CST), model.due);
    }
}
