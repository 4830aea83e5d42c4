/* midden/midden.h: everything in libmidden but the kinds (midden/kinds.h). The daemon is in midden/daemon.h, which needs libevent's libraries.
 *
 * Start with object.h (objects and handles), then type.h and heap.h; docs/embedding.md is the tutorial. */
#ifndef MIDDEN_MIDDEN_H
#define MIDDEN_MIDDEN_H

#include "collector.h"
#include "dict.h"
#include "domain.h"
#include "dump.h"
#include "events.h"
#include "freeze.h"
#include "heap.h"
#include "inspect.h"
#include "local.h"
#include "object.h"
#include "options.h"
#include "policy.h"
#include "pressure.h"
#include "stats.h"
#include "status.h"
#include "trace.h"
#include "type.h"
#include "version.h"
#include "weak.h"

#endif
