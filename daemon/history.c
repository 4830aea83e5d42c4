/* daemon/history.c: samples of the footprint (history.h). */
#include "daemon/history.h"

#define APART_AT_FIRST 20000u

static void thin(mid_history *history)
{
    for (unsigned i = 0; i < MID_HISTORY / 2; i++)
        history->samples[i] = history->samples[2 * i];
    history->count = MID_HISTORY / 2;
    history->apart *= 2;
}

/* A look that comes too soon takes the place of the sample before, but not its time, or a stream of them would end the row. */
void mid_history_add(mid_history *history, const mid_snapshot *now, uint64_t clock)
{
    mid_sample sample = {clock, now->committed_bytes, now->pool_bytes, now->empty_bytes,
                         now->live_slot_bytes + now->large_bytes};
    if (history->apart == 0)
        history->apart = APART_AT_FIRST;
    mid_sample *last = history->count == 0 ? NULL : &history->samples[history->count - 1];
    if (last != NULL && clock < last->at + history->apart) {
        sample.at = last->at;
        *last = sample;
        return;
    }
    if (history->count == MID_HISTORY)
        thin(history);
    history->samples[history->count++] = sample;
}
