/* daemon/loop.c: libevent glue. When to look is decided here from kicks and from what decide.c asks for; what to do is not.
 *
 * ONE WAY IN. Everything from outside the loop's thread arrives through one eventfd: kicks, and the request to stop. So the
 * base of an own thread needs no locks, and evthread_use_pthreads is left to programs that share a base of theirs.
 *
 * EARS. A program may kick at every blocked region it enters, many thousand times a second. A look that a kick called for
 * is therefore followed by a rest, of 1 ms, or up to 16 if look after look finds nothing to do and the heap does not grow:
 *
 *     LISTENING --kick: write the eventfd--> KICKED
 *     KICKED ----the turn begins-----------> RESTING     (kicks only note that they came: -> KICKED, no write)
 *     RESTING ---rest over, no kick--------> LISTENING   (then only the timer or the next kick wakes the loop)
 *     KICKED ----rest over-----------------> RESTING, and another look
 *
 * No kick is lost, and the loop looks at most once a millisecond because of them; a program that only allocates and frees, at rest as
 * a whole, has it look sixteen times less often, or eight times with less than 256 MiB below a limit. Under pressure no rest is longer
 * than 1 ms. While the heap owes it a stop it does not rest: the mutator kicks when it arrives and does not wait long.
 *
 * ONE SLICE A TURN. A turn is one callback. It does at most one slice, so that an attached base stays responsive. */
#include <errno.h>
#include <event2/event_struct.h>
#include <unistd.h>

#include "daemon/act.h"
#include "daemon/state.h"
#include "midden/collector.h"

#define REST_LEAST 1000u
#define QUIET_MOST 4u /* it doubles so often */
#define QUIET_TIGHT 3u /* and so often where a limit is near */
#define GREW_PART 64u  /* of what lived at the look before */

/* --- kicks: any thread --------------------------------------------------------------------------------------------- */

void mid_loop_wake(const mid_daemon *d)
{
    const uint64_t one = 1;
    /* It can only fail when the counter is full, and then the loop has been woken. */
    while (write(d->eventfd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

/* In the child of a fork the first kick is what the thread is started for. */
void mid_loop_kick(void *context)
{
    mid_daemon *d = context;
    if (__atomic_exchange_n(&d->stranded, false, __ATOMIC_ACQ_REL))
        mid_daemon_restart(d);
    if (__atomic_exchange_n(&d->ears, KICKED, __ATOMIC_ACQ_REL) == LISTENING)
        mid_loop_wake(d);
}

/* --- a turn of the loop -------------------------------------------------------------------------------------------- */

static void look_after(mid_daemon *d, uint64_t micros)
{
    if (micros == MID_NEVER) {
        event_del(d->due);
        return;
    }
    struct timeval delay = {.tv_sec = (time_t)(micros / 1000000), .tv_usec = (suseconds_t)(micros % 1000000)};
    event_add(d->due, &delay);
}

/* Listen again, unless somebody kicked meanwhile. */
static bool listen_again(mid_daemon *d)
{
    int resting = RESTING;
    return __atomic_compare_exchange_n(&d->ears, &resting, LISTENING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

void mid_loop_set_growth(mid_daemon *d)
{
    mid_growth growth = mid_collect_growth(&d->pacer, d->options);
    mid_service_set_growth(d->heap, growth.least, growth.percent);
    mid_service_log(d->heap, mid_proposes(&d->pacer), mid_help_at(&d->pacer), mid_large_from(&d->pacer, d->options));
}

/* A running mutator collects by itself when it has grown so much; the rule and the log are kept here all the same. */
static void note_own_collections(mid_daemon *d)
{
    mid_own_collections own = mid_service_collected(d->heap);
    if (own.times == 0)
        return;
    mid_work_plan plan = mid_decide_collected(&d->pacer, &own, d->options);
    mid_decision decision = {
        .at_micros = mid_daemon_clock(),
        .action = plan.action,
        .trigger = plan.trigger,
        .value = plan.value,
        .threshold = plan.threshold,
        .status = own.status,
        .objects = own.freed,
        .took_micros = own.micros,
        .slices = own.times,
        .longest_micros = own.longest,
    };
    mid_log_add(&d->log, &decision);
    mid_loop_set_growth(d);
}

/* Whoever asked is told, and the next begins. */
static bool goal_over(mid_daemon *d)
{
    if (!d->goal.over)
        return false;
    mid_control_reached(d->control);
    return true;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The budget that it shares with other heaps. */
static void take_limit(mid_daemon *d)
{
    bool idle;
    mid_need need = mid_decide_need(&d->pacer, d->options, &idle);
    d->sources.heard.told = mid_member_limit(d->member, &need);
}

static void say_need(mid_daemon *d)
{
    bool idle;
    mid_need need = mid_decide_need(&d->pacer, d->options, &idle);
    mid_member_say(d->member, &need, idle, mid_daemon_clock());
}

/* As the rules are to see it while the program does not let it collect: nothing has grown, and nobody is suspected. */
static mid_snapshot calm(const mid_daemon *d, const mid_snapshot *now)
{
    mid_snapshot seen = *now;
    if (mid_service_collects(d->heap))
        return seen;
    seen.suspects = seen.suspects_held = seen.proposals = seen.unresolved = 0;
    seen.sweeping = MID_SWEEPS_NOT;
    seen.live_at_collection = seen.live_slot_bytes + seen.large_bytes;
    return seen;
}

/* Under pressure garbage is looked for whatever has grown. */
static mid_work_plan decide(mid_daemon *d, const mid_snapshot *now)
{
    mid_snapshot seen = calm(d, now);
    mid_work_plan plan = mid_decide(&d->pacer, &seen, d->options, mid_daemon_clock());
    bool collects = plan.action == MID_ACT_COLLECT || plan.action == MID_ACT_PROPOSE || plan.action == MID_ACT_SWEEP ||
                    plan.action == MID_ACT_PROVE;
    if (collects && !mid_service_collects(d->heap))
        plan = (mid_work_plan){.action = MID_ACT_NONE, .look_in = d->options->heartbeat};
    return plan;
}

/* What the program has set since the last look. */
static void take_thresholds(mid_daemon *d)
{
    uint32_t times = mid_service_thresholds_set(d->heap);
    mid_thresholds t = {.struct_size = sizeof t};
    if (times == d->thresholds_set || mid_thresholds_get(d->heap, &t) != MID_OK)
        return;
    d->thresholds_set = times;
    d->own.growth_min = t.growth_min;
    d->own.growth = t.growth;
    d->own.suspect_min = t.suspect_min;
    d->own.collect_stop = t.collect_stop;
}

/* A heap that grows may soon be another sort of heap, and want more looks. */
static bool grew(mid_daemon *d, const mid_snapshot *now)
{
    uint64_t was = d->live_seen, part = was / GREW_PART > d->options->credit ? was / GREW_PART : d->options->credit;
    d->live_seen = now->live_slot_bytes + now->large_bytes + now->foreign_bytes;
    return d->live_seen > was && d->live_seen - was >= part;
}

/* One look, and one slice if something is to be done. Returns when to look again. */
static uint64_t look(mid_daemon *d)
{
    take_thresholds(d);
    note_own_collections(d);
    mid_snapshot now;
    mid_service_snapshot(d->heap, &now);
    take_limit(d);
    mid_strain strain = mid_sources_look(&d->sources, &now, mid_daemon_clock());
    mid_decide_strain(&d->pacer, &strain);
    if (d->http != NULL)
        mid_http_look(d->http, &now, strain.level, mid_daemon_clock());
    mid_work_plan plan = decide(d, &now);
    uint64_t asked = mid_goal_plan(&d->goal, &now, d->options, mid_proposes(&d->pacer), mid_daemon_clock(), &plan);
    if (goal_over(d))
        return 0;
    mid_loop_set_growth(d);
    mid_thread *self = now.mutator == MID_MUTATOR_RUNNING ? d->loop_thread : NULL;
    bool quiet = plan.action == MID_ACT_NONE && strain.level == MID_PRESSURE_CALM && !grew(d, &now);
    unsigned most = mid_sources_roomy(&d->sources) ? QUIET_MOST : QUIET_TIGHT;
    d->quiet = !quiet ? 0 : d->quiet < most ? d->quiet + 1 : most;
    if (plan.action == MID_ACT_NONE) {
        d->owed = d->owed && !mid_act_release(d->heap, self);
        return sooner(plan.look_in, asked);
    }
    mid_outcome outcome;
    mid_decision decision;
    bool acted = mid_act(d->heap, self, &now, &plan, &outcome, &decision);
    if (!mid_beside(&now, &plan))
        d->owed = !outcome.stopped;
    if (!acted)
        return 0; /* look again */
    uint64_t look_in = mid_decide_done(&d->pacer, &plan, &outcome, d->options, mid_daemon_clock());
    mid_log_add(&d->log, &decision);
    if (plan.trigger == MID_WHY_ASKED)
        mid_goal_done(&d->goal, &plan, &outcome, &decision, d->options, mid_daemon_clock());
    if (goal_over(d))
        return 0;
    if (outcome.stopped) {
        mid_loop_set_growth(d);
        look_in = decide(d, &outcome.after).look_in;
    }
    return sooner(look_in, mid_goal_wait(&d->goal, mid_daemon_clock()));
}

static void look_and_rest(mid_daemon *d, bool because_kicked)
{
    __atomic_store_n(&d->ears, RESTING, __ATOMIC_RELEASE);
    uint64_t wait = look(d), rest = REST_LEAST << d->quiet;
    say_need(d);
    if (because_kicked && wait > rest && !d->owed) {
        d->rests = true;
        d->left = wait == MID_NEVER ? MID_NEVER : wait - rest;
        look_after(d, rest);
    } else {
        look_after(d, listen_again(d) ? wait : 0);
    }
}

static void turn(mid_daemon *d, bool because_kicked)
{
    bool rested = d->rests && !because_kicked;
    d->rests = false;
    if (rested && listen_again(d))
        look_after(d, d->left);
    else
        look_and_rest(d, because_kicked || rested);
    /* For a heap whose mutator runs this loop the turn is a safepoint: finalizers that the slice queued run now. */
    if (d->loop_thread != NULL) {
        mid_snapshot now;
        mid_service_snapshot(d->heap, &now);
        if (now.mutator == MID_MUTATOR_RUNNING)
            mid_safepoint(d->loop_thread);
    }
}

static void on_turn(mid_daemon *d, bool because_kicked)
{
    uint64_t begun = mid_daemon_thread_clock();
    __atomic_fetch_add(&d->wakeups, 1, __ATOMIC_RELAXED);
    mid_errand_do(&d->errand);
    if (__atomic_load_n(&d->stopping, __ATOMIC_ACQUIRE)) {
        event_base_loopbreak(d->base);
        return;
    }
    __atomic_store_n(&d->in_turn, gettid(), __ATOMIC_RELAXED);
    turn(d, because_kicked);
    __atomic_store_n(&d->in_turn, 0, __ATOMIC_RELAXED);
    __atomic_fetch_add(&d->cpu, mid_daemon_thread_clock() - begun, __ATOMIC_RELAXED);
}

/* Both may be due in one iteration of the loop. libevent runs this one first, and setting the timer anew takes the turn
 * of mid_loop_on_timer away. */
void mid_loop_on_eventfd(evutil_socket_t fd, short what, void *context)
{
    uint64_t count;
    (void)what;
    if (read(fd, &count, sizeof count) == sizeof count)
        on_turn(context, true);
}

void mid_loop_on_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    on_turn(context, false);
}

void *mid_loop_thread(void *context)
{
    mid_daemon *d = context;
    pthread_setname_np(pthread_self(), "midden");
    event_base_loop(d->base, 0);
    return NULL;
}

mid_status mid_daemon_kick(mid_daemon *d)
{
    if (d == NULL)
        return MID_ENULL;
    mid_loop_kick(d);
    return MID_OK;
}

/* --- for the rest of the folder (loop.h) ---------------------------------------------------------------------------- */

static void wake_for_errand(void *context)
{
    mid_loop_wake(context);
}

/* event_base_free takes out the events of others, too; this one is never taken out by the daemon before it is freed. */
bool mid_loop_base_gone(const mid_daemon *d)
{
    return !d->own_thread && d->kicked != NULL && (d->kicked->ev_evcallback.evcb_flags & EVLIST_INSERTED) == 0;
}

void mid_event_free(struct event_base *base, struct event *event)
{
    if (event == NULL || base == NULL || (event_get_base(event) != base && event_base_set(base, event) != 0))
        return;
    event_free(event);
}

mid_status mid_daemon_on_loop(mid_daemon *d, mid_errand_fn *run, void *context)
{
    if (__atomic_load_n(&d->in_turn, __ATOMIC_RELAXED) == gettid())
        return MID_EBUSY;
    if (mid_loop_base_gone(d)) {
        mid_log_note(&d->log, MID_WHY_PROGRAM, mid_daemon_clock(), "its event_base was freed, it does nothing any more");
        return MID_ESYSTEM;
    }
    if (!d->own_thread)
        return run(context);
    if (__atomic_load_n(&d->stranded, __ATOMIC_ACQUIRE))
        mid_loop_kick(d); /* starts the thread */
    if (!d->running)
        return MID_ESYSTEM;
    return mid_errand_send(&d->errand, run, context, wake_for_errand, d);
}

mid_inside mid_daemon_inside(mid_daemon *d)
{
    return (mid_inside){.heap = d->heap,
                        .base = d->base,
                        .guest = !d->own_thread,
                        .options = &d->own,
                        .goal = &d->goal,
                        .control = &d->control,
                        .http = &d->http,
                        .member = &d->member,
                        .told = &d->told,
                        .log = &d->log,
                        .strain = &d->pacer.strain};
}

/* --- questions ----------------------------------------------------------------------------------------------------- */

size_t mid_daemon_log(mid_daemon *d, mid_decision *into, size_t room)
{
    return d == NULL || into == NULL ? 0 : mid_log_read(&d->log, into, room);
}

uint64_t mid_daemon_cpu_micros(mid_daemon *d)
{
    clockid_t clock;
    struct timespec used;
    if (d == NULL)
        return 0;
    if (!d->own_thread)
        return __atomic_load_n(&d->cpu, __ATOMIC_RELAXED);
    if (!d->running || pthread_getcpuclockid(d->thread, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return 0;
    return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

uint64_t mid_daemon_wakeups(mid_daemon *d)
{
    return d == NULL ? 0 : __atomic_load_n(&d->wakeups, __ATOMIC_RELAXED);
}

uint64_t mid_balance_limit(mid_daemon *d)
{
    return d == NULL ? 0 : __atomic_load_n(&d->told, __ATOMIC_RELAXED);
}
