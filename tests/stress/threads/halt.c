/* tests/stress/threads/halt.c: where threads stand still, come and go; and who asks them to. */
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "threads.h"

enum { LIVE_MANY = 8000 };

/* --- standing still on two heaps ---------------------------------------------------------------------------------- */

/* Who waits on one heap and runs on the other may be waited for there. So that no ring of waiting threads arises, who may wait
 * on the second heap does not run on the first; the other way round is allowed. Now and then nobody cares: then a stop may be
 * postponed. Null: nothing to step back to. */
struct mutator *step_aside(struct mutator *m)
{
    struct mutator *first = &self->on[0];
    if (m == first || first->thread == NULL || first->blocked || self->depth != 0 || one_in(20000))
        return NULL;
    if (mid_blocked_enter(first->thread) != MID_OK)
        fail("mid_blocked_enter failed");
    first->blocked = true;
    return first;
}

void step_back(struct mutator *first)
{
    if (first == NULL)
        return;
    if (mid_blocked_leave(first->thread) != MID_OK)
        fail("mid_blocked_leave failed");
    first->blocked = false;
}

/* --- attaching ---------------------------------------------------------------------------------------------------- */

void attach(struct mutator *m)
{
    struct world *world = m->world;
    struct mutator *first = step_aside(m);
    mid_status status = mid_thread_attach(world->heap, &m->thread);
    step_back(first);
    if (status != MID_OK) {
        m->thread = NULL;
        if (status != MID_ENOMEM && status != MID_ELIMIT)
            fail("mid_thread_attach returned %s", mid_status_name(status));
        return;
    }
    if (mid_thread_current(world->heap) != m->thread || mid_thread_heap(m->thread) != world->heap)
        fail("an attached thread is not the current one");
    if (self->number < THREADS_MAX) {
        pthread_mutex_lock(&world->lock);
        world->attached[self->number] = m->thread;
        pthread_mutex_unlock(&world->lock);
    }
}

static void unlist(struct mutator *m)
{
    if (self->number < THREADS_MAX) {
        pthread_mutex_lock(&m->world->lock);
        m->world->attached[self->number] = NULL;
        pthread_mutex_unlock(&m->world->lock);
    }
}

void detach(struct mutator *m)
{
    unlist(m);
    close_scopes(m, 0);
    struct mutator *first = step_aside(m);
    mid_status status = mid_thread_detach(m->thread);
    step_back(first);
    if (status != MID_OK)
        fail("mid_thread_detach returned %s", mid_status_name(status));
    m->thread = NULL;
    if (mid_thread_current(m->world->heap) != NULL)
        fail("a detached thread is still the current one");
    self->tally[T_DETACHED]++;
}

void abandon(struct mutator *m)
{
    if (m->thread == NULL)
        return;
    unlist(m);
    m->thread = NULL;
    m->blocked = false;
    m->scope_count = m->kept_count = 0;
    self->tally[T_KILLED]++;
}

/* --- stopping the others ----------------------------------------------------------------------------------------- */

static void tally_stop(mid_status status, const char *what)
{
    if (status == MID_EPOSTPONED)
        self->tally[T_POSTPONED]++;
    else if (status == MID_ENOMEM || status == MID_ELIMIT)
        self->tally[T_REFUSED]++;
    else if (status != MID_OK && status != MID_MORE)
        fail("%s returned %s", what, mid_status_name(status));
    else
        self->tally[T_STOPS]++;
}

static void check_pins(struct mutator *m)
{
    for (unsigned n = 0; n < m->pin_count; n++) {
        if (mid_get(m->thread, m->pins[n].item.handle) != m->pins[n].address)
            fail("object %u moved while it was pinned", m->pins[n].item.id);
    }
}

void collect(struct mutator *m)
{
    mid_collect_result result = {0};
    struct mutator *first = step_aside(m);
    tally_stop(mid_collect(m->thread, &result), "mid_collect");
    step_back(first);
    self->tally[T_COLLECTED] += result.freed;
    check_pins(m);
}

static void compact(struct mutator *m)
{
    mid_compact_result result = {0};
    struct mutator *first = step_aside(m);
    if (one_in(4))
        tally_stop(mid_reclaim(m->thread), "mid_reclaim");
    else
        tally_stop(mid_compact(m->thread, one_in(2) ? MID_COMPACT_DEEP : MID_COMPACT_PLAIN, one_in(2) ? 0 : 1 + pick(200), &result), "mid_compact");
    step_back(first);
    self->tally[T_MOVED] += result.moved_objects;
    check_pins(m);
}

mid_status pin_long(struct mutator *m, mid_handle object, void **address)
{
    struct mutator *first = step_aside(m);
    mid_status status = mid_pin_long(m->thread, object, address);
    step_back(first);
    check_pins(m);
    return status;
}

void op_check(struct mutator *m)
{
    if (self->number != 0)
        return;
    struct mutator *first = step_aside(m);
    mid_status status = mid_heap_check(m->world->heap);
    step_back(first);
    if (status == MID_ECORRUPT)
        fail("mid_heap_check: %s", mid_heap_check_text(m->world->heap));
    tally_stop(status, "mid_heap_check");
    self->tally[T_CHECKED]++;
}

/* The one thread proposes or proves while the others run. */
static void step_some(struct mutator *m, uint64_t budget)
{
    struct mutator *first = step_aside(m);
    mid_status status = mid_step(m->thread, budget);
    step_back(first);
    if (status != MID_EBUSY)
        tally_stop(status, "mid_step");
    check_pins(m);
}

static void safepoint(struct mutator *m)
{
    struct mutator *first = step_aside(m);
    if (mid_safepoint(m->thread) != MID_OK)
        fail("mid_safepoint failed");
    step_back(first);
    check_pins(m);
}

void poll(struct mutator *m)
{
    if (m->thread == NULL || m->blocked)
        return;
    uint32_t often = many.mode == MODE_GC ? 100 : 20000;
    if (many.mode == MODE_STEPS && one_in(4))
        step_some(m, one_in(8) ? 3000 : pick(300));
    if (many.mode == MODE_STEPS && one_in(2000))
        compact(m);
    switch (pick(often)) {
    case 0: collect(m); break;
    case 1: compact(m); break;
    default: safepoint(m);
    }
}

/* Garbage cycles that nobody looks for, and graphs that only grow. */
void keep_small(struct mutator *m)
{
    mid_stats stats;
    mid_stats_get(m->world->heap, &stats, sizeof stats);
    if (stats.live_objects < LIVE_MANY)
        return;
    if (many.mode == MODE_STEPS)
        step_some(m, 5000);
    else
        collect(m);
    mid_stats_get(m->world->heap, &stats, sizeof stats);
    for (unsigned n = 0; n < ROOTS / 8 && stats.live_objects > LIVE_MANY / 2; n++)
        mid_give(m->thread, m->world->top, FIRST_ITEM + pick(ROOTS), 0);
}

/* --- blocked regions, coming and going --------------------------------------------------------------------------- */

void op_blocked(struct mutator *m)
{
    struct mutator *first = step_aside(m);
    if (mid_blocked_enter(m->thread) != MID_OK)
        fail("mid_blocked_enter failed");
    m->blocked = true;
    step_back(first);
    if (one_in(2))
        usleep(pick(300));
}

void op_leave(struct mutator *m)
{
    struct mutator *first = step_aside(m);
    if (mid_blocked_leave(m->thread) != MID_OK)
        fail("mid_blocked_leave failed");
    step_back(first);
    m->blocked = false;
    check_pins(m);
}

void op_detach(struct mutator *m)
{
    detach(m);
    if (one_in(2))
        sched_yield();
    else if (one_in(2))
        usleep(pick(500));
}

void op_register(struct mutator *m)
{
    kinds_register_one(m);
}

static mid_status ask_pauses(mid_heap *heap)
{
    mid_pause_stats pauses;
    double share = -1;
    mid_status status = mid_stats_mmu(heap, 10000, &share);
    if (share < 0 || share > 1)
        fail("the least share of 10 ms is %f", share);
    for (int cause = 0; status == MID_OK && cause < MID_PAUSE_CAUSE_COUNT; cause++)
        status = mid_stats_pauses(heap, (mid_pause_cause)cause, &pauses);
    return status;
}

/* Questions about the whole heap, which any thread may ask while the others run. */
void op_ask(struct mutator *m)
{
    mid_heap *heap = m->world->heap;
    uint64_t histogram[MID_STOP_BUCKETS], returned, objects, bytes;
    mid_stats stats;
    mid_class_stats class;
    mid_status status = MID_OK;
    switch (pick(6)) {
    case 0: status = mid_stats_get(heap, &stats, sizeof stats) == sizeof stats ? MID_OK : MID_EINVAL; break;
    case 1: status = mid_stats_class(heap, pick(40), &class); break;
    case 2: status = mid_stats_stops(heap, histogram) == MID_OK ? ask_pauses(heap) : MID_EINVAL; break;
    case 3: status = mid_stats_waits(heap, histogram); break;
    case 4: status = mid_trim(m->thread, one_in(2) ? 0 : 10, &returned); break;
    default: {
        struct mutator *first = step_aside(m);
        status = mid_stats_type(heap, m->world->types[pick(object_kinds)].type, &objects, &bytes);
        step_back(first);
    }
    }
    if (status != MID_OK && status != MID_MORE && status != MID_EPOSTPONED)
        fail("a question about the heap: %s", mid_status_name(status));
}
