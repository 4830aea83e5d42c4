/* crew.c: see crew.h. */
#include "crew.h"

#include <stdbool.h>

static struct member members[CREW_MAX];
static pthread_barrier_t barrier;

void crew_barrier(struct member *member)
{
    be_wait_enter(member->heap);
    pthread_barrier_wait(&barrier);
    be_wait_leave(member->heap);
}

static void *member_main(void *argument)
{
    struct member *member = argument;
    member->heap = be_thread_enter();
    crew_barrier(member);
    member->work(member);
    be_thread_leave(member->heap);
    mutator_ends();
    return NULL;
}

struct random crew_random(const struct run *run, unsigned id)
{
    struct random random = {(run_random(run).state + id) * 0xD1342543DE82EF95ull + 1};
    random_next(&random);
    return random;
}

uint64_t crew_run(struct run *run, unsigned count, void (*work)(struct member *))
{
    bool seeded = bench_param_find(run->entry, "seed") >= 0;
    uint64_t operations = 0;
    pthread_barrier_init(&barrier, NULL, count);
    for (unsigned i = 0; i < count; i++) {
        members[i] = (struct member){.id = i, .count = count, .run = run, .work = work};
        if (seeded)
            members[i].random = crew_random(run, i);
    }
    for (unsigned i = 0; i < count; i++)
        if (pthread_create(&members[i].thread, NULL, member_main, &members[i]) != 0)
            be_die("pthread_create", "no thread");
    be_wait_enter(run->heap);
    for (unsigned i = 0; i < count; i++)
        pthread_join(members[i].thread, NULL);
    be_wait_leave(run->heap);
    pthread_barrier_destroy(&barrier);
    for (unsigned i = 0; i < count; i++) {
        operations += members[i].operations;
        run->checksum += members[i].checksum;
    }
    return operations;
}

const struct member *crew_member(unsigned id)
{
    return &members[id];
}

void crew_start_detached(void *(*start)(void *), void *argument)
{
    pthread_t thread;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &detached, start, argument) != 0)
        be_die("pthread_create", "no thread");
    pthread_attr_destroy(&detached);
}

/* --- the queue ----------------------------------------------------------------------------------------- */

/* Before it goes to sleep a thread looks a few times more: else a pair of threads would mostly measure how long the system
 * takes to wake one. All in all some microseconds, for which the heap may have to wait. */
enum { LOOKS = 40, PAUSES = 10 };

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
    for (int i = 0; i < PAUSES; i++)
        __builtin_ia32_pause();
#else
    for (int i = 0; i < PAUSES; i++)
        __asm__ volatile("" ::: "memory");
#endif
}

void queue_prepare(struct queue *queue, size_t room)
{
    pthread_mutexattr_t adaptive;
    *queue = (struct queue){.changed_full = PTHREAD_COND_INITIALIZER, .changed_empty = PTHREAD_COND_INITIALIZER, .room = room,
                            .item = driver_array(room, sizeof(uintptr_t))};
    pthread_mutexattr_init(&adaptive);
    pthread_mutexattr_settype(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&queue->lock, &adaptive);
    pthread_mutexattr_destroy(&adaptive);
}

void queue_roots(be_heap *h, struct queue *queue)
{
    be_roots(h, (be_ref *)queue->item, queue->room);
}

static size_t count_of(const struct queue *queue)
{
    return __atomic_load_n(&queue->count, __ATOMIC_RELAXED);
}

static void set_count(struct queue *queue, size_t count)
{
    __atomic_store_n(&queue->count, count, __ATOMIC_RELAXED);
}

/* With the lock held: put if there is room. */
static bool put_in(struct queue *queue, uintptr_t item)
{
    size_t count = count_of(queue);
    if (count == queue->room)
        return false;
    queue->item[(queue->first + count) % queue->room] = item;
    set_count(queue, count + 1);
    if (queue->wait_empty)
        pthread_cond_signal(&queue->changed_empty);
    return true;
}

/* With the lock held: take if there is an item. What is no longer in the queue is no longer held by it. */
static bool take_out(struct queue *queue, uintptr_t *item)
{
    size_t count = count_of(queue);
    if (count == 0)
        return false;
    *item = queue->item[queue->first];
    queue->item[queue->first] = 0;
    queue->first = (queue->first + 1) % queue->room;
    set_count(queue, count - 1);
    if (queue->wait_full)
        pthread_cond_signal(&queue->changed_full);
    return true;
}

/* The heap hears of a sleep, not of a lock: nobody keeps that for longer than an item takes. */
void queue_put(be_heap *h, struct queue *queue, uintptr_t item)
{
    for (int i = 0; i < LOOKS; i++) {
        if (count_of(queue) < queue->room) {
            pthread_mutex_lock(&queue->lock);
            bool done = put_in(queue, item);
            pthread_mutex_unlock(&queue->lock);
            if (done)
                return;
        }
        pause_briefly();
    }
    be_wait_enter(h);
    pthread_mutex_lock(&queue->lock);
    queue->wait_full++;
    while (!put_in(queue, item))
        pthread_cond_wait(&queue->changed_full, &queue->lock);
    queue->wait_full--;
    pthread_mutex_unlock(&queue->lock);
    be_wait_leave(h);
}

uintptr_t queue_take(be_heap *h, struct queue *queue)
{
    uintptr_t item = 0;
    for (int i = 0; i < LOOKS; i++) {
        if (count_of(queue) > 0) {
            pthread_mutex_lock(&queue->lock);
            bool done = take_out(queue, &item);
            pthread_mutex_unlock(&queue->lock);
            if (done)
                return item;
        }
        pause_briefly();
    }
    be_wait_enter(h);
    pthread_mutex_lock(&queue->lock);
    queue->wait_empty++;
    while (!take_out(queue, &item))
        pthread_cond_wait(&queue->changed_empty, &queue->lock);
    queue->wait_empty--;
    pthread_mutex_unlock(&queue->lock);
    be_wait_leave(h);
    return item;
}
