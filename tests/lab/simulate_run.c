/* simulate_run.c: the loop of the daemon, without one: daemon/loop.c and daemon/sources.c with a computed clock.
 *
 * Time goes to the next of: a line of the recording, a kick, the growth at which the program collects by itself, a window of stalls,
 * the look that the rules asked for, a line of figures. */
#include <inttypes.h>

#include "daemon/log.h"
#include "simulate.h"

#define KICK_LEAST 10000u /* kicks that come sooner are one: a day has to end */
#define LOOKS_MOST 1000u  /* in a row at one moment: then the rules are at fault */
#define ACTIONS 10
#define NEVER UINT64_MAX

typedef struct sim {
    const sim_recording *recording;
    const mid_options *options;
    const sim_output *output;
    sim_heap heap;
    sim_signal signal;
    mid_pacer pacer;
    mid_gauge gauge;
    mid_trigger last_why;
    mid_log log;
    uint64_t shown;            /* entries of the log */
    uint64_t now, begin, line; /* begin: of this round of the recording */
    uint64_t due, kick, own, window, figures;
    mid_pressure_level stalls; /* came */
    bool heard;                /* `watch` and `signal` of this line have been */
    uint64_t looks, levels, slices[ACTIONS], micros[ACTIONS], refused;
    uint64_t moved, returned, most_committed, above; /* above: micros over the cgroup's limit */
    unsigned __int128 committed;                     /* bytes times micros */
} sim;

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* --- what is printed ------------------------------------------------------------------------------------------- */

/* The newest entry may still grow, and so may the one before. */
static void show_log(sim *s, uint64_t but)
{
    char text[512];
    if (s->output->every != 0)
        return;
    for (; s->shown + but < s->log.written; s->shown++) {
        mid_decision_text(&s->log.ring[s->shown % s->log.room], text, sizeof text);
        fprintf(s->output->file, "%s\n", text);
    }
}

static void show_figures(const sim *s)
{
    mid_snapshot h;
    sim_heap_snapshot(&s->heap, &h);
    uint64_t daemon = 0;
    for (unsigned i = 0; i < ACTIONS; i++)
        daemon += s->micros[i];
    fprintf(s->output->file, "%.3f,%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
            ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n",
            (double)s->now / 1e6, mid_level_name(s->gauge.level), s->heap.live, s->heap.garbage, h.pool_bytes, h.empty_bytes,
            h.table_bytes, h.committed_bytes, h.allocated_bytes, s->slices[MID_ACT_COLLECT] + s->slices[MID_ACT_SWEEP], s->moved,
            s->returned, daemon);
}

static void show_sums(const sim *s)
{
    FILE *f = s->output->file;
    uint64_t all = 0;
    for (unsigned i = 0; i < ACTIONS; i++)
        all += s->micros[i];
    fprintf(f, "seconds %.3f, looks %" PRIu64 ", levels changed %" PRIu64 ", stops refused %" PRIu64 "\n", (double)s->now / 1e6, s->looks,
            s->levels, s->refused);
    for (unsigned i = 1; i < ACTIONS; i++)
        if (s->slices[i] != 0)
            fprintf(f, "%s %" PRIu64 " times, %" PRIu64 " us\n", mid_action_name((mid_action)i), s->slices[i], s->micros[i]);
    fprintf(f, "moved %" PRIu64 " bytes, returned %" PRIu64 " bytes\n", s->moved, s->returned);
    fprintf(f, "committed at most %" PRIu64 " bytes, on average %" PRIu64 ", above the limit for %.3f s\n", s->most_committed,
            s->now != 0 ? (uint64_t)(s->committed / s->now) : 0, (double)s->above / 1e6);
    fprintf(f, "share of a processor %.4f %%\n", s->now != 0 ? 100.0 * (double)all / (double)s->now : 0);
}

/* --- time ------------------------------------------------------------------------------------------------------ */

static uint64_t usage(const sim *s)
{
    return s->signal.others + sim_heap_committed(&s->heap);
}

static void pass(sim *s, uint64_t micros, bool program_runs)
{
    if (program_runs)
        sim_heap_run(&s->heap, &s->signal, micros);
    uint64_t committed = sim_heap_committed(&s->heap);
    s->most_committed = most(s->most_committed, committed);
    s->committed += (unsigned __int128)committed * micros;
    if (s->signal.limit != 0 && usage(s) > s->signal.limit)
        s->above += micros;
    s->now += micros;
}

static void kick_later(sim *s)
{
    bool runs = s->heap.mutator == MID_MUTATOR_RUNNING && s->signal.allocate != 0;
    s->kick = runs ? s->now + most(s->options->credit * 1000000 / s->signal.allocate, KICK_LEAST) : NEVER;
}

/* When the program will have grown by what it was told. One that comes to no safepoint never collects. */
static void collect_later(sim *s)
{
    mid_growth told = mid_collect_growth(&s->pacer, s->options);
    unsigned __int128 rate = (unsigned __int128)s->signal.allocate * s->signal.garbage;
    s->own = NEVER;
    if (s->signal.mutator != SIM_RUNNING || told.least == UINT64_MAX)
        return;
    unsigned __int128 part = (unsigned __int128)s->heap.left * told.percent / 100;
    unsigned __int128 enough = part > told.least ? part : told.least;
    uint64_t slots = s->heap.live + s->heap.garbage, growth = slots > s->heap.left ? slots - s->heap.left : 0;
    if (growth >= enough)
        s->own = s->now;
    else if (rate != 0 && (enough - growth) * 100000000 / rate < UINT64_MAX / 2)
        s->own = s->now + (uint64_t)((enough - growth) * 100000000 / rate) + 1;
}

/* --- a look, as in loop.c -------------------------------------------------------------------------------------- */

static void read_limits(const sim *s, mid_reading *r)
{
    const sim_signal *g = &s->signal;
    r->usage_known = g->limit != 0;
    r->usage = usage(s);
    r->limit = g->limit;
    r->free_known = g->machine != 0;
    r->free = g->free;
    r->whole = g->machine;
    uint64_t room = g->limit > r->usage ? g->limit - r->usage : 0;
    if (r->free_known && r->usage_known && (unsigned __int128)room * g->machine < (unsigned __int128)g->free * g->limit) {
        r->free = room;
        r->whole = g->limit;
    }
}

static void strain(sim *s)
{
    mid_reading r = {.came = {[MID_STALLS] = s->stalls, [MID_PROGRAM] = (mid_pressure_level)s->signal.said},
                     .measured = {[MID_STALLS] = true, [MID_WATCH] = false}, .said = s->signal.saying};
    if (!s->heard) {
        r.came[MID_WATCH] = (mid_pressure_level)s->signal.watch;
        r.came[MID_SIGNALS] = (mid_pressure_level)s->signal.signal;
    }
    s->heard = true;
    s->stalls = MID_PRESSURE_CALM;
    read_limits(s, &r);
    mid_pressure_level was = s->gauge.level;
    mid_strain now = mid_gauge_read(&s->gauge, &r, s->options, sim_heap_committed(&s->heap), s->now);
    mid_trigger why = now.why != MID_WHY_NOTHING ? now.why : s->last_why;
    if (now.level != was) {
        mid_log_note(&s->log, why, s->now, "%s -> %s", mid_level_name(was), mid_level_name(now.level));
        s->levels++;
    }
    s->last_why = why;
    mid_decide_strain(&s->pacer, &now);
}

static void add(sim *s, const mid_decision *d)
{
    if (d->status == MID_EPOSTPONED)
        s->refused++;
    else
        s->slices[d->action] += d->slices;
    s->micros[d->action] += d->took_micros;
    s->moved += d->action == MID_ACT_COMPACT ? d->bytes : 0;
    s->returned += d->action == MID_ACT_TRIM ? d->bytes : 0;
    mid_log_add(&s->log, d);
    show_log(s, 2);
}

/* Time for which the program stood is not the program's. */
static uint64_t act(sim *s, const mid_work_plan *plan)
{
    mid_outcome out;
    mid_decision d;
    sim_heap_act(&s->heap, &s->signal, s->options, plan, s->signal.mutator != SIM_BUSY, &out, &d);
    d.at_micros = s->now;
    pass(s, out.took, plan->action == MID_ACT_SWEEP);
    uint64_t next = mid_decide_done(&s->pacer, plan, &out, s->options, s->now);
    add(s, &d);
    return out.stopped ? mid_decide(&s->pacer, &out.after, s->options, s->now).look_in : next;
}

/* False: the rules ask for looks without end. */
static bool look(sim *s)
{
    for (unsigned n = 0; n < LOOKS_MOST; n++) {
        mid_snapshot seen;
        uint64_t before = s->now, next;
        s->looks++;
        strain(s);
        sim_heap_snapshot(&s->heap, &seen);
        mid_work_plan plan = mid_decide(&s->pacer, &seen, s->options, s->now);
        next = plan.action == MID_ACT_NONE ? plan.look_in : act(s, &plan);
        collect_later(s);
        if (next != 0 || s->now != before) {
            s->due = next == MID_NEVER ? NEVER : s->now + next;
            return true;
        }
    }
    return false;
}

/* --- what happens ---------------------------------------------------------------------------------------------- */

static void collect_itself(sim *s)
{
    mid_own_collections own = sim_heap_collect_itself(&s->heap, &s->signal, s->options);
    uint64_t at = s->now;
    pass(s, own.micros, false);
    mid_work_plan plan = mid_decide_collected(&s->pacer, &own, s->options);
    mid_decision d = {.at_micros = at, .action = plan.action, .trigger = plan.trigger, .value = plan.value, .threshold = plan.threshold,
                      .status = own.status, .objects = own.freed, .took_micros = own.micros, .slices = 1,
                      .longest_micros = own.longest};
    add(s, &d);
    s->own = s->now;
}

/* In a whole window, as the kernel's triggers have it. */
static void stall(sim *s)
{
    uint64_t some = s->signal.some * MID_WINDOW_MICROS / 1000, full = s->signal.full * MID_WINDOW_MICROS / 1000;
    s->stalls = full >= MID_EVERYTHING_STALLS ? MID_PRESSURE_EVERYTHING :
                some >= MID_COMPACT_STALLS    ? MID_PRESSURE_COMPACT :
                some >= MID_TRIM_STALLS       ? MID_PRESSURE_TRIM :
                                                MID_PRESSURE_CALM;
    s->window = s->signal.some != 0 || s->signal.full != 0 ? s->now + MID_WINDOW_MICROS : NEVER;
}

/* The last line is where the next round begins. */
static void next_line(sim *s, uint64_t *rounds)
{
    const sim_recording *r = s->recording;
    uint64_t said = s->signal.saying, before = s->line == 0 ? 0 : r->lines[s->line - 1].saying;
    if (s->line + 1 == r->count && *rounds > 1) {
        s->begin += r->lines[s->line].at - r->lines[0].at;
        s->line = before = 0;
        (*rounds)--;
    }
    s->signal = r->lines[s->line++];
    s->signal.saying = said + s->signal.saying - before;
    s->heard = false;
    sim_heap_signal(&s->heap, &s->signal, s->options);
    s->window = s->signal.some != 0 || s->signal.full != 0 ? least(s->window, s->now + MID_WINDOW_MICROS) : NEVER;
}

static bool step(sim *s, uint64_t *rounds)
{
    uint64_t line = s->line < s->recording->count ? s->begin + s->recording->lines[s->line].at - s->recording->lines[0].at : NEVER;
    uint64_t next = least(least(least(line, s->due), least(s->kick, s->own)), least(s->window, s->figures));
    if (next > s->now)
        pass(s, next - s->now, true);
    if (s->figures <= s->now) {
        show_figures(s);
        s->figures += s->output->every;
        return true;
    }
    if (line <= s->now)
        next_line(s, rounds);
    else if (s->window <= s->now)
        stall(s);
    else if (s->own <= s->now)
        collect_itself(s);
    bool good = look(s);
    kick_later(s);
    return good;
}

mid_status sim_run(const sim_recording *recording, uint64_t times, const mid_options *options, const sim_output *output)
{
    mid_snapshot first;
    sim s = {.recording = recording, .options = options, .output = output, .due = 0, .kick = NEVER, .own = NEVER, .window = NEVER,
             .figures = output->every != 0 ? output->every : NEVER};
    s.heap.object = recording->lines[0].object;
    if (mid_log_open(&s.log, 8) != MID_OK)
        return MID_ESYSTEM;
    sim_heap_snapshot(&s.heap, &first);
    mid_pacer_init(&s.pacer, &first, 0);
    if (output->every != 0)
        fputs("seconds,level,live,garbage,pools,empty,table,committed,allocated,collections,moved,returned,micros\n", output->file);
    bool good = true;
    while (good && s.line < recording->count)
        good = step(&s, &times);
    show_log(&s, 0);
    if (output->every == 0)
        show_sums(&s);
    mid_log_close(&s.log);
    return good ? MID_OK : MID_EBUSY;
}
