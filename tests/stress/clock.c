/* tests/stress/clock.c: the clock of a run with one thread, which follows the seed, so that the same seed makes the same run: every budget
 * ends where it ended before. Linked in place of the core's by --wrap (rules.mk). */
#include "run.h"

uint64_t __wrap_mid_clock_nanos(void);
uint64_t __wrap_mid_clock_micros(void);
uint64_t __wrap_mid_thread_cpu_nanos(void);

static uint64_t now = 1000000000u, dice = 88172645463325252u;

/* Mostly less than a microsecond passes, sometimes a hundred. */
uint64_t __wrap_mid_clock_nanos(void)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    uint64_t step = (dice + run.seed) % 64 == 0 ? 100000 : 1 + dice % 1000;
    return __atomic_add_fetch(&now, step, __ATOMIC_RELAXED);
}

uint64_t __wrap_mid_clock_micros(void)
{
    return __wrap_mid_clock_nanos() / 1000;
}

uint64_t __wrap_mid_thread_cpu_nanos(void)
{
    return __wrap_mid_clock_nanos();
}
