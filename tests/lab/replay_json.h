/* replay_json.h: the figures of one replay, from the worker's lines to the JSON file. */
#ifndef MIDDEN_LAB_REPLAY_JSON_H
#define MIDDEN_LAB_REPLAY_JSON_H

#include <jansson.h>

#include "plan.h"

typedef struct replay_result {
    const trace *trace;
    const plan *plan;
    const char *file, *heap, *variant;
    double touch;
    json_t *root, *samples, *figures;
    /* for the fragmentation */
    double net_area, live_area, last_seconds, last_net, last_live, seconds;
} replay_result;

bool replay_result_open(replay_result *result);
/* Take one line in; false: not understood. */
bool replay_result_line(replay_result *result, const char *line);
/* Say the main figures on standard output and, unless `path` is null, write all to it. */
bool replay_result_finish(replay_result *result, const char *path);
void replay_result_close(replay_result *result);

#endif
