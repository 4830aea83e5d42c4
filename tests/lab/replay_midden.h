/* replay_midden.h: a midden heap with its daemon. Blocks are leaves. One that is never resized and small is of a fixed-size
 * type, one a size in steps of eight bytes, as a program's structures would be; any other is a variable-size object
 * whose items are bytes. Alignment above 64, which an object cannot have, is not kept. */
#include <string.h>

#include "midden/daemon.h"
#include "midden/midden.h"
#include "replay.h"

#define FIXED_MOST 512u
#define ALIGNS 4 /* 8, 16, 32, 64 */

static mid_heap *heap;
static mid_thread *thread;
static mid_daemon *warden;
static mid_type fixed_types[FIXED_MOST / 8 + 1], byte_types[ALIGNS];

/* reference: the handle, and above it how far into the object the block begins. */
#define REFERENCE(handle, offset) ((uint64_t)(handle) | (uint64_t)(offset) << 32)
#define HANDLE(slot) ((mid_handle)(slot)->reference)

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

static bool register_types(void)
{
    for (unsigned i = 1; i <= FIXED_MOST / 8; i++) {
        char name[32];
        snprintf(name, sizeof name, "block%u", i * 8);
        mid_type_desc type = {.struct_size = sizeof type, .name = name, .size = i * 8, .flags = MID_ACYCLIC};
        if (mid_type_register(heap, &type, &fixed_types[i]) != MID_OK)
            return false;
    }
    for (unsigned i = 0; i < ALIGNS; i++) {
        mid_type_desc type = {.struct_size = sizeof type, .name = "bytes", .size = i == 0 ? 4 : 8u << i,
                              .align = 8u << i, .flags = MID_ACYCLIC, .item_size = 1};
        if (mid_type_register(heap, &type, &byte_types[i]) != MID_OK)
            return false;
    }
    return true;
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

static bool replay_alloc(replay_slot *slot, const plan_op *op)
{
    mid_handle made;
    mid_status status;
    unsigned align = op->align <= 4 ? 0 : op->align >= 6 ? 3 : op->align - 3u, offset = 0;
    if (op->size <= FIXED_MOST && !op->resizable && align == 0) {
        status = mid_new(thread, fixed_types[op->size != 0 ? (op->size + 7) / 8 : 1], &made);
    } else {
        offset = align == 0 ? 4 : 8u << align;
        status = mid_new_array(thread, byte_types[align], op->size, &made);
    }
    slot->reference = REFERENCE(made, offset);
    if (status != MID_OK)
        fprintf(stderr, "midden: %s\n", mid_status_text(status));
    return status == MID_OK;
}

static bool replay_resize(replay_slot *slot, uint64_t size)
{
    mid_status status = mid_resize(thread, HANDLE(slot), size);
    if (status != MID_OK)
        fprintf(stderr, "midden: %s\n", mid_status_text(status));
    return status == MID_OK;
}

static void replay_drop(replay_slot *slot)
{
    mid_release(thread, HANDLE(slot));
    slot->reference = 0;
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
