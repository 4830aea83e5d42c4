/* tests/fuzz/target_figures.c: the kernel's texts. */
#include "targets.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/figures.h"

#define NOT_WRITTEN UINT64_C(0xfeedfacecafef00d)

static void stalls(const char *text, size_t length)
{
    uint64_t some = NOT_WRITTEN, full = NOT_WRITTEN, again_some, again_full;
    char said[128];
    if (!mid_figure_stalls(text, length, &some, &full)) {
        NEED(some == NOT_WRITTEN && full == NOT_WRITTEN);
        return;
    }
    NEED(memmem(text, length, "some", 4) != NULL && memmem(text, length, "total=", 6) != NULL);
    int wrote = snprintf(said, sizeof said, "full avg10=1.00 total=%" PRIu64 "\nsome total=%" PRIu64, full, some);
    NEED(mid_figure_stalls(said, (size_t)wrote, &again_some, &again_full) && again_some == some && again_full == full);
}

/* Digits as text: no arithmetic that could go wrong in the same way. */
static bool at_least(const char *digits, size_t count, const char *bound)
{
    return count != strlen(bound) ? count > strlen(bound) : memcmp(digits, bound, count) >= 0;
}

static void digits_say(const char *text, size_t length, uint64_t value)
{
    char said[32];
    size_t count = 0;
    while (length != 0 && memchr(" \t\r0", *text, 4) != NULL)
        text++, length--;
    while (count < length && text[count] >= '0' && text[count] <= '9')
        count++;
    if (value == MID_UNLIMITED) {
        bool word = length >= 3 && memcmp(text, "max", 3) == 0;
        NEED(word || (at_least(text, count, "4611686018427387904") && !at_least(text, count, "18446744073709551616")));
    } else {
        int wrote = snprintf(said, sizeof said, "%" PRIu64, value);
        NEED(value == 0 ? count == 0 : (size_t)wrote == count && memcmp(said, text, count) == 0);
    }
}

static void number(const char *text, size_t length)
{
    uint64_t value = NOT_WRITTEN, again;
    char said[32];
    if (!mid_figure_number(text, length, &value)) {
        NEED(value == NOT_WRITTEN);
        return;
    }
    NEED(value == MID_UNLIMITED || value < UINT64_C(1) << 62);
    digits_say(text, length, value);
    int wrote = value == MID_UNLIMITED ? snprintf(said, sizeof said, "max\n") : snprintf(said, sizeof said, "%" PRIu64, value);
    NEED(mid_figure_number(said, (size_t)wrote, &again) && again == value);
}

/* The first line that has the key is the one. */
static void keyed(const char *text, size_t length, const char *key)
{
    static const char after[] = "\nhigh 7\nMemAvailable: 7 kB\n";
    uint64_t value = NOT_WRITTEN, again = NOT_WRITTEN;
    char *longer = malloc(length + sizeof after);
    NEED(longer != NULL);
    memcpy(longer, text, length);
    memcpy(longer + length, after, sizeof after - 1);
    bool found = mid_figure_keyed(text, length, key, &value);
    NEED(found || value == NOT_WRITTEN);
    if (mid_figure_keyed(longer, length + sizeof after - 1, key, &again))
        NEED(found ? again == value : again == 7);
    else
        NEED(!found);
    free(longer);
}

/* In a block of the size it is told. */
static bool path_in(const char *cgroup, size_t length, const char *mounts, size_t mounts_length, size_t room, char *copy)
{
    char *into = malloc(room != 0 ? room : 1);
    NEED(into != NULL);
    bool found = mid_figure_cgroup(cgroup, length, mounts, mounts_length, into, room);
    if (found) {
        NEED(memchr(into, 0, room) != NULL);
        strcpy(copy, into);
    }
    free(into);
    return found;
}

static void cgroup(const char *cgroup, size_t length, const char *mounts, size_t mounts_length)
{
    char path[4096], again[4096];
    if (!path_in(cgroup, length, mounts, mounts_length, sizeof path, path))
        return;
    size_t room = strlen(path) + 1;
    NEED(path_in(cgroup, length, mounts, mounts_length, room, again) && strcmp(path, again) == 0);
    NEED(!path_in(cgroup, length, mounts, mounts_length, room - 1, again));
}

/* The name of a cgroup, whatever is in it, stands at the end of what is found for it. */
static void named(const char *text, size_t length)
{
    static const char mounts[] = "30 20 0:26 / /at\\040it rw - cgroup2 cgroup2 rw\n";
    char said[300], path[300], wanted[300];
    if (length > 200 || memchr(text, '\n', length) != NULL || memchr(text, 0, length) != NULL)
        return;
    int wrote = snprintf(said, sizeof said, "0::/a%.*s", (int)length, text);
    NEED(mid_figure_cgroup(said, (size_t)wrote, mounts, sizeof mounts - 1, path, sizeof path));
    snprintf(wanted, sizeof wanted, "/at it/a%.*s", (int)length, text);
    NEED(strcmp(path, wanted) == 0);
}

static long bytes_of(const char *text, size_t room, unsigned char *copy)
{
    unsigned char *into = malloc(room != 0 ? room : 1);
    NEED(into != NULL);
    long length = mid_figure_base64(text, into, room);
    NEED(length >= -1 && length <= (long)room);
    if (length > 0)
        memcpy(copy, into, (size_t)length);
    free(into);
    return length;
}

static void base64(const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char data[6000], again[6000];
    long length = bytes_of(text, sizeof data, data);
    if (length < 0)
        return;
    NEED(bytes_of(text, (size_t)length, again) == length && memcmp(data, again, (size_t)length) == 0);
    NEED(length == 0 || bytes_of(text, (size_t)length - 1, again) == -1);
    for (long bit = 0; bit + 6 <= 8 * length; bit += 6) {
        unsigned pair = (unsigned)data[bit / 8] << 8 | (bit / 8 + 1 < length ? data[bit / 8 + 1] : 0);
        NEED(text[bit / 6] == digits[pair >> (10 - bit % 8) & 63]);
    }
}

void fuzz_figures(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size == 0 ? NULL : memchr(data, 0, size);
    size_t length = zero == NULL ? size : (size_t)(zero - data), rest = zero == NULL ? 0 : size - length - 1;
    char *text = malloc(length + 1), *more = malloc(rest != 0 ? rest : 1), *bare = malloc(length != 0 ? length : 1);
    NEED(text != NULL && more != NULL && bare != NULL);
    if (length != 0) {
        memcpy(text, data, length);
        memcpy(bare, data, length); /* nothing after its end */
    }
    text[length] = 0;
    if (rest != 0)
        memcpy(more, zero + 1, rest);
    stalls(bare, length);
    number(bare, length);
    keyed(bare, length, "high");
    keyed(bare, length, "MemAvailable");
    cgroup(bare, length, more, rest);
    cgroup(more, rest, bare, length);
    named(bare, length);
    base64(text);
    free(text);
    free(more);
    free(bare);
}
