/* watch.c [ADDRESS [SECONDS]]: a program whose heap is worth looking at. It fills its heap, lets go of nine objects in ten, waits
 * while the daemon packs what is left, and begins again, in steps slow enough for the eye; some objects are pinned, some garbage is
 * on cycles. Its heap is served at ADDRESS (localhost:0); where, it prints. Ends after SECONDS, or never. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "midden/http.h"
#include "midden/midden.h"
#include "midden/pressure.h"

#define OBJECTS 120000u
#define STEPS 60u
#define PIN_EVERY 9973u

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
};

static mid_heap *heap;
static mid_thread *thread;
static mid_type bytes_type, vec_type, node_type;
static uint64_t seed = 1;

static uint32_t random_below(uint32_t most)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % most);
}

static void must(mid_status status, const char *what)
{
    if (status == MID_OK)
        return;
    fprintf(stderr, "watch: %s: %s\n", what, mid_status_text(status));
    exit(1);
}

/* Asleep, it leaves its heap to the daemon. */
static void rest(unsigned millis)
{
    struct timespec length = {.tv_sec = millis / 1000, .tv_nsec = (long)(millis % 1000) * 1000000};
    must(mid_blocked_enter(thread), "mid_blocked_enter");
    nanosleep(&length, NULL);
    must(mid_blocked_leave(thread), "mid_blocked_leave");
}

static void drop_ring(unsigned length)
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

static void fill(mid_handle all)
{
    for (uint32_t i = 0; i < OBJECTS; i++) {
        mid_handle made;
        size_t size = random_below(8) == 0 ? random_below(3000) : random_below(300);
        if (mid_peek(thread, all, MID_SLOT(struct vec, items) + i) != 0)
            continue;
        must(mid_new_array(thread, bytes_type, size, &made), "mid_new_array");
        if (i % PIN_EVERY == 0)
            must(mid_pin(thread, made, NULL), "mid_pin");
        mid_give(thread, all, MID_SLOT(struct vec, items) + i, made);
        mid_safepoint(thread);
        if (i % (OBJECTS / STEPS) == 0) {
            drop_ring(200);
            rest(15);
        }
    }
}

/* All of them in `rounds`, and of each round a few more. */
static void thin_out(mid_handle all, unsigned rounds)
{
    for (unsigned round = 0; round < rounds; round++) {
        for (uint32_t i = round; i < OBJECTS; i += rounds)
            if (i % PIN_EVERY != 0 && random_below(10) != 0)
                mid_release(thread, mid_take(thread, all, MID_SLOT(struct vec, items) + i));
        mid_safepoint(thread);
        rest(20);
    }
}

int main(int argc, char **argv)
{
    const char *address = argc > 1 ? argv[1] : "localhost:0";
    long seconds = argc > 2 ? atol(argv[2]) : 0;
    mid_daemon *daemon;
    mid_handle all;
    uint16_t port;
    mid_options options;
    mid_options_init(&options);
    must(mid_options_parse(&options, "slice=300us,share=10%", NULL), "mid_options_parse");
    must(mid_heap_open(&heap, &options), "mid_heap_open");
    must(mid_thread_attach(heap, &thread), "mid_thread_attach");
    static const uint32_t slots[] = {offsetof(struct node, next), offsetof(struct node, other)};
    mid_type_desc bytes = {.struct_size = sizeof bytes, .name = "bytes", .size = sizeof(struct bytes), .item_size = 1,
                           .length_offset = offsetof(struct bytes, length)};
    mid_type_desc vec = {.struct_size = sizeof vec, .name = "vec", .size = sizeof(struct vec), .item_size = sizeof(mid_slot),
                         .length_offset = offsetof(struct vec, length), .items_are_refs = 1};
    mid_type_desc node = {.struct_size = sizeof node, .name = "node", .size = sizeof(struct node), .ref_offsets = slots, .ref_count = 2};
    must(mid_type_register(heap, &bytes, &bytes_type), "mid_type_register");
    must(mid_type_register(heap, &vec, &vec_type), "mid_type_register");
    must(mid_type_register(heap, &node, &node_type), "mid_type_register");
    must(mid_new_array(thread, vec_type, OBJECTS, &all), "mid_new_array");
    must(mid_daemon_start(heap, &daemon), "mid_daemon_start");
    must(mid_http_listen(daemon, address, &port), address);
    if (port != 0)
        printf("http://localhost:%u/\n", port);
    else
        printf("%s\n", address);
    fflush(stdout);
    time_t end = time(NULL) + seconds;
    while (seconds == 0 || time(NULL) < end) {
        fill(all);
        must(mid_pressure(heap, MID_PRESSURE_TRIM), "mid_pressure"); /* it says that it is at its largest */
        rest(400);
        must(mid_pressure(heap, MID_PRESSURE_CALM), "mid_pressure");
        thin_out(all, STEPS);
        rest(1500);
    }
    must(mid_daemon_stop(daemon), "mid_daemon_stop");
    mid_release(thread, all);
    must(mid_heap_destroy(heap), "mid_heap_destroy");
    return 0;
}
