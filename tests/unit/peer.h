/* tests/unit/peer.h: other mutators, which do one job at a time when the test says so.
 *
 * The test's own thread (main) orders everything: what peer_do returns from has happened. A peer that has no job is attached
 * and *running*: it reaches no safepoint, so whoever wants the world stopped waits for it in vain. peer_block puts it into a
 * blocked region, peer_begin(peer, peer_polls) lets it poll until peer_finish. Jobs must not use cmocka's assertions. */
#ifndef PEER_H
#define PEER_H

#include <pthread.h>
#include <sched.h>

#include "unit.h"

struct peer;
typedef void (*peer_job)(struct peer *peer);

struct peer {
    mid_heap *heap;
    mid_thread *thread; /* its own; null while it is not attached */
    struct unit *unit;  /* for types */

    /* What a job is given and what it leaves. Main looks after the job has ended, except at the atomic ones. */
    mid_status status;
    mid_handle a, b;
    unsigned slot;
    mid_type type;
    mid_weak weak;
    uint64_t number;
    size_t wrong;
    void *data;
    uint64_t rounds; /* atomic: how often a job that goes on has gone round */
    uint32_t told;   /* atomic: it is to end */

    pthread_t id;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    peer_job job;
    int busy, leaving;
    struct peer *next;
};

struct peer *peer_new(struct unit *u);       /* attached */
struct peer *peer_unattached(mid_heap *heap); /* `heap` may be null */
void peer_end(struct peer *peer);            /* detaches if it is attached, joins, frees */
void peer_lost(struct peer *peer);           /* ends as it is, without detaching */

void peer_begin(struct peer *peer, peer_job job);
void peer_wait(struct peer *peer);                             /* until its job is over */
void peer_wait_polling(struct peer *peer, mid_thread *thread); /* main polls meanwhile */
static inline void peer_do(struct peer *peer, peer_job job)
{
    peer_begin(peer, job);
    peer_wait(peer);
}

/* Jobs that go on: called in their loops and false once peer_finish wants them to end. */
int peer_goes_on(struct peer *peer);
void peer_wait_rounds(struct peer *peer, uint64_t rounds); /* until it has gone round as often from now on */
void peer_finish(struct peer *peer);
void peer_finish_polling(struct peer *peer, mid_thread *thread);
void peer_polls(struct peer *peer);

/* Everybody reaches safepoints until nothing is under way between them and `live` objects are left. Peers may be null, and must
 * have no job. What waits to be freed is its thread's: main cannot do that work for a peer. */
void peer_settle(struct unit *u, struct peer *one, struct peer *other, uint64_t live);

/* One call each; those that can fail must not, here. */
void peer_attach(struct peer *peer);
void peer_detach(struct peer *peer);
void peer_block(struct peer *peer);
void peer_unblock(struct peer *peer);
void peer_safepoint(struct peer *peer);
mid_handle peer_make(struct peer *peer, mid_type type);
void peer_retain(struct peer *peer, mid_handle object);
void peer_release(struct peer *peer, mid_handle object);
mid_handle peer_load(struct peer *peer, mid_handle holder, unsigned slot);
void peer_store(struct peer *peer, mid_handle holder, unsigned slot, mid_handle value);
uint32_t peer_count(struct peer *peer, mid_handle object);

/* For stops that wait for a peer that polls: it may lose its processor for longer than the other waits. */
#define ok_in_time(call)                                                                      \
    do {                                                                                      \
        mid_status status_ = (call);                                                          \
        for (int tries_ = 0; status_ == MID_EPOSTPONED && tries_ < 100; tries_++)             \
            status_ = (call);                                                                 \
        unit_expect(MID_OK, status_, #call, __FILE__, __LINE__);                              \
    } while (0)

/* The thread whose plain count the object's is, as mid_thread.bias names it; MID_UNOWNED_ for none. */
static inline uint32_t peer_owner(mid_thread *thread, mid_handle object)
{
    return MID_READ_(mid_entry_(thread, object)->count) & MID_UNOWNED_;
}

#endif
