/* simulate.h: the parts of `midden simulate`: a recording, a model of a heap, and the run that puts the daemon's rules between.
 *
 * All of it is computed: no clock is read and no number drawn, so that the same recording gives the same output everywhere.
 * Times are microseconds since the recording's begin, sizes bytes. The form of a recording is in README.md. */
#ifndef MIDDEN_LAB_SIMULATE_H
#define MIDDEN_LAB_SIMULATE_H

#include <stdint.h>
#include <stdio.h>

#include "daemon/decide.h"

enum sim_mutator { SIM_NONE, SIM_RUNNING, SIM_BLOCKED, SIM_BUSY, SIM_MUTATORS }; /* the last runs and comes to no safepoint */

/* What holds from a line of the recording to the next; but `watch` and `signal` are of the moment. */
typedef struct sim_signal {
    uint64_t at;
    uint64_t mutator, allocate, garbage, holes, live, object;
    uint64_t limit, others, machine, free;
    uint64_t some, full;
    uint64_t said, watch, signal; /* mid_pressure_level */
    uint64_t saying;              /* how often the program has said something */
} sim_signal;

typedef struct sim_recording {
    sim_signal *lines;
    size_t count;
} sim_recording;

/* False: *line (from 1) and *reason say what is wrong with it; *line 0: of the whole. */
bool sim_recording_read(sim_recording *recording, FILE *file, unsigned long *line, const char **reason);
void sim_recording_free(sim_recording *recording);

/* A heap as the rules see one. Live and garbage bytes fill slots, holes are free slots in pools, empty bytes are pools. */
typedef struct sim_heap {
    uint64_t live, garbage, holes, empty;
    uint64_t allocated, left; /* ever; live and garbage after the last collection */
    uint64_t object;
    uint64_t table;           /* of the handle table, in bytes: grows, and shrinks by deep compaction */
    mid_sweeping sweeping;
    uint64_t sweep_left, prove_left; /* objects */
    mid_deepening deepening;
    uint64_t deep_left;       /* objects */
    uint64_t parts;           /* of allocation, below a byte: millionths, and hundredths of garbage */
    uint64_t garbage_parts;
    mid_mutator_state mutator;
} sim_heap;

void sim_heap_snapshot(const sim_heap *heap, mid_snapshot *into);
void sim_heap_signal(sim_heap *heap, const sim_signal *signal, const mid_options *options);
void sim_heap_run(sim_heap *heap, const sim_signal *signal, uint64_t micros);
uint64_t sim_heap_committed(const sim_heap *heap);
/* As mid_act. `stops`: the world could be stopped. */
void sim_heap_act(sim_heap *heap, const sim_signal *signal, const mid_options *options, const mid_work_plan *plan, bool stops,
                  mid_outcome *outcome, mid_decision *decision);
mid_own_collections sim_heap_collect_itself(sim_heap *heap, const sim_signal *signal, const mid_options *options);

typedef struct sim_output {
    FILE *file;
    uint64_t every; /* a line of figures so often; 0: decisions */
} sim_output;

/* MID_ESYSTEM: no memory. */
mid_status sim_run(const sim_recording *recording, uint64_t times, const mid_options *options, const sim_output *output);

#endif
