/* cmd_balance.c: `midden balance`: a budget of memory for the heaps that join (midden/balance.h). The work is daemon/steward.c's. */
#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "daemon/steward.h"
#include "lab.h"
#include "midden/status.h"

#define BUDGET_LEAST (UINT64_C(1) << 20)

/* As in the text of options: a number, K, M, G or T of 1024; 0: it is none. */
static uint64_t bytes_of(const char *text)
{
    static const char units[] = "KMGT";
    char *end;
    errno = 0;
    unsigned long long number = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (number == 0 || errno != 0)
        return 0;
    const char *unit = *end == 0 ? NULL : strchr(units, *end);
    if (*end != 0 && (unit == NULL || end[1] != 0))
        return 0;
    unsigned shift = unit == NULL ? 0 : 10 * (unsigned)(unit - units + 1);
    return number > UINT64_MAX >> shift ? 0 : (uint64_t)number << shift;
}

/* Where a user's sockets are, so that heaps and this need not be told. */
static const char *usual_path(char *into, size_t room)
{
    const char *folder = getenv("XDG_RUNTIME_DIR");
    if (folder == NULL || *folder == 0 || snprintf(into, room, "%s/midden-balance", folder) >= (int)room)
        return NULL;
    return into;
}

static void on_end(evutil_socket_t signal, short what, void *base)
{
    (void)signal, (void)what;
    event_base_loopbreak(base);
}

static void on_question(evutil_socket_t signal, short what, void *context)
{
    uint64_t given;
    size_t heaps = mid_steward_heaps(context, &given);
    (void)signal, (void)what;
    fprintf(stderr, "midden: balance: %zu heaps, %" PRIu64 " bytes given\n", heaps, given);
}

/* Here a status has one meaning of those that it may have. */
static const char *why(mid_status status)
{
    return status == MID_EBUSY   ? "somebody listens there" :
           status == MID_ESIZE   ? "longer than a socket's path can be" :
           status == MID_EINVAL  ? "what is there is no socket" :
           status == MID_ESYSTEM ? strerror(errno) :
                                   mid_status_text(status);
}

static int serve(struct event_base *base, const char *path, uint64_t budget)
{
    mid_steward *steward;
    mid_status status = mid_steward_open(base, path, budget, &steward);
    if (status != MID_OK)
        return lab_error("balance: %s: %s", path, why(status));
    struct event *ends[] = {evsignal_new(base, SIGINT, on_end, base), evsignal_new(base, SIGTERM, on_end, base),
                            evsignal_new(base, SIGUSR1, on_question, steward)};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends[i] != NULL)
            event_add(ends[i], NULL);
    printf("%s\n", path);
    fflush(stdout);
    bool good = event_base_loop(base, 0) == 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends[i] != NULL)
            event_free(ends[i]);
    mid_steward_close(steward);
    return good ? 0 : lab_error("balance: the loop ended");
}

int cmd_balance(int argc, char **argv)
{
    char room[sizeof ((struct sockaddr_un *)NULL)->sun_path];
    const char *budget = NULL, *path = NULL;
    for (int at = 1; at < argc; at++) {
        const char **value = strcmp(argv[at], "--budget") == 0 ? &budget : strcmp(argv[at], "--socket") == 0 ? &path : NULL;
        if (value == NULL)
            return lab_usage("balance: %s is not understood", argv[at]);
        if ((*value = lab_value(argc, argv, &at)) == NULL)
            return 2;
    }
    if (budget == NULL || bytes_of(budget) < BUDGET_LEAST)
        return lab_usage("balance: --budget BYTES, with K, M, G or T; at least 1M");
    if (path == NULL && (path = usual_path(room, sizeof room)) == NULL)
        return lab_usage("balance: --socket PATH, since XDG_RUNTIME_DIR is not set");
    struct event_base *base = event_base_new();
    if (base == NULL)
        return lab_error("balance: no event loop");
    signal(SIGPIPE, SIG_IGN);
    int status = serve(base, path, bytes_of(budget));
    event_base_free(base);
    return status;
}
