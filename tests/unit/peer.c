/* tests/unit/peer.c: see peer.h. */
#include "peer.h"

/* Those there are: in the child of a fork nothing else may refer to them, and checkers of leaks look there too. */
static struct peer *peers;

static void *peer_main(void *argument)
{
    struct peer *peer = argument;
    pthread_mutex_lock(&peer->lock);
    for (;;) {
        while (!peer->busy && !peer->leaving)
            pthread_cond_wait(&peer->changed, &peer->lock);
        if (!peer->busy)
            break;
        pthread_mutex_unlock(&peer->lock);
        peer->job(peer);
        pthread_mutex_lock(&peer->lock);
        peer->busy = 0;
        pthread_cond_broadcast(&peer->changed);
    }
    pthread_mutex_unlock(&peer->lock);
    return NULL;
}

struct peer *peer_unattached(mid_heap *heap)
{
    struct peer *peer = calloc(1, sizeof *peer);
    assert_non_null(peer);
    peer->heap = heap;
    peer->next = peers;
    peers = peer;
    pthread_mutex_init(&peer->lock, NULL);
    pthread_cond_init(&peer->changed, NULL);
    /* Small, because one test wants a thousand. */
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, (UNIT_SANITIZED ? 512u : 128u) << 10), 0);
    assert_int_equal(pthread_create(&peer->id, &attributes, peer_main, peer), 0);
    pthread_attr_destroy(&attributes);
    return peer;
}

struct peer *peer_new(struct unit *u)
{
    struct peer *peer = peer_unattached(u->heap);
    peer->unit = u;
    peer_attach(peer);
    return peer;
}

void peer_lost(struct peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    peer->leaving = 1;
    pthread_cond_broadcast(&peer->changed);
    pthread_mutex_unlock(&peer->lock);
    pthread_join(peer->id, NULL);
    struct peer **at = &peers;
    while (*at != peer)
        at = &(*at)->next;
    *at = peer->next;
    pthread_mutex_destroy(&peer->lock);
    pthread_cond_destroy(&peer->changed);
    free(peer);
}

void peer_end(struct peer *peer)
{
    if (peer->thread != NULL)
        peer_detach(peer);
    peer_lost(peer);
}

void peer_begin(struct peer *peer, peer_job job)
{
    __atomic_store_n(&peer->told, 0, __ATOMIC_RELAXED);
    pthread_mutex_lock(&peer->lock);
    peer->job = job;
    peer->busy = 1;
    pthread_cond_broadcast(&peer->changed);
    pthread_mutex_unlock(&peer->lock);
}

void peer_wait(struct peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    while (peer->busy)
        pthread_cond_wait(&peer->changed, &peer->lock);
    pthread_mutex_unlock(&peer->lock);
}

void peer_wait_polling(struct peer *peer, mid_thread *thread)
{
    for (int busy = 1; busy;) {
        ok(mid_safepoint(thread));
        sched_yield();
        pthread_mutex_lock(&peer->lock);
        busy = peer->busy;
        pthread_mutex_unlock(&peer->lock);
    }
}

int peer_goes_on(struct peer *peer)
{
    __atomic_fetch_add(&peer->rounds, 1, __ATOMIC_RELAXED);
    return !__atomic_load_n(&peer->told, __ATOMIC_RELAXED);
}

void peer_wait_rounds(struct peer *peer, uint64_t rounds)
{
    uint64_t until = __atomic_load_n(&peer->rounds, __ATOMIC_RELAXED) + rounds;
    while (__atomic_load_n(&peer->rounds, __ATOMIC_RELAXED) < until)
        sched_yield();
}

void peer_finish(struct peer *peer)
{
    __atomic_store_n(&peer->told, 1, __ATOMIC_RELAXED);
    peer_wait(peer);
}

void peer_finish_polling(struct peer *peer, mid_thread *thread)
{
    __atomic_store_n(&peer->told, 1, __ATOMIC_RELAXED);
    peer_wait_polling(peer, thread);
}

void peer_polls(struct peer *peer)
{
    while (peer_goes_on(peer))
        peer->wrong += mid_safepoint(peer->thread) != MID_OK;
}

/* --- single calls ------------------------------------------------------------------------------------------------ */

static void attach(struct peer *peer)
{
    peer->status = mid_thread_attach(peer->heap, &peer->thread);
}

static void detach(struct peer *peer)
{
    peer->status = mid_thread_detach(peer->thread);
}

static void block(struct peer *peer)
{
    peer->status = mid_blocked_enter(peer->thread);
}

static void unblock(struct peer *peer)
{
    peer->status = mid_blocked_leave(peer->thread);
}

static void safepoint(struct peer *peer)
{
    peer->status = mid_safepoint(peer->thread);
}

static void make(struct peer *peer)
{
    peer->status = mid_new(peer->thread, peer->type, &peer->a);
}

static void retain(struct peer *peer)
{
    mid_retain(peer->thread, peer->a);
}

static void release(struct peer *peer)
{
    mid_release(peer->thread, peer->a);
}

static void load(struct peer *peer)
{
    peer->b = mid_load(peer->thread, peer->a, peer->slot);
}

static void store(struct peer *peer)
{
    mid_store(peer->thread, peer->a, peer->slot, peer->b);
}

static void count(struct peer *peer)
{
    uint32_t answer = 0;
    peer->status = mid_count_of(peer->thread, peer->a, &answer);
    peer->number = answer;
}

static void do_well(struct peer *peer, peer_job job)
{
    peer_do(peer, job);
    ok(peer->status);
}

void peer_attach(struct peer *peer)
{
    do_well(peer, attach);
    assert_non_null(peer->thread);
}

void peer_detach(struct peer *peer)
{
    do_well(peer, detach);
    peer->thread = NULL;
}

void peer_block(struct peer *peer)
{
    do_well(peer, block);
}

void peer_unblock(struct peer *peer)
{
    do_well(peer, unblock);
}

void peer_safepoint(struct peer *peer)
{
    do_well(peer, safepoint);
}

mid_handle peer_make(struct peer *peer, mid_type type)
{
    peer->type = type;
    do_well(peer, make);
    assert_true(peer->a != 0);
    return peer->a;
}

void peer_retain(struct peer *peer, mid_handle object)
{
    peer->a = object;
    peer_do(peer, retain);
}

void peer_release(struct peer *peer, mid_handle object)
{
    peer->a = object;
    peer_do(peer, release);
}

mid_handle peer_load(struct peer *peer, mid_handle holder, unsigned slot)
{
    peer->a = holder;
    peer->slot = slot;
    peer_do(peer, load);
    return peer->b;
}

void peer_store(struct peer *peer, mid_handle holder, unsigned slot, mid_handle value)
{
    peer->a = holder;
    peer->slot = slot;
    peer->b = value;
    peer_do(peer, store);
}

uint32_t peer_count(struct peer *peer, mid_handle object)
{
    peer->a = object;
    do_well(peer, count);
    return (uint32_t)peer->number;
}

void peer_settle(struct unit *u, struct peer *one, struct peer *other, uint64_t live)
{
    enum { ROUNDS = 20000 };
    mid_stats stats = unit_stats(u);
    /* Three at least: a message, its answer, and what dies of it. */
    for (int i = 0; (i < 3 || stats.live_objects > live || stats.waiting_objects != 0) && i < ROUNDS; i++) {
        ok(mid_safepoint(u->thread));
        if (one != NULL)
            peer_safepoint(one);
        if (other != NULL)
            peer_safepoint(other);
        stats = unit_stats(u);
    }
    assert_int_equal(stats.live_objects, live);
    assert_int_equal(stats.waiting_objects, 0);
}
