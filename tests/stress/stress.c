/* tests/stress/stress.c: random operations on a heap and on a plain model of it, compared. The program's options and
 * what a failure prints are in README.md. */
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "act.h"
#include "audit.h"
#include "beside.h"
#include "daemon.h"
#include "delay.h"
#include "main.h"
#include "ops.h"

struct run run;

uint64_t random64(void)
{
    return random_next(&run.rng);
}

void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("MISMATCH: seed %" PRIu64 ", mode %s, operation %" PRIu64 " (%s): ", run.seed, mode_names[run.mode], run.op,
           run.doing);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    fflush(stdout);
    _exit(1);
}

static void on_crash(int number)
{
    char line[160];
    int length = snprintf(line, sizeof line, "MISMATCH: seed %" PRIu64 ", mode %s, operation %" PRIu64 " (%s): %s\n",
                          run.seed, mode_names[run.mode], run.op, run.doing, strsignal(number));
    if (write(STDOUT_FILENO, line, (size_t)length) != length)
        _exit(2);
    _exit(1);
}

static void usage(int status)
{
    fprintf(status == 0 ? stdout : stderr,
            "usage: stress [--seed N] [--ops N] [--check-every N] [--mode plain|gc-every-safepoint|daemon|steps]\n"
            "              [--live N] [--max-objects N] [--heap-limit BYTES] [--trace-from OPERATION]\n"
            "              [--misuses N]\n");
    exit(status);
}

static void parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},        {"ops", required_argument, NULL, 'o'},
        {"check-every", required_argument, NULL, 'c'}, {"mode", required_argument, NULL, 'm'},
        {"live", required_argument, NULL, 'l'},        {"max-objects", required_argument, NULL, 'x'},
        {"heap-limit", required_argument, NULL, 'h'},  {"trace-from", required_argument, NULL, 't'},
        {"misuses", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, '?'},              {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 's': run.seed = number(optarg); break;
        case 'o': run.ops = number(optarg); break;
        case 'c': run.check_every = number(optarg); break;
        case 'm':
            if (!mode_of(optarg, &run.mode))
                usage(2);
            break;
        case 'l': run.live_target = number(optarg); break;
        case 'x': run.max_objects = number(optarg); break;
        case 'h': run.heap_limit = number(optarg); break;
        case 't': run.trace_from = number(optarg); break;
        case 'w': run.misuses = number(optarg); break;
        default: usage(optopt != 0 ? 2 : 0);
        }
    }
    if (optind != argc)
        usage(2);
}

/* Loose: the object may be dead and its handle another's, unless it is held. */
static bool is_fixed(const struct obj *o)
{
    return o != NULL && (o->held != 0 || (!run.loose && (o->pins != 0 || o->sticky)));
}

/* Only what nothing but slots refers to is renamed, and only by a deep compaction. */
static void on_rename(void *context, mid_handle from, mid_handle to)
{
    if (context != &model || (!run.may_rename && run.mode != MODE_DAEMON))
        fail("a handle is renamed by a call that may not");
    if (is_fixed(model_find(from)) || is_fixed(model_find(to)))
        fail("a handle that somebody holds is renamed");
    model_rename(from, to);
    run.renamed++;
}

/* What is not asked for follows from the seed. */
static void open_heap(void)
{
    static const uint64_t batches[] = {32, 64, 512}, reserves[] = {0, 256 << 10, 1 << 20};
    mid_options options;
    run.pool_size = (uint64_t)(16 << 10) << run.seed % 3 * 2;
    run.free_batch = batches[pick(3)];
    run.reserve = reserves[pick(3)];
    run.spare = one_in(2) ? 0 : 100;
    run.destroy = one_in(3);
    run.immortals = run.destroy;
    mid_options_init(&options);
    options.free_batch = run.free_batch;
    options.reserve = run.reserve;
    options.spare = run.spare;
    options.max_objects = run.max_objects;
    options.heap_limit = run.heap_limit;
    options.deep = pick(4);
    options.pool_size = run.pool_size;
    options.evacuate = run.seed / 3 % 3;
#ifdef MIDDEN_DEBUG
    run.moves = run.misuses != 0;
    options.debug_move = run.moves ? MOVES_EVERY : 0;
    options.debug_check = run.seed % 4 == 0 ? 100 : 0;
#endif
    if (run.mode == MODE_DAEMON) {
        daemon_options(&options);
        run.reserve = options.reserve;
    }
    if (run.mode == MODE_STEPS)
        steps_options(&options);
    run.loose = run.mode >= MODE_DAEMON;
    mid_status status = mid_heap_open(&run.heap, &options);
    if (status != MID_OK)
        fail("mid_heap_open returned %s", mid_status_name(status));
    misuse_begin();
    mid_listener listener = {.struct_size = sizeof listener, .context = &model, .renamed = on_rename};
    if (mid_listener_add(run.heap, &listener) != MID_OK)
        fail("mid_listener_add failed");
    status = mid_thread_attach(run.heap, &run.thread);
    if (status != MID_OK)
        fail("mid_thread_attach returned %s", mid_status_name(status));
    kinds_register(run.heap, run.types);
    beside_begin();
    if (run.mode == MODE_DAEMON)
        run.daemon = daemon_begin(run.heap);
    if (run.mode == MODE_DAEMON && run.daemon == NULL) {
        fprintf(stderr, "stress: built without the daemon, use stress-daemon\n");
        exit(2);
    }
}

static void check_payloads(void)
{
    while (model.payloads != NULL) {
        struct payload *p = model.payloads;
        if (p->freed != 1)
            fail("the payload of object %llu was freed %d times", (unsigned long long)p->id, p->freed);
        model.payloads = p->next;
        free(p);
    }
}

/* Let go of everything; what is left is cyclic garbage, for the heap to find while it closes. */
static void release_all(void)
{
    run.doing = "release all";
    run.closing = true;
    while (run.scope_count != 0)
        act_scope_close(NULL);
    beside_end();
    while (run.root.count != 0)
        act_release(run.root.count - 1);
    if (one_in(2))
        drain();
    audit();
}

static void close_heap(void)
{
    mid_status status;
    if (run.destroy) {
        run.doing = "destroy";
        run.dropping = true;
        status = mid_heap_destroy(run.heap);
        model_drop_all();
    } else {
        release_all();
        run.doing = "close";
        run.loose = true; /* how many collections a close needs is its own affair */
        struct guard guard = guard_begin();
        run.epoch++;
        status = mid_heap_close(run.heap);
        guard_end(guard);
        for (size_t n = 0; n < model.live.count; n++) {
            struct obj *o = model.live.at[n];
            if ((o->kind->flags & K_FINAL) != 0 && !o->finalized)
                fail("object %llu (%s) never had its finalizer run", (unsigned long long)o->id, o->kind->name);
        }
        model_drop_all();
    }
    if (status != MID_OK)
        fail("the end of the heap returned %s", mid_status_name(status));
    check_payloads();
}

static void free_tester(void)
{
    struct pointers *lists[] = {&model.live, &model.work, &model.grave, &model.garbage, &run.root, &run.kept};
    for (unsigned n = 0; n < sizeof lists / sizeof lists[0]; n++)
        free(lists[n]->at);
    free(model.weak);
}

/* Misuses in equal distances. */
static void go_wrong(void)
{
#ifdef MIDDEN_DEBUG
    if (run.misuses == 0)
        return;
    if (run.op == 1)
        wrong_begin();
    while (run.wrongs < run.misuses && run.wrongs < run.op * run.misuses / run.ops)
        wrong_once();
    if (run.op == run.ops)
        wrong_end();
#endif
}

int main(int argc, char **argv)
{
    run.seed = (uint64_t)time(NULL);
    run.ops = 100000;
    run.check_every = 100;
    run.live_target = 1500;
    run.max_objects = 16384;
    run.trace_from = UINT64_MAX;
    run.doing = "open";
    parse(argc, argv);
#ifndef MIDDEN_DEBUG
    if (run.misuses != 0) {
        fprintf(stderr, "stress: built without MIDDEN_DEBUG, use stress-debug\n");
        exit(2);
    }
#endif
    run.rng = run.seed;
    run.epoch = 1; /* an object never seen has 0 */
    printf("stress: --seed %" PRIu64 " --ops %" PRIu64 " --check-every %" PRIu64 " --mode %s --live %zu --max-objects %" PRIu64
           " --heap-limit %" PRIu64 "\n",
           run.seed, run.ops, run.check_every, mode_names[run.mode], run.live_target, run.max_objects, run.heap_limit);
    fflush(stdout);
    catch_crashes(on_crash);
    open_heap();
    for (run.op = 1; run.op <= run.ops; run.op++) {
        random_operation();
        go_wrong();
        if (run.check_every != 0 && run.op % run.check_every == 0) {
            run.doing = "audit";
            audit();
        }
    }
    if (run.mode >= MODE_DAEMON) {
        run.doing = "sync";
        sync_loose();
    }
    if (run.mode == MODE_DAEMON)
        daemon_end(run.daemon);
    close_heap();
    if (run.misuses != 0)
        printf("  %" PRIu64 " misuses, each told\n", run.wrongs);
    printf("  passed: %" PRIu64 " objects, %" PRIu64 " finalizers, %" PRIu64 " cyclic garbage, %" PRIu64 " moved, %" PRIu64 " renamed, %" PRIu64
           " refused, %" PRIu64 " audits\n",
           model.made, run.finalized, run.collected, run.moved, run.renamed, run.refused, run.audits);
    delays_end();
    free_tester();
    return 0;
}
