/* replay_midden.h: a midden heap with its daemon; blocks_midden.h says what blocks are there. */
#include <string.h>

#include "blocks_midden.h"
#include "midden/daemon.h"

static mid_daemon *warden;

static void stopped(void *unused)
{
    (void)unused;
    replay_pause_begin();
}

static void resumed(void *unused, uint64_t micros)
{
    (void)unused;
    (void)micros;
    replay_pause_end();
}

/* MIDDEN_OPTIONS=daemon=off is an experiment, too. */
static bool start_daemon(void)
{
    mid_status status = mid_daemon_start(heap, &warden);
    if (status == MID_EINVAL)
        warden = NULL;
    return status == MID_OK || status == MID_EINVAL;
}

static bool replay_open(const char *variant)
{
    static const mid_listener listener = {
        .struct_size = sizeof listener, .stop_begin = stopped, .stop_end = resumed};
    return strcmp(variant, "") == 0 && mid_heap_open(&heap, NULL) == MID_OK && register_types() &&
           mid_listener_add(heap, &listener) == MID_OK && mid_thread_attach(heap, &thread) == MID_OK &&
           start_daemon();
}

static unsigned char *replay_bytes(const replay_slot *slot)
{
    return (unsigned char *)mid_get(thread, HANDLE(slot)) + (slot->reference >> 32);
}

static void replay_poll(void)
{
    mid_safepoint(thread);
}

static void replay_sleep_begin(void)
{
    mid_blocked_enter(thread);
}

static void replay_sleep_end(void)
{
    mid_blocked_leave(thread);
}

static bool replay_figures(void)
{
    if (warden != NULL)
        mid_daemon_stop(warden);
    if (mid_heap_check(heap) != MID_OK) {
        fprintf(stderr, "midden: %s\n", mid_heap_check_text(heap));
        return false;
    }
    mid_stats stats;
    mid_stats_get(heap, &stats, sizeof stats);
#define FIGURE(field) printf("figure " #field " %llu\n", (unsigned long long)stats.field)
    FIGURE(live_objects);
    FIGURE(live_slot_bytes);
    FIGURE(pool_bytes);
    FIGURE(empty_bytes);
    FIGURE(run_bytes);
    FIGURE(mapping_bytes);
    FIGURE(table_bytes);
    FIGURE(metadata_bytes);
    FIGURE(committed_bytes);
    FIGURE(peak_committed_bytes);
    FIGURE(compactions);
    FIGURE(moved_objects);
    FIGURE(moved_bytes);
    FIGURE(returned_bytes);
#undef FIGURE
    return true;
}
