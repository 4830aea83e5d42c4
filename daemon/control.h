/* daemon/control.h: the control socket in the daemon's loop (midden/control.h). */
#ifndef MIDDEN_DAEMON_CONTROL_H
#define MIDDEN_DAEMON_CONTROL_H

#include "midden/control.h"

typedef struct mid_control mid_control;

/* The goal is over: say so, and begin the next. On the loop's thread. */
void mid_control_reached(mid_control *control);

/* The daemon ends, or its base does. On the loop's thread, or when that is gone. Null is ignored. */
void mid_control_discard(mid_control *control);

/* In the child of a fork, in the handler. */
void mid_control_forked(mid_control *control);

#endif
