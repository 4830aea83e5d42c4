/* daemon/log.c: the ring of decisions, and a decision as text. */
#include "daemon/log.h"
#include "daemon/pressure.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mid_status mid_log_open(mid_log *log, size_t room)
{
    *log = (mid_log){.ring = calloc(room, sizeof *log->ring), .room = room};
    if (log->ring == NULL)
        return MID_ESYSTEM;
    if (pthread_mutex_init(&log->lock, NULL) != 0) {
        free(log->ring);
        return MID_ESYSTEM;
    }
    return MID_OK;
}

void mid_log_close(mid_log *log)
{
    pthread_mutex_destroy(&log->lock);
    free(log->ring);
}

void mid_log_forked(mid_log *log)
{
    pthread_mutex_init(&log->lock, NULL);
}

static bool worked(const mid_decision *d)
{
    return d->status == MID_OK || d->status == MID_MORE;
}

static bool goes_on(const mid_decision *run, const mid_decision *next)
{
    if (run->action == MID_ACT_NOTE && strcmp(run->note, next->note) != 0)
        return false;
    return run->action == next->action && run->trigger == next->trigger &&
           (worked(run) ? worked(next) : run->status == next->status);
}

static void grow(mid_decision *run, const mid_decision *next)
{
    run->status = next->status;
    run->objects += next->objects;
    run->bytes += next->bytes;
    run->pools_after = next->pools_after;
    run->pools_pinned = next->pools_pinned;
    run->took_micros += next->took_micros;
    run->waited_micros += next->waited_micros;
    run->slices += next->slices;
    if (next->late[0] != 0)
        memcpy(run->late, next->late, sizeof run->late);
    if (run->longest_micros < next->longest_micros)
        run->longest_micros = next->longest_micros;
    if (run->budget_micros < next->budget_micros)
        run->budget_micros = next->budget_micros;
}

static mid_decision *back(const mid_log *log, uint64_t by)
{
    return log->written < by || log->room < by ? NULL : &log->ring[(log->written - by) % log->room];
}

/* Proposing and proving take turns, hundreds of times a second: that is two runs. */
static bool by_turns(const mid_decision *a, const mid_decision *b)
{
    return a->action >= MID_ACT_PROPOSE && b->action >= MID_ACT_PROPOSE && a->action != MID_ACT_NOTE &&
           b->action != MID_ACT_NOTE && worked(a) && worked(b);
}

void mid_log_add(mid_log *log, const mid_decision *decision)
{
    pthread_mutex_lock(&log->lock);
    mid_decision *newest = back(log, 1), *before = back(log, 2);
    if (newest != NULL && goes_on(newest, decision))
        grow(newest, decision);
    else if (before != NULL && by_turns(newest, before) && goes_on(before, decision))
        grow(before, decision);
    else
        log->ring[log->written++ % log->room] = *decision;
    pthread_mutex_unlock(&log->lock);
}

void mid_log_note(mid_log *log, mid_trigger trigger, uint64_t at_micros, const char *format, ...)
{
    mid_decision note = {.at_micros = at_micros, .action = MID_ACT_NOTE, .trigger = trigger, .slices = 1};
    va_list args;
    va_start(args, format);
    vsnprintf(note.note, sizeof note.note, format, args);
    va_end(args);
    mid_log_add(log, &note);
}

size_t mid_log_read(mid_log *log, mid_decision *into, size_t room)
{
    pthread_mutex_lock(&log->lock);
    size_t held = log->written < log->room ? (size_t)log->written : log->room;
    size_t count = held < room ? held : room;
    for (size_t i = 0; i < count; i++)
        into[i] = log->ring[(log->written - count + i) % log->room];
    pthread_mutex_unlock(&log->lock);
    return count;
}

uint64_t mid_log_end(mid_log *log)
{
    pthread_mutex_lock(&log->lock);
    uint64_t end = log->written;
    pthread_mutex_unlock(&log->lock);
    return end;
}

bool mid_log_next(mid_log *log, uint64_t *at, mid_decision *into)
{
    pthread_mutex_lock(&log->lock);
    uint64_t oldest = log->written > log->room ? log->written - log->room : 0;
    uint64_t number = *at > oldest ? *at : oldest;
    bool there = number < log->written;
    if (there) {
        *into = log->ring[number % log->room];
        *at = number + 1;
    }
    pthread_mutex_unlock(&log->lock);
    return there;
}

/* --- text ------------------------------------------------------------------------------------------------------ */

/* Appends like snprintf: counts what it wanted to write, writes what fits. */
typedef struct text {
    char *at;
    size_t room;
    int wanted;
} text;

__attribute__((format(printf, 2, 3))) static void put(text *t, const char *format, ...)
{
    size_t used = (size_t)t->wanted < t->room ? (size_t)t->wanted : t->room;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(t->room != 0 ? t->at + used : NULL, t->room - used, format, args);
    va_end(args);
    t->wanted += length > 0 ? length : 0;
}

static void put_bytes(text *t, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    unsigned unit = 0;
    double amount = (double)bytes;
    while (amount >= 1024 && unit < 4) {
        amount /= 1024;
        unit++;
    }
    put(t, unit == 0 ? "%.0f %s" : "%.1f %s", amount, units[unit]);
}

static const char *source_of(mid_trigger trigger)
{
    static const char *const sources[] = {"stalls", "cgroup", "watch", "signal", "program", "limit"};
    unsigned at = (unsigned)trigger - MID_WHY_STALLS;
    return at < sizeof sources / sizeof *sources ? sources[at] : "?";
}

static void put_comparison(text *t, const mid_decision *d)
{
    if (d->trigger >= MID_WHY_STALLS) {
        put(t, "pressure (%s) %s >= %s", source_of(d->trigger), mid_level_name((mid_pressure_level)d->value),
            mid_level_name((mid_pressure_level)d->threshold));
        return;
    }
    switch (d->trigger) {
    case MID_WHY_WAITING:
        put(t, "waiting %" PRIu64 " >= %" PRIu64 " objects", d->value, d->threshold);
        break;
    case MID_WHY_GROWTH:
        put(t, "growth ");
        put_bytes(t, d->value);
        put(t, " >= ");
        put_bytes(t, d->threshold);
        break;
    case MID_WHY_FRAGMENTATION:
        put(t, "fragmentation %" PRIu64 " %% >= %" PRIu64 " %%", d->value, d->threshold);
        break;
    case MID_WHY_DECAY:
        put(t, "decay, empty ");
        put_bytes(t, d->value);
        put(t, " > ");
        put_bytes(t, d->threshold);
        break;
    case MID_WHY_SUSPECTS:
        put(t, "%" PRIu64 " suspects >= %" PRIu64, d->value, d->threshold);
        break;
    case MID_WHY_PROPOSALS:
        put(t, "%" PRIu64 " proposals >= %" PRIu64, d->value, d->threshold);
        break;
    case MID_WHY_TABLE:
        put(t, "idle, unused table ");
        put_bytes(t, d->value);
        put(t, " >= ");
        put_bytes(t, d->threshold);
        break;
    case MID_WHY_ASKED:
        put(t, "asked");
        break;
    case MID_WHY_IDLE:
        put(t, "idle %.3f s >= %.3f s", (double)d->value / 1e6, (double)d->threshold / 1e6);
        break;
    default:
        put(t, "nothing");
    }
}

static void put_result(text *t, const mid_decision *d)
{
    if (d->action == MID_ACT_PROPOSE)
        put(t, ", %" PRIu64 " objects proposed", d->objects);
    if (d->action == MID_ACT_DRAIN || d->action == MID_ACT_COLLECT || d->action == MID_ACT_PROVE)
        put(t, ", %" PRIu64 " objects freed", d->objects);
    if (d->action == MID_ACT_DEEP)
        put(t, ", %" PRIu64 " objects renamed", d->objects);
    if (d->action == MID_ACT_COMPACT)
        put(t, ", %" PRIu64 " objects, ", d->objects);
    if (d->action == MID_ACT_TRIM)
        put(t, ", ");
    if (d->action == MID_ACT_COMPACT || d->action == MID_ACT_TRIM) {
        put_bytes(t, d->bytes);
        put(t, d->action == MID_ACT_COMPACT ? " moved" : " returned");
    }
    if (d->action == MID_ACT_COMPACT)
        put(t, ", pools %" PRIu64 " -> %" PRIu64, d->pools_before, d->pools_after);
    if (d->pools_pinned != 0)
        put(t, ", %" PRIu64 " pinned ones skipped", d->pools_pinned);
    put(t, ", %" PRIu64 " us", d->took_micros);
    if (d->slices > 1)
        put(t, " in %" PRIu64 " slices, longest %" PRIu64 " us", d->slices, d->longest_micros);
    if (d->budget_micros != 0)
        put(t, " of %" PRIu64 " us", d->budget_micros);
    if (d->waited_micros != 0)
        put(t, ", waited %" PRIu64 " us", d->waited_micros);
}

/* The world could not be stopped. */
static void put_skipped(text *t, const mid_decision *d)
{
    put(t, ", skipped");
    if (d->slices > 1)
        put(t, " %" PRIu64 " times", d->slices);
    if (d->late[0] != 0)
        put(t, " for thread %s", d->late);
    put(t, ", waited %" PRIu64 " us, %s", d->waited_micros, mid_status_text(d->status));
}

const char *mid_action_name(mid_action action)
{
    static const char *const names[] = {"none", "drain", "collect", "compact", "trim", "propose", "prove", "sweep", "deep", "note"};
    return (unsigned)action < sizeof names / sizeof *names ? names[action] : "?";
}

const char *mid_trigger_name(mid_trigger trigger)
{
    static const char *const names[] = {"nothing", "waiting", "growth", "fragmentation", "decay", "idle", "suspects", "proposals", "table",
                                        "asked", "stalls", "cgroup", "watch", "signal", "program", "limit"};
    return (unsigned)trigger < sizeof names / sizeof *names ? names[trigger] : "?";
}

int mid_decision_text(const mid_decision *d, char *into, size_t room)
{
    if (d == NULL)
        return 0;
    text t = {.at = into, .room = into != NULL ? room : 0};
    put(&t, "+%" PRIu64 ".%03us %s: ", d->at_micros / 1000000, (unsigned)(d->at_micros % 1000000 / 1000),
        mid_action_name(d->action));
    if (d->action == MID_ACT_NOTE) {
        put(&t, "%s, %s", source_of(d->trigger), d->note);
        if (d->slices > 1)
            put(&t, ", %" PRIu64 " times", d->slices);
        return t.wanted;
    }
    put_comparison(&t, d);
    if (d->status == MID_EPOSTPONED || d->status == MID_EBUSY) {
        put_skipped(&t, d);
        return t.wanted;
    }
    put_result(&t, d);
    if (d->status == MID_MORE)
        put(&t, ", more to do");
    else if (d->status != MID_OK)
        put(&t, ", %s", mid_status_text(d->status));
    return t.wanted;
}
