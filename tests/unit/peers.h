/* tests/unit/peers.h: what the tests named after the peers' cases share: finalizers that note, save, or break what they can.
 * docs/peers-cases.md is the list of the cases. */
#ifndef PEERS_H
#define PEERS_H

#include "unit.h"

enum { NOTED = 4096 };

static struct {
    size_t calls, saved_count;
    uint64_t values[NOTED];
    mid_handle saved[NOTED]; /* counted */
    mid_weak weak;           /* of whatever the test likes */
    mid_type type, node;
    mid_status status;
    size_t callbacks;
    void (*then)(mid_thread *thread, mid_handle object);
} peers;

static inline void peers_note(mid_thread *thread, mid_handle object)
{
    if (peers.calls < NOTED)
        peers.values[peers.calls] = ((struct node *)mid_get(thread, object))->value;
    peers.calls++;
    if (peers.then != NULL)
        peers.then(thread, object);
}

static inline void peers_save(mid_thread *thread, mid_handle object)
{
    peers_note(thread, object);
    if (peers.saved_count < NOTED)
        peers.saved[peers.saved_count++] = mid_retain(thread, object);
}

static inline void peers_break(mid_thread *thread, mid_handle object)
{
    peers_note(thread, object);
    mid_store(thread, object, LEFT, 0);
    mid_store(thread, object, RIGHT, 0);
}

/* Collects, and leaves garbage behind. */
static inline void peers_collect_inside(mid_thread *thread, mid_handle object)
{
    mid_handle made;
    (void)object;
    peers.status = mid_collect(thread, NULL);
    if (mid_new(thread, peers.node, &made) != MID_OK)
        return;
    mid_store(thread, made, LEFT, made);
    mid_release(thread, made);
}

static inline void peers_called(mid_thread *thread, mid_weak gone, mid_handle owner, void *context)
{
    (void)owner, (void)context;
    peers.status = mid_weak_get(thread, gone) == 0 ? MID_OK : MID_ECORRUPT;
    peers.callbacks++;
}

static inline mid_type peers_open(struct unit *u, const char *options, void (*finalize)(mid_thread *, mid_handle))
{
    memset(&peers, 0, sizeof peers);
    unit_open(u, options);
    peers.node = u->node;
    return peers.type = unit_node_type(u->heap, (mid_type_desc){.name = "finalized", .finalize = finalize});
}

static inline mid_handle peers_node(struct unit *u, mid_type type, uint64_t value)
{
    mid_handle made = unit_new(u, type);
    unit_node(u, made)->value = value;
    return made;
}

static inline mid_handle peers_self(struct unit *u, mid_type type)
{
    mid_handle made = unit_new(u, type);
    mid_store(u->thread, made, LEFT, made);
    return made;
}

/* Returns what the collection found to be garbage. */
static inline uint64_t peers_collect(struct unit *u)
{
    mid_collect_result result;
    ok(mid_collect(u->thread, &result));
    unit_check(u);
    return result.garbage;
}

static inline void peers_drop_saved(struct unit *u)
{
    size_t n = peers.saved_count;
    mid_handle saved[NOTED];
    memcpy(saved, peers.saved, n * sizeof *saved);
    peers.saved_count = 0;
    for (size_t i = 0; i < n; i++)
        mid_release(u->thread, saved[i]);
}

/* Nothing is left, and nothing was. */
static inline void peers_end(struct unit *u)
{
    ok(mid_collect(u->thread, NULL));
    assert_int_equal(unit_live(u), 0);
    unit_close(u);
}

#endif
