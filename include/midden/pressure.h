/* midden/pressure.h: how short of memory the program thinks it is.
 *
 * A daemon hears of pressure from the system (docs/design/pressure.md); a program that knows better, or that has ears of its
 * own, says so here. */
#ifndef MIDDEN_PRESSURE_H
#define MIDDEN_PRESSURE_H

#include "type.h"

/* What a level asks for; each includes those before it. */
typedef enum mid_pressure_level {
    MID_PRESSURE_CALM,
    MID_PRESSURE_TRIM,      /* empty pools beyond the reserve go back at once */
    MID_PRESSURE_COMPACT,   /* garbage is looked for, and pools are packed, though it be for little */
    MID_PRESSURE_EVERYTHING /* all that waits is freed, the reserve goes back, and deep compaction runs if the option `deep` allows it */
} mid_pressure_level;

#ifdef __cplusplus
extern "C" {
#endif

/* Say what level holds from now on, until another is said. The daemon takes the highest of this and what it hears elsewhere; to
 * say `compact` or `everything` again has garbage looked for once more. Returns at once; what came of it is in the daemon's log.
 * It reaches a daemon and nobody else: without one it is kept for one that starts later (call mid_step, mid_trim or mid_reclaim
 * instead). Any thread, listeners included; not a signal handler. MID_ENULL; MID_EINVAL: no such level. */
MID_API mid_status mid_pressure(mid_heap *heap, mid_pressure_level level);

#ifdef __cplusplus
}
#endif
#endif
