/* daemon/start.c: a daemon's beginning and end, on a thread of its own or on the program's base; and anew in the child of a fork. */
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/act.h"
#include "daemon/state.h"

#define STACK_BYTES (1u << 20) /* of which pages are used as they are needed: libdw reads tables of lines with some 230 KiB of it */

/* No locks, because only its own thread touches it; a timerfd, because slices are shorter than epoll's millisecond; no
 * cached time, because a collection in one callback must not make the timers after it fire early. */
static struct event_base *own_base(void)
{
    struct event_base *base = NULL;
    struct event_config *config = event_config_new();
    if (config != NULL &&
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_PRECISE_TIMER |
                                          EVENT_BASE_FLAG_NO_CACHE_TIME) == 0)
        base = event_base_new_with_config(config);
    if (config != NULL)
        event_config_free(config);
    return base;
}

static mid_status run_thread(mid_daemon *d)
{
    pthread_attr_t attr;
    sigset_t all, before;
    size_t stack = (size_t)sysconf(_SC_THREAD_STACK_MIN) > STACK_BYTES ? (size_t)sysconf(_SC_THREAD_STACK_MIN) : STACK_BYTES;
    if (pthread_attr_init(&attr) != 0)
        return MID_ESYSTEM;
    pthread_attr_setstacksize(&attr, stack);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&d->thread, &attr, mid_loop_thread, d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return error == 0 ? MID_OK : MID_ESYSTEM;
}

/* Undo whatever of open_events, mid_sources_init and mid_log_open was done. */
static void discard(mid_daemon *d)
{
    bool gone = mid_loop_base_gone(d);
    if (gone)
        d->base = d->sources.base = event_base_new(); /* takes the events in that are to be freed */
    if (d->http != NULL && gone)
        mid_http_abandon(d->http);
    else if (d->http != NULL)
        mid_http_close(d->http);
    mid_control_discard(d->control);
    mid_member_free(d->member);
    mid_sources_close(&d->sources);
    mid_sources_free(&d->sources);
    mid_event_free(d->base, d->due);
    mid_event_free(d->base, d->kicked);
    if ((d->own_thread || gone) && d->base != NULL)
        event_base_free(d->base);
    if (d->eventfd >= 0)
        close(d->eventfd);
    mid_log_close(&d->log);
    mid_errand_close(&d->errand);
    free(d);
}

static mid_status open_events(mid_daemon *d)
{
    const struct timeval at_once = {0, 0};
    if (d->own_thread)
        d->base = own_base();
    d->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (d->base == NULL || d->eventfd < 0)
        return MID_ESYSTEM;
    d->kicked = event_new(d->base, d->eventfd, EV_READ | EV_PERSIST, mid_loop_on_eventfd, d);
    d->due = evtimer_new(d->base, mid_loop_on_timer, d);
    if (d->kicked != NULL && d->due != NULL)
        mid_sources_open(&d->sources, d->base, mid_loop_kick, d);
    if (d->kicked == NULL || d->due == NULL || event_add(d->kicked, NULL) != 0 || event_add(d->due, &at_once) != 0)
        return MID_ESYSTEM;
    return MID_OK;
}

/* What is shared with the parent (the epoll set and the eventfd) is let go of first: event_reinit closes the one and makes
 * another. A base that the program runs is the program's to reinitialise: until it starts a daemon anew there is none. */
static void let_go_of_parents(mid_daemon *d)
{
    event_reinit(d->base);
    mid_control_discard(d->control);
    d->control = NULL;
    mid_member_close(d->member);
    d->goal = (mid_goal){.action = MID_ACT_NONE};
    mid_sources_close(&d->sources);
    event_free(d->due);
    event_free(d->kicked);
    event_base_free(d->base);
    if (d->http != NULL)
        mid_http_abandon(d->http); /* its thread, which is not here, may have been in the midst of anything */
    d->http = NULL;
    close(d->eventfd);
    d->due = d->kicked = NULL;
    d->base = NULL;
    d->eventfd = -1;
}

/* If it cannot be, the heap is as without a daemon: kicks are taken for noted. */
void mid_daemon_restart(mid_daemon *d)
{
    mid_snapshot now;
    let_go_of_parents(d);
    mid_service_snapshot(d->heap, &now);
    mid_pacer_init(&d->pacer, &now, mid_daemon_clock());
    d->owed = d->rests = false;
    d->in_turn = 0;
    __atomic_store_n(&d->ears, LISTENING, __ATOMIC_RELEASE);
    d->running = open_events(d) == MID_OK;
    if (d->running)
        mid_member_open(d->member, d->base);
    d->running = d->running && run_thread(d) == MID_OK;
    if (!d->running)
        __atomic_store_n(&d->ears, KICKED, __ATOMIC_RELEASE);
}

/* In the child: nobody is in a turn, whatever the memory says. */
static void on_fork(void *context)
{
    mid_daemon *d = context;
    mid_log_forked(&d->log);
    mid_control_forked(d->control);
    mid_member_forked(d->member);
    mid_errand_forked(&d->errand);
    mid_sources_forked(&d->sources);
    d->running = false;
    d->stranded = d->own_thread;
    d->ears = d->own_thread ? LISTENING : KICKED;
}

static mid_status start(mid_heap *heap, struct event_base *base, mid_thread *loop_thread, const mid_daemon_paths *paths,
                        mid_daemon **out)
{
    const mid_options *options = mid_service_options(heap);
    if (!options->daemon)
        return MID_EINVAL;
    mid_daemon *d = calloc(1, sizeof *d);
    if (d == NULL)
        return MID_ESYSTEM;
    *d = (mid_daemon){.heap = heap, .own = *options, .options = &d->own, .loop_thread = loop_thread, .base = base,
                      .own_thread = base == NULL, .eventfd = -1};
    if (mid_errand_open(&d->errand) != MID_OK) {
        free(d);
        return MID_ESYSTEM;
    }
    if (mid_log_open(&d->log, options->log_entries) != MID_OK) {
        mid_errand_close(&d->errand);
        free(d);
        return MID_ESYSTEM;
    }
    mid_snapshot now;
    mid_service_snapshot(heap, &now);
    mid_pacer_init(&d->pacer, &now, mid_daemon_clock());
    mid_status status = mid_sources_init(&d->sources, heap, &d->log, paths);
    if (status == MID_OK)
        status = mid_service_bind(heap, mid_loop_kick, d);
    if (status != MID_OK) {
        discard(d);
        return status;
    }
    mid_service_collected(heap); /* what was collected for a daemon before this one */
    mid_loop_set_growth(d);
    status = open_events(d);
    if (status == MID_OK && d->own_thread)
        status = run_thread(d);
    d->running = status == MID_OK;
    mid_service_on_fork(heap, on_fork);
    if (status != MID_OK) {
        mid_service_unbind(heap);
        discard(d);
        return status;
    }
    *out = d;
    return MID_OK;
}

mid_status mid_daemon_start(mid_heap *heap, mid_daemon **out)
{
    if (heap == NULL || out == NULL)
        return MID_ENULL;
    *out = NULL;
    return start(heap, NULL, NULL, NULL, out);
}

mid_status mid_daemon_attach(mid_heap *heap, struct event_base *base, mid_thread *loop_thread, mid_daemon **out)
{
    if (heap == NULL || base == NULL || out == NULL)
        return MID_ENULL;
    *out = NULL;
    if (loop_thread != NULL && mid_thread_heap(loop_thread) != heap)
        return MID_EINVAL;
    return start(heap, base, loop_thread, NULL, out);
}

mid_status mid_daemon_start_with(mid_heap *heap, struct event_base *base, mid_thread *loop_thread, const mid_daemon_paths *paths,
                                 mid_daemon **out)
{
    if (heap == NULL || out == NULL)
        return MID_ENULL;
    *out = NULL;
    if (loop_thread != NULL && (base == NULL || mid_thread_heap(loop_thread) != heap))
        return MID_EINVAL;
    return start(heap, base, loop_thread, paths, out);
}

mid_status mid_daemon_stop(mid_daemon *d)
{
    if (d == NULL)
        return MID_ENULL;
    if (__atomic_load_n(&d->in_turn, __ATOMIC_RELAXED) == gettid())
        return MID_EBUSY; /* from a listener or finalizer inside its own turn */
    if (d->own_thread && __atomic_load_n(&d->stranded, __ATOMIC_ACQUIRE)) {
        mid_service_unbind(d->heap);
        let_go_of_parents(d);
        discard(d);
        return MID_OK;
    }
    if (d->own_thread && d->running) {
        __atomic_store_n(&d->stopping, true, __ATOMIC_RELEASE);
        mid_loop_wake(d);
        pthread_join(d->thread, NULL);
    }
    mid_service_unbind(d->heap);
    discard(d);
    return MID_OK;
}
