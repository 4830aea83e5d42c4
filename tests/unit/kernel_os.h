/* tests/unit/kernel_os.h: a mid_os that does what the default one does, knows which ranges the heap has, and asks the kernel what
 * it knows of them. Each range stands between pages that nobody can touch: so no area of the kernel's is partly somebody else's. */
#ifndef KERNEL_OS_H
#define KERNEL_OS_H

#include "midden/os.h"

#define KERNEL_RANGES 4096

struct kernel_range {
    char *at;
    size_t size;
    int reserved; /* in parts: else a mapping of its own */
};

struct kernel_os {
    mid_os os;
    size_t count;
    struct kernel_range ranges[KERNEL_RANGES];
};

struct kernel_figures {
    size_t resident; /* bytes, swapped ones too */
    size_t areas;    /* lines of /proc/self/maps */
    size_t foreign;  /* areas that are only in part the heap's: 0, or the figures mean nothing */
};

/* From here on no huge page stands behind anything in this process: it would be resident whole. */
void kernel_os_init(struct kernel_os *kernel);
struct kernel_figures kernel_os_figures(const struct kernel_os *kernel);

#endif
