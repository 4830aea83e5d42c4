/* midden/symbols.h: the names of what a traceback leads through, and traces written with them. In libmidden-daemon, which reads
 * debug information through elfutils (libdw).
 *
 * Names come from what the program and its libraries bring: function names from their symbol tables, files and lines if they
 * were compiled with -g; where something is missing, module+offset is written. Nothing is asked of the heap's threads. */
#ifndef MIDDEN_SYMBOLS_H
#define MIDDEN_SYMBOLS_H

#include "trace.h"

typedef struct mid_symbols mid_symbols;

typedef struct mid_symbol {
    const char *function; /* null: not known */
    const char *file;     /* null: not known */
    int line;             /* 0: not known */
    const char *module;   /* path; null: not known */
    uint64_t offset;      /* of the call, in the module's file as linked */
} mid_symbol;

#ifdef __cplusplus
extern "C" {
#endif

/* What is loaded in this process now. What is needed is read when it is first asked for: some 10 to 100 ms for a module with debug
 * information. *out is the caller's; for one thread at a time. MID_ENULL, MID_ENOMEM, MID_ESYSTEM (/proc cannot be read). */
MID_API mid_status mid_symbols_open(mid_symbols **out);
/* [consumed]; null is nothing. */
MID_API void mid_symbols_close(mid_symbols *symbols);
/* Of a return address, as frames are: the call before it; where that is one of the inline calls of midden, the line that has it. Texts are valid until the symbols are closed. MID_ENULL (symbols, symbol); MID_EUNTRACED: in
 * no module that is known; *symbol is empty. */
MID_API mid_status mid_symbols_find(mid_symbols *symbols, const void *address, mid_symbol *symbol);

/* The `most` largest rows (0: all) of mid_trace_group, as one JSON object and a line end: "traced", "peak", "blocks", "samples",
 * "sample", "by", "rows" (how many there are), "top": each with bytes, blocks, and where there is a `before` more_bytes and more_blocks;
 * domain and type, or frames. `symbols` may be null: module and offset then. MID_ENULL, MID_EINVAL (by, fd), MID_ENOMEM, MID_ELIMIT; MID_ESYSTEM: see errno. A pipe that nobody
 * reads raises SIGPIPE unless that is ignored. */
MID_API mid_status mid_trace_write_json(const mid_trace_snapshot *now, const mid_trace_snapshot *before, mid_trace_by by, size_t most,
                                        mid_symbols *symbols, int fd);
/* As mid_trace_write_folded, with names, types left out. */
MID_API mid_status mid_trace_write_folded_names(const mid_trace_snapshot *snapshot, mid_symbols *symbols, int fd);

#ifdef __cplusplus
}
#endif
#endif
