/* daemon/steward.c: seats, and when to divide.
 *
 * Nothing here waits for anybody. Whoever was read from is not read from again before the next *round*, a tenth of a second later;
 * the budget is divided once a round, if anything has changed. While nobody says anything there is no timer. */
#include "daemon/steward.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/endpoint.h"
#include "daemon/tell.h"

#define ACCEPT_MOST 16
#define NEAR_PART 64u /* of a limit: less of a change is not worth a line */

static const struct timeval a_round = {.tv_usec = 100000};

typedef struct seat {
    mid_steward *steward;
    int fd;
    struct event *readable, *writable;
    mid_line_in in;
    mid_line_out out;
    bool spoke;
    mid_need need;
    uint64_t due, told; /* limits: what it should have, what it was told; 0: nothing */
    uint64_t since;
} seat;

struct mid_steward {
    struct event_base *base;
    mid_endpoint at;
    struct event *accepting, *round;
    uint64_t budget, time;
    bool changed;
    seat *seats[MID_SEATS];
    mid_portion portions[MID_SEATS];
};

/* --- a seat -------------------------------------------------------------------------------------------------------- */

static void next_round(mid_steward *s)
{
    if (!event_pending(s->round, EV_TIMEOUT, NULL))
        event_add(s->round, &a_round);
}

static void leave(seat *one)
{
    mid_steward *s = one->steward;
    for (size_t i = 0; i < MID_SEATS; i++)
        if (s->seats[i] == one)
            s->seats[i] = NULL;
    if (one->spoke) {
        s->changed = true;
        next_round(s);
    }
    if (one->readable != NULL)
        event_free(one->readable);
    if (one->writable != NULL)
        event_free(one->writable);
    close(one->fd);
    free(one);
}

static bool near(uint64_t a, uint64_t b)
{
    return (a > b ? a - b : b - a) <= b / NEAR_PART;
}

/* Say what is due, when what was said before has gone; only the newest limit counts, so that no more than one line waits. */
static void say(seat *one)
{
    bool good = mid_tell_send(&one->out, one->fd);
    if (good && mid_tell_silent(&one->out) && one->due != 0 && (one->told == 0 || !near(one->due, one->told))) {
        one->told = one->due;
        mid_tell_limit(&one->out, one->due);
        good = mid_tell_send(&one->out, one->fd);
    }
    if (good && !mid_tell_silent(&one->out))
        good = event_add(one->writable, NULL) == 0;
    if (!good)
        leave(one);
}

static bool on_line(void *context, const char *line)
{
    seat *one = context;
    if (!mid_tell_read_need(line, &one->need))
        return false;
    one->spoke = one->steward->changed = true;
    return true;
}

static void on_read(evutil_socket_t fd, short what, void *context)
{
    seat *one = context;
    (void)what;
    if (mid_tell_hear(&one->in, fd, on_line, one))
        next_round(one->steward); /* where it is listened to again */
    else
        leave(one);
}

static void on_write(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    say(context);
}

/* --- seats --------------------------------------------------------------------------------------------------------- */

/* A free one, or that of who has been silent from the first, the longest. -1: all have spoken. */
static int free_seat(mid_steward *s)
{
    int found = -1;
    for (int i = 0; i < MID_SEATS; i++) {
        if (s->seats[i] == NULL)
            return i;
        if (!s->seats[i]->spoke && (found < 0 || s->seats[i]->since < s->seats[found]->since))
            found = i;
    }
    if (found >= 0)
        leave(s->seats[found]);
    return found;
}

static void take_in(mid_steward *s, int fd)
{
    int at = free_seat(s);
    seat *one = at < 0 ? NULL : calloc(1, sizeof *one);
    if (one == NULL) {
        close(fd);
        return;
    }
    *one = (seat){.steward = s, .fd = fd, .since = ++s->time};
    one->readable = event_new(s->base, fd, EV_READ, on_read, one);
    one->writable = event_new(s->base, fd, EV_WRITE, on_write, one);
    if (one->readable == NULL || one->writable == NULL || event_add(one->readable, NULL) != 0)
        leave(one);
    else
        s->seats[at] = one;
}

/* Once a round, so that a flood of connections costs no more than one of lines; and without descriptors or memory those that wait
 * would call again and again. */
static void on_accept(evutil_socket_t fd, short what, void *context)
{
    mid_steward *s = context;
    (void)fd, (void)what;
    for (int i = 0; i < ACCEPT_MOST; i++) {
        int taken = mid_endpoint_accept(&s->at);
        if (taken >= 0)
            take_in(s, taken);
        else if (errno != EACCES && errno != EINTR && errno != ECONNABORTED)
            break;
    }
    next_round(s);
}

/* --- a round ------------------------------------------------------------------------------------------------------- */

static void divide(mid_steward *s)
{
    size_t count = 0;
    for (int i = 0; i < MID_SEATS; i++)
        if (s->seats[i] != NULL && s->seats[i]->spoke)
            s->portions[count++] = (mid_portion){.need = s->seats[i]->need};
    mid_divide(s->budget, s->portions, count);
    count = 0;
    for (int i = 0; i < MID_SEATS; i++)
        if (s->seats[i] != NULL && s->seats[i]->spoke)
            s->seats[i]->due = s->portions[count++].limit;
}

static void on_round(evutil_socket_t fd, short what, void *context)
{
    mid_steward *s = context;
    (void)fd, (void)what;
    bool divided = s->changed;
    s->changed = false;
    if (divided)
        divide(s);
    event_add(s->accepting, NULL);
    for (int i = 0; i < MID_SEATS; i++)
        if (s->seats[i] != NULL) {
            event_add(s->seats[i]->readable, NULL);
            if (divided)
                say(s->seats[i]);
        }
}

size_t mid_steward_heaps(const mid_steward *s, uint64_t *given)
{
    size_t count = 0;
    *given = 0;
    for (int i = 0; i < MID_SEATS; i++)
        if (s->seats[i] != NULL && s->seats[i]->spoke) {
            count++;
            *given += s->seats[i]->due;
        }
    return count;
}

/* --- beginning and end --------------------------------------------------------------------------------------------- */

mid_status mid_steward_open(struct event_base *base, const char *path, uint64_t budget, mid_steward **out)
{
    mid_steward *s = calloc(1, sizeof *s);
    if (s == NULL)
        return MID_ENOMEM;
    s->base = base;
    s->budget = budget;
    mid_status status = mid_endpoint_open(&s->at, path);
    if (status != MID_OK) {
        free(s);
        return status;
    }
    s->accepting = event_new(base, s->at.fd, EV_READ, on_accept, s);
    s->round = evtimer_new(base, on_round, s);
    if (s->accepting == NULL || s->round == NULL || event_add(s->accepting, NULL) != 0) {
        mid_steward_close(s);
        return MID_ENOMEM;
    }
    *out = s;
    return MID_OK;
}

void mid_steward_close(mid_steward *s)
{
    for (int i = 0; i < MID_SEATS; i++)
        if (s->seats[i] != NULL)
            leave(s->seats[i]);
    if (s->accepting != NULL)
        event_free(s->accepting);
    if (s->round != NULL)
        event_free(s->round);
    mid_endpoint_close(&s->at, 1);
    free(s);
}
