/* daemon/decide.h: what to do next, as pure functions.
 *
 * A look is a snapshot of the heap and a reading of a clock. mid_decide turns it, with the heap's options and what the
 * pacer remembers, into a plan: one action, or none and when to look again. Whoever carries an action out says with
 * mid_decide_done what came of it. Nothing here reads a clock, starts a thread, or knows of libevent or of a heap, so that
 * tests can drive every rule; the rules and their constants are explained in docs/design/daemon.md.
 *
 * All times are microseconds. The clock may jump: forwards it counts as at most a day, backwards as no time at all. */
#ifndef MIDDEN_DAEMON_DECIDE_H
#define MIDDEN_DAEMON_DECIDE_H

#include "daemon/balance.h"
#include "daemon/divide.h"
#include "daemon/pressure.h"
#include "gc/service.h"
#include "midden/daemon.h"

#define MID_NEVER UINT64_MAX /* only a kick calls for the next look */

/* What is remembered from look to look. Stamps are in the pacer's own time, which never goes back. */
typedef struct mid_pacer {
    uint64_t clock; /* the last reading */
    uint64_t time;  /* own time: the forward steps of the clock, added up */

    uint64_t allocated; /* bytes ever allocated, as last seen */
    uint64_t active_at; /* when they last changed */

    bool draining; /* between waiting_start and waiting_stop, on the way down */
    uint64_t dry;  /* waiting objects that a finished drain left: they need the mutator */
    bool waits;    /* more than those wait, and at no look since had the program come to the end of it, ... */
    uint64_t waits_at; /* ... since then */

    uint64_t backoff;    /* 1, 2, 4, 8: grows with collections that freed little */
    uint64_t refused_at; /* live bytes when a collection failed: growth counts from there; 0: the last one worked */
    uint64_t low;        /* least live bytes seen since the last collection, ... */
    uint64_t low_since;  /* ... which left so many alive */

    bool compacting; /* between frag_start and frag_stop, on the way down */
    bool cooling;    /* a pass freed no pool: wait until the figures below have changed */
    uint64_t cool_live, cool_pool;
    uint64_t slice;      /* next budget; 0: the option's */
    uint64_t pass_freed; /* pools that this pass emptied */
    uint64_t barren;     /* slices since one emptied a pool */

    bool excess; /* more empty pools than are kept while the program allocates, ... */
    uint64_t excess_at; /* ... since then */
    uint64_t stuck;     /* empty bytes that a finished trim could not return */

    uint64_t compact_at, compact_took; /* end and length of the last slice of compaction, ... */
    uint64_t work_at, work_took;       /* ... of the last slice of drain or trim */

    uint64_t objects, bytes; /* alive in pools, as last seen */
    bool large;          /* what the last collection left would take half of collect-stop, or what there is four times as long: cycles are proposed, and proved in slices */
    uint64_t proposed_at, proved_at; /* ends of the last slices, ... */
    uint64_t swept_at, swept_took;   /* ... and of a sweep's, ... */
    uint64_t swept_all;              /* ... whose slices took so long together */
    uint64_t sweep_live, sweep_growth; /* live bytes when the sweep began, and what they had grown by */
    uint64_t sweep_missed;             /* suspects that nobody walked from, when it began: garbage that only it can find */
    uint64_t propose_after;          /* one failed: not before */

    uint64_t deep_left;      /* waste in the table that the last deep pass could not help, ... */
    uint64_t deep_allocated; /* ... and bytes ever allocated then */
    uint64_t deep_after;     /* one was refused: not before */

    uint64_t refusals; /* stops refused in a row */

    mid_strain strain;   /* pressure, as last told, ... */
    bool urged;          /* ... garbage is to be looked for once because of it, ... */
    bool packs;          /* ... and pools are to be packed once, though it be for little */
    uint64_t left;       /* live bytes after the last collection, as last seen */
    uint64_t settled;    /* committed bytes in use, without the growth since */
    mid_rates rates;
    uint64_t rated_at, rated_allocated; /* the interval of allocation that is under way */
} mid_pacer;

typedef struct mid_work_plan {
    mid_action action;
    mid_trigger trigger;
    uint64_t value, threshold; /* as in mid_decision */
    uint64_t budget;           /* 0: none */
    uint64_t keep;             /* trim: bytes to keep */
    uint64_t stop_wait;        /* how long to wait for the mutator */
    uint64_t look_in;          /* MID_ACT_NONE: time until the next look, or MID_NEVER; else 0 */
} mid_work_plan;

/* What came of a plan. `stopped`: the world could be stopped; otherwise `status` says why not and only these two count.
 * `before` is the snapshot of the look, `after` was taken when the world had been let go on. */
typedef struct mid_outcome {
    bool stopped;
    mid_status status;
    uint64_t took;  /* processor time */
    uint64_t done;  /* objects or bytes, whichever the action counts; a slice that did nothing is not repeated */
    uint64_t pools_emptied;
    mid_snapshot before, after;
} mid_outcome;

/* Of a slice of evacuation: no pool came free, and none was returned. */
static inline bool mid_barren(const mid_outcome *outcome)
{
    return outcome->pools_emptied == 0 && outcome->after.empty_bytes >= outcome->before.empty_bytes;
}

void mid_pacer_init(mid_pacer *pacer, const mid_snapshot *snapshot, uint64_t now);

/* What the heap says of itself where a budget is divided; as last looked at. */
mid_need mid_decide_need(const mid_pacer *pacer, const mid_options *options, bool *idle);

/* What the next looks are to reckon with. */
void mid_decide_strain(mid_pacer *pacer, const mid_strain *strain);

/* Deciding twice is as good as once: only mid_decide_done starts a drain or a compaction. */
mid_work_plan mid_decide(mid_pacer *pacer, const mid_snapshot *snapshot, const mid_options *options, uint64_t now);

/* Returns when to look again; 0: decide again now, there may be more to do. */
uint64_t mid_decide_done(mid_pacer *pacer, const mid_work_plan *plan, const mid_outcome *outcome, const mid_options *options,
                         uint64_t now);

/* Whether suspects are to be logged. */
bool mid_proposes(const mid_pacer *pacer);
/* Live bytes at which the heap is large, as far as can be said before. */
uint64_t mid_large_from(const mid_pacer *pacer, const mid_options *options);
/* How many proposals may wait before mutators are to help. */
uint32_t mid_help_at(const mid_pacer *pacer);

/* When a collection is due, for a running mutator that need not wait for a look: see mid_service_set_growth. */
typedef struct mid_growth {
    uint64_t least, percent;
} mid_growth;
mid_growth mid_collect_growth(const mid_pacer *pacer, const mid_options *options);

/* The mutator has collected by itself: returns what the rule saw the last time, as if it had been decided here. */
mid_work_plan mid_decide_collected(mid_pacer *pacer, const mid_own_collections *own, const mid_options *options);

/* Thousandths of a percent of one processor that compaction may use at this look. */
uint64_t mid_compact_duty(const mid_snapshot *snapshot, const mid_options *options, bool idle);

#endif
