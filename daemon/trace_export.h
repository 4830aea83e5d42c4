/* daemon/trace_export.h: traces as JSON, for a file and for the control socket. */
#ifndef MIDDEN_DAEMON_TRACE_EXPORT_H
#define MIDDEN_DAEMON_TRACE_EXPORT_H

#include <jansson.h>

#include "midden/symbols.h"

/* The `most` largest rows; null for want of memory. `symbols` and `before` may be null. */
json_t *mid_trace_json(const mid_trace_snapshot *now, const mid_trace_snapshot *before, mid_trace_by by, size_t most, mid_symbols *symbols);

#endif
