/* gc/status.c: names and texts of statuses, from their table; the version. */
#include "midden/status.h"
#include "midden/version.h"

static const char *const names[] = {
#define MID_X(name, text) #name,
    MID_STATUSES(MID_X)
#undef MID_X
};

static const char *const texts[] = {
#define MID_X(name, text) text,
    MID_STATUSES(MID_X)
#undef MID_X
};

const char *mid_status_name(mid_status status)
{
    return (unsigned)status < MID_STATUS_COUNT ? names[status] : "MID_?";
}

const char *mid_status_text(mid_status status)
{
    return (unsigned)status < MID_STATUS_COUNT ? texts[status] : "not a status";
}

int mid_version(void)
{
    return MID_VERSION;
}
