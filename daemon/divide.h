/* daemon/divide.h: one budget of memory divided between heaps by the square-root rule (balance.h has it for one). Pure functions.
 *
 * Of what is left above what the heaps hold, each gets in proportion to sqrt(live · rate / speed): so an extra byte saves the same
 * processor time in each of them, and no other division of the same sum collects less. */
#ifndef MIDDEN_DAEMON_DIVIDE_H
#define MIDDEN_DAEMON_DIVIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a heap says of itself. */
typedef struct mid_need {
    uint64_t live;  /* bytes that the last collection left */
    uint64_t held;  /* committed bytes that no collection would give back: live, what is lost between objects, tables */
    uint64_t rate;  /* bytes allocated a second; 0: idle */
    uint64_t speed; /* live bytes collected a second; 0: it has not collected yet */
} mid_need;

typedef struct mid_portion {
    mid_need need;
    uint64_t limit; /* bytes; what comes of it */
    /* scratch */
    uint64_t weight;
    bool least;
} mid_portion;

/* The least limit that such a heap is given: what it holds and an eighth, or 1 MiB. */
uint64_t mid_need_least(const mid_need *need);

/* The limits add up to the budget, unless the least ones alone are more: then each heap has its least. A heap that has not collected
 * yet counts like the mean of those that have; if none allocates, what is left is divided evenly. */
void mid_divide(uint64_t budget, mid_portion *portions, size_t count);

/* Worth saying again? A figure has changed by more than a tenth, or from or to nothing. */
bool mid_need_changed(const mid_need *now, const mid_need *then);

#endif
