/* tests/demo/program.h: what programs share whose heaps are looked at (watch.c, tests/pressure): one heap, one thread, three types. */
#ifndef MIDDEN_DEMO_PROGRAM_H
#define MIDDEN_DEMO_PROGRAM_H

#include "midden/midden.h"

struct bytes {
    uint64_t tag;
    uint32_t length, spare;
    unsigned char data[];
};
struct vec {
    uint32_t length, spare;
    mid_slot items[];
};
struct node {
    mid_slot next, other;
    uint64_t load[6];
};

extern mid_heap *heap;
extern mid_thread *thread;
extern mid_type bytes_type, vec_type, node_type;

void must(mid_status status, const char *what); /* or the program ends */
void open_heap(const mid_options *options);
uint32_t random_below(uint32_t most);
void rest(long micros);          /* asleep, it leaves its heap to the daemon */
void drop_ring(unsigned length); /* a closed chain that nothing refers to afterwards */

#endif
