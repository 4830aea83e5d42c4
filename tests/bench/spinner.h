/* spinner.h: a thread of the worker that does nothing but read the clock, and the gaps it sees: times it was kept from the
 * processor by the machine or by the threads beside it. What it sees is the floor under every stop in wall time: a stop that is
 * no longer may not have been the heap's. It takes a processor to itself and is no thread of the heap's. */
#ifndef BENCH_SPINNER_H
#define BENCH_SPINNER_H

#include "measure.h"

enum { SPINNER_GAP_NS = 1000 }; /* shorter ones are readings of the clock */

/* Once, before the heap is open. Without it the other calls do nothing. */
void spinner_start(void);
/* From here it spins, and has begun when the call returns ... */
void spinner_begin(void);
/* ... to here. The gaps seen, good until spinner_begin; null: nobody spun. */
const struct histogram *spinner_end(void);
/* Processor time it has taken, to be subtracted from the program's. */
uint64_t spinner_cpu_ns(void);

#endif
