/* tests/unit/reports.h: what the tests of debug heaps share: the last report, kept for reading, and how many there were. Written by one
 * thread at a time: where others misuse, the test waits for their calls. */
#ifndef REPORTS_H
#define REPORTS_H

#include "unit.h"

static struct {
    size_t count;
    mid_misuse kind;
    mid_status status;
    char call[64], detail[320], text[8192];
    mid_thread *thread;
    mid_handle handle;
    mid_report_block block, other;
    mid_report_side object;
    void *made, *freed, *here;
} got;

static inline void on_report(const mid_report *report, void *context)
{
    (void)context;
    got.count++;
    got.kind = report->kind;
    got.status = report->status;
    snprintf(got.call, sizeof got.call, "%s", report->call);
    snprintf(got.detail, sizeof got.detail, "%s", report->detail != NULL ? report->detail : "");
    snprintf(got.text, sizeof got.text, "%s", report->text);
    got.thread = report->thread;
    got.handle = report->handle;
    got.block = report->block;
    got.other = report->other_block;
    got.object = report->object;
    got.made = report->block.made_count == 0 ? NULL : report->block.made[0];
    got.freed = report->block.freed_count == 0 ? NULL : report->block.freed[0];
    got.here = report->here_count == 0 ? NULL : report->here[0];
}

static inline void reports_begin(void)
{
    memset(&got, 0, sizeof got);
    mid_debug_reports(on_report, NULL, 0);
}

static inline void debug_open(struct unit *u, const char *options)
{
    reports_begin();
    unit_open(u, options);
}

static inline void none_reported(void)
{
    if (got.count != 0)
        fail_msg("%zu reports, the last of %s: %s", got.count, got.call, got.detail);
}

/* Closing must add no report. */
static inline void debug_close(struct unit *u)
{
    none_reported();
    unit_close(u);
    none_reported();
    mid_debug_reports(NULL, NULL, 0);
}

#endif
