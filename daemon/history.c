/* daemon/history.c: samples of the footprint (history.h). */
#include "daemon/history.h"

#define APART_AT_FIRST 20000u

static mid_pressure_level higher(mid_pressure_level a, mid_pressure_level b)
{
    return a > b ? a : b;
}

/* Bytes of a moment can be left out, pressure that there was cannot. */
static void thin(mid_history *history)
{
    for (unsigned i = 0; i < MID_HISTORY / 2; i++) {
        mid_pressure_level left_out = history->samples[2 * i + 1].level;
        history->samples[i] = history->samples[2 * i];
        history->samples[i].level = higher(history->samples[i].level, left_out);
    }
    history->count = MID_HISTORY / 2;
    history->apart *= 2;
}

/* A look that comes too soon takes the place of the sample before, but not its time, or a stream of them would end the row. */
void mid_history_add(mid_history *history, const mid_snapshot *now, mid_pressure_level level, uint64_t clock)
{
    mid_sample sample = {clock, now->committed_bytes, now->pool_bytes, now->empty_bytes,
                         now->live_slot_bytes + now->large_bytes, level};
    if (history->apart == 0)
        history->apart = APART_AT_FIRST;
    mid_sample *last = history->count == 0 ? NULL : &history->samples[history->count - 1];
    if (last != NULL && clock < last->at + history->apart) {
        sample.at = last->at;
        sample.level = higher(level, last->level);
        *last = sample;
        return;
    }
    if (history->count == MID_HISTORY)
        thin(history);
    history->samples[history->count++] = sample;
}

const mid_sample *mid_history_after(const mid_history *history, uint64_t at)
{
    unsigned low = 0, high = history->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (history->samples[middle].at <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low == history->count ? NULL : &history->samples[low];
}
