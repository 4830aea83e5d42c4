/* tests/stress/delay.c: see delay.h. A thread that comes by yields now and then, and seldom sleeps. */
#include "delay.h"

#ifdef MID_DELAYS

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "gc/delay.h"

static atomic_uint_fast64_t passed[MID_AT_ALL];
static const char *const names[] = {
#define MID_X(name, text) text,
    MID_PLACES(MID_X)
#undef MID_X
};

enum { YIELD_ONE_IN = 16, SLEEP_ONE_IN = 256, SLEEP_NANOS = 200000 };

/* Not by the tester's numbers: what it does is to follow from the seed. */
static uint32_t dice(uint32_t sides)
{
    static _Thread_local uint64_t state;
    if (state == 0)
        state = (uintptr_t)&state;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % sides);
}

void mid_delay(enum mid_place place)
{
    atomic_fetch_add_explicit(&passed[place], 1, memory_order_relaxed);
    if (dice(place == MID_AT_JUDGED ? 2 : SLEEP_ONE_IN) == 0) { /* few places are as narrow, and as seldom */
        struct timespec nap = {0, 1 + dice(SLEEP_NANOS)};
        nanosleep(&nap, NULL);
    } else if (dice(YIELD_ONE_IN) == 0) {
        sched_yield();
    }
}

void delays_end(void)
{
    for (unsigned n = 0; n < MID_AT_ALL; n++)
        printf("%s%llu %s", n == 0 ? "  passed by: " : ", ", (unsigned long long)atomic_load(&passed[n]), names[n]);
    printf("\n");
}

#else

void delays_end(void)
{
}

#endif
