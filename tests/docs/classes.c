/* classes.c: the size classes as a table, computed from what the allocator sets up. docs/design/alloc.md quotes it. */
#include <stdio.h>

#include "alloc/alloc.h"

int main(void)
{
    mid_alloc a;
    mid_alloc_init(&a, &mid_os_default, 64u << 10, 0, 0, 0);
    puts("| class | slot | rounding at most | slots | index | tail | lost |");
    puts("|---:|---:|---:|---:|---:|---:|---:|");
    for (unsigned i = 0; i < MID_CLASSES; i++) {
        const mid_class *c = &a.classes[i];
        uint32_t least = i == 0 ? 1 : mid_class_size(i - 1) + 1; /* the smallest request that lands here */
        uint32_t index = c->first == 0 ? 0 : c->slots * 4;
        uint32_t tail = a.pool_size - index - c->slots * c->slot_size;
        printf("| %u | %u | %.1f %% | %u | %u | %u | %.1f %% |\n", i, c->slot_size,
               100.0 * (c->slot_size - least) / c->slot_size, c->slots, index, tail, 100.0 * (index + tail) / a.pool_size);
    }
    mid_alloc_finish(&a);
    return 0;
}
