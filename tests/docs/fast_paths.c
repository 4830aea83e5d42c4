/* fast_paths.c: one function for each inline call, for disassembly.sh to show what becomes of it. */
#include "midden/midden.h"

void *get(mid_thread *thread, mid_handle object)
{
    return mid_get(thread, object);
}

/* The table's address is loaded once, before the loop. */
uint64_t get_many(mid_thread *thread, const mid_handle *objects, unsigned count)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += *(const uint64_t *)mid_get(thread, objects[i]);
    return sum;
}

void retain(mid_thread *thread, mid_handle object)
{
    mid_retain(thread, object);
}

void release(mid_thread *thread, mid_handle object)
{
    mid_release(thread, object);
}

mid_status new(mid_thread *thread, mid_type type, mid_handle *out)
{
    return mid_new(thread, type, out);
}

mid_status safepoint(mid_thread *thread)
{
    return mid_safepoint(thread);
}
