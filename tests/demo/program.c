/* tests/demo/program.c: see program.h. */
#include "tests/demo/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

mid_heap *heap;
mid_thread *thread;
mid_type bytes_type, vec_type, node_type;

void must(mid_status status, const char *what)
{
    if (status == MID_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, mid_status_text(status));
    exit(1);
}

void open_heap(const mid_options *options)
{
    static const uint32_t slots[] = {offsetof(struct node, next), offsetof(struct node, other)};
    mid_type_desc bytes = {.struct_size = sizeof bytes, .name = "bytes", .size = sizeof(struct bytes), .item_size = 1,
                           .length_offset = offsetof(struct bytes, length)};
    mid_type_desc vec = {.struct_size = sizeof vec, .name = "vec", .size = sizeof(struct vec), .item_size = sizeof(mid_slot),
                         .length_offset = offsetof(struct vec, length), .items_are_refs = 1};
    mid_type_desc node = {.struct_size = sizeof node, .name = "node", .size = sizeof(struct node), .ref_offsets = slots, .ref_count = 2};
    must(mid_heap_open(&heap, options), "mid_heap_open");
    must(mid_thread_attach(heap, &thread), "mid_thread_attach");
    must(mid_type_register(heap, &bytes, &bytes_type), "mid_type_register");
    must(mid_type_register(heap, &vec, &vec_type), "mid_type_register");
    must(mid_type_register(heap, &node, &node_type), "mid_type_register");
}

uint32_t random_below(uint32_t most)
{
    static uint64_t seed = 1;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % most);
}

void rest(long micros)
{
    const struct timespec length = {.tv_sec = micros / 1000000, .tv_nsec = micros % 1000000 * 1000};
    must(mid_blocked_enter(thread), "mid_blocked_enter");
    nanosleep(&length, NULL);
    must(mid_blocked_leave(thread), "mid_blocked_leave");
}

void drop_ring(unsigned length)
{
    mid_handle first = 0, last = 0, made;
    for (unsigned i = 0; i < length; i++) {
        must(mid_new(thread, node_type, &made), "mid_new");
        if (first == 0)
            first = made;
        else
            mid_give(thread, last, MID_SLOT(struct node, next), made);
        last = made;
    }
    mid_store(thread, last, MID_SLOT(struct node, next), first);
    mid_release(thread, first);
}
