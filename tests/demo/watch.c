/* watch.c [ADDRESS [SECONDS]]: a program whose heap is worth looking at. It fills its heap, lets go of nine objects in ten, waits
 * while the daemon packs what is left, and begins again, in steps slow enough for the eye; some objects are pinned, some garbage is
 * on cycles. Its heap is served at ADDRESS (localhost:0); where, it prints. Ends after SECONDS, or never. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "midden/http.h"
#include "midden/pressure.h"
#include "tests/demo/program.h"

#define OBJECTS 120000u
#define STEPS 60u
#define PIN_EVERY 9973u

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
            rest(15000);
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
        rest(20000);
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
    open_heap(&options);
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
        rest(400000);
        must(mid_pressure(heap, MID_PRESSURE_CALM), "mid_pressure");
        thin_out(all, STEPS);
        rest(1500000);
    }
    must(mid_daemon_stop(daemon), "mid_daemon_stop");
    mid_release(thread, all);
    must(mid_heap_destroy(heap), "mid_heap_destroy");
    return 0;
}
