/* cmd_simulate.c: `midden simulate`: what the daemon's rules would do with a recorded signal, without a daemon, a heap or a clock. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lab.h"
#include "simulate.h"

static bool number(const char *text, uint64_t most, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 && errno == 0 && *value >= 1 && *value <= most;
}

static int simulate(const char *path, uint64_t times, const mid_options *options, uint64_t every)
{
    sim_recording recording;
    unsigned long line;
    const char *reason;
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (file == NULL)
        return lab_error("%s: %s", path, strerror(errno));
    bool good = sim_recording_read(&recording, file, &line, &reason);
    if (file != stdin)
        fclose(file);
    if (!good)
        return line != 0 ? lab_error("%s, line %lu: %s", path, line, reason) : lab_error("%s: %s", path, reason);
    sim_output output = {.file = stdout, .every = every};
    mid_status status = sim_run(&recording, times, options, &output);
    sim_recording_free(&recording);
    if (status == MID_EBUSY)
        return lab_error("%s: the rules ask for looks without end", path);
    return status == MID_OK ? 0 : lab_error("%s: %s", path, mid_status_text(status));
}

int cmd_simulate(int argc, char **argv)
{
    const char *path = NULL, *value;
    uint64_t times = 1, every = 60;
    bool csv = false;
    mid_options options;
    mid_options_init(&options);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--csv") == 0) {
            csv = true;
        } else if (argv[i][0] == '-' && argv[i][1] != 0) {
            bool is_times = strcmp(argv[i], "--times") == 0, is_every = strcmp(argv[i], "--every") == 0;
            if (!is_times && !is_every && strcmp(argv[i], "--options") != 0)
                return lab_usage("simulate: %s is not understood", argv[i]);
            if ((value = lab_value(argc, argv, &i)) == NULL)
                return 2;
            bool good = is_times ? number(value, 1000000, &times) :
                        is_every ? number(value, 1000000000, &every) :
                                   mid_options_parse(&options, value, NULL) == MID_OK;
            if (!good)
                return lab_usage("simulate: %s is not understood", value);
        } else if (path != NULL) {
            return lab_usage("simulate: one recording at a time");
        } else {
            path = argv[i];
        }
    }
    if (path == NULL)
        return lab_usage("simulate: which recording?");
    return simulate(path, times, &options, csv ? every * 1000000 : 0);
}
