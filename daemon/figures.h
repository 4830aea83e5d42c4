/* daemon/figures.h: figures out of the kernel's texts, as pure functions over bytes. Anything may be in them: what is not
 * understood is refused, and no figure is written then; what is in `into` means nothing. No text needs to end with a zero. */
#ifndef MIDDEN_DAEMON_FIGURES_H
#define MIDDEN_DAEMON_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MID_UNLIMITED UINT64_MAX

/* PSI: "some avg10=0.00 ... total=123" and "full ...", in microseconds. A text without "full" counts as one with 0. */
bool mid_figure_stalls(const char *text, size_t length, uint64_t *some, uint64_t *full);

/* A file of one number: "123\n", "max\n". v1's way to write "none", some 2^63, is MID_UNLIMITED as well. */
bool mid_figure_number(const char *text, size_t length, uint64_t *value);

/* The number after `key` and white space, or a colon and white space, at the beginning of a line. */
bool mid_figure_keyed(const char *text, size_t length, const char *key, uint64_t *value);

/* Where the own cgroup is: /proc/self/cgroup and /proc/self/mountinfo. Prefers a hierarchy of v1 that has the memory controller.
 * False: there is none, or `room` is too small. */
bool mid_figure_cgroup(const char *cgroup, size_t length, const char *mounts, size_t mounts_length, char *into, size_t room);

/* Base64 with or without padding; returns the bytes written, at most `room`, or -1: it is not that, or too long. */
long mid_figure_base64(const char *text, unsigned char *into, size_t room);

#endif
