/* tests/unit/decide.h: looks at a pretended heap, for the tests of daemon/decide.h. No thread, no clock, no heap. */
#ifndef DECIDE_H
#define DECIDE_H

#include "unit.h"

#include "daemon/decide.h"

#define KB(n) ((uint64_t)(n) << 10)
#define MB(n) ((uint64_t)(n) << 20)
#define T UINT64_C(50000000000) /* the pacer's clock and time before each look */
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The rules are tested, not the defaults, which may be tuned. */
static inline mid_options options_of(const char *text)
{
    mid_options options;
    mid_options_init(&options);
    ok(mid_options_parse(&options,
                         "reserve=1M,heartbeat=100ms,slice=500us,share=25%,stop-wait=2ms,growth-min=1M,growth=75%,"
                         "waiting-start=20000,waiting-stop=1000,frag-start=110%,frag-stop=105%,waste-min=1M,decay=10s,idle=300ms,"
                         "collect-stop=500us",
                         NULL));
    ok(mid_options_parse(&options, text != NULL ? text : "", NULL));
    return options;
}

/* --- looks ----------------------------------------------------------------------------------------------------- */

/* One look, `step` after T, at a program that last allocated `still` before T (or just now). Expected: a plan, or with
 * action MID_ACT_NONE (the default) only when to look again. */
struct look {
    const char *name;
    const char *options;
    uint64_t still, step;
    bool allocates;
    mid_pacer p;
    mid_snapshot s;
    mid_action action;
    mid_trigger why;
    uint64_t value, threshold, budget, keep, look_in;
};

#define RUNNING .mutator = MID_MUTATOR_RUNNING
#define BLOCKED .mutator = MID_MUTATOR_BLOCKED
#define IDLE .still = 300000
/* Fragmentation of `percent` over 100 MiB of live bytes that the last collection has seen. */
#define FRAGMENTED(percent)                                                                                                \
    .live_slot_bytes = MB(100), .live_at_collection = MB(100), .pool_bytes = MB(percent), .gain_bytes = MB(5)

static inline void check_looks(const struct look *looks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct look *row = &looks[i];
        mid_options options = options_of(row->options);
        mid_pacer pacer = row->p;
        pacer.clock = pacer.time = T;
        pacer.active_at = T - row->still;
        pacer.backoff = pacer.backoff != 0 ? pacer.backoff : 1;
        mid_snapshot s = row->s;
        s.allocated_bytes = row->allocates;
        mid_work_plan plan = mid_decide(&pacer, &s, &options, T + row->step);
        mid_work_plan again = mid_decide(&pacer, &s, &options, T + row->step);
        bool right = plan.action == row->action && plan.trigger == row->why && plan.value == row->value &&
                     plan.threshold == row->threshold && plan.budget == row->budget && plan.keep == row->keep &&
                     plan.look_in == row->look_in;
        if (!right)
            print_error("%s: action %d why %d value %llu threshold %llu budget %llu keep %llu look in %llu\n", row->name,
                        plan.action, plan.trigger, (unsigned long long)plan.value, (unsigned long long)plan.threshold,
                        (unsigned long long)plan.budget, (unsigned long long)plan.keep, (unsigned long long)plan.look_in);
        assert_true(right);
        assert_memory_equal(&plan, &again, sizeof plan);
        assert_int_equal(plan.stop_wait, plan.action == MID_ACT_NONE ? 0 : options.stop_wait);
    }
}

/* --- what came of a plan */

static inline mid_pacer fresh(void)
{
    mid_pacer pacer;
    mid_snapshot nothing = {0};
    mid_pacer_init(&pacer, &nothing, T);
    return pacer;
}

static inline uint64_t finish(mid_pacer *pacer, mid_action action, mid_trigger why, mid_outcome outcome)
{
    mid_options options = options_of(NULL);
    mid_work_plan plan = {.action = action, .trigger = why, .budget = action == MID_ACT_COLLECT ? 0 : 500, .keep = MB(1)};
    if (action == MID_ACT_COMPACT && pacer->slice != 0)
        plan.budget = pacer->slice;
    return mid_decide_done(pacer, &plan, &outcome, &options, pacer->clock);
}

#endif
