/* frozen.c: what mid_freeze is for. A tree is built, the process forks, the child reads all of it, taking a count of each node while
 * it looks; the kernel says how much of its memory was copied for that. Once as it is, once frozen. And what a count costs.
 *
 *   build/demo/frozen [DEPTH]   a tree of 2^DEPTH - 1 nodes; 20, if not said otherwise */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "midden/midden.h"

struct node {
    mid_slot left, right;
    uint64_t value;
};
#define LEFT MID_SLOT(struct node, left)
#define RIGHT MID_SLOT(struct node, right)

static void need(mid_status status)
{
    if (status == MID_OK)
        return;
    fprintf(stderr, "frozen: %s\n", mid_status_text(status));
    exit(1);
}

static mid_handle tree(mid_thread *thread, mid_type type, unsigned depth)
{
    mid_handle made;
    need(mid_new(thread, type, &made));
    if (depth > 1) {
        mid_init(thread, made, LEFT, tree(thread, type, depth - 1));
        mid_init(thread, made, RIGHT, tree(thread, type, depth - 1));
    }
    return made;
}

static uint64_t read_all(mid_thread *thread, mid_handle at)
{
    uint64_t nodes = 1;
    for (unsigned side = LEFT; side <= RIGHT; side++) {
        mid_handle child = mid_load(thread, at, side);
        nodes += child == 0 ? 0 : read_all(thread, child);
        mid_release(thread, child);
    }
    return nodes;
}

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

/* KiB of this process, of the lines that begin so. */
static uint64_t rollup(const char *name)
{
    char line[256], form[64];
    uint64_t sum = 0, kib;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    snprintf(form, sizeof form, "%s: %%" SCNu64, name);
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, form, &kib) == 1)
            sum += kib;
    if (file != NULL)
        fclose(file);
    return sum;
}

static void fork_and_read(mid_thread *thread, mid_handle root, const char *how)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        uint64_t before = rollup("Private_Dirty");
        double began = now();
        uint64_t nodes = read_all(thread, root);
        double took = (now() - began) / (double)nodes;
        need(mid_collect(thread, NULL));
        uint64_t copied = rollup("Private_Dirty") - before, resident = rollup("Rss");
        printf("| %s | %" PRIu64 " | %" PRIu64 " KiB | %" PRIu64 " KiB | %.2f %% | %.0f ns |\n", how, nodes, resident, copied,
               100.0 * (double)copied / (double)resident, took);
        fflush(stdout);
        _exit(0);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        exit(1);
}

static void count(mid_thread *thread, mid_handle object, const char *how)
{
    enum { TIMES = 1000000 };
    double began = now();
    for (int i = 0; i < TIMES; i++) {
        mid_retain(thread, object);
        mid_release(thread, object);
    }
    printf("a count taken and dropped, %s: %.1f ns\n", how, (now() - began) / TIMES);
}

int main(int argc, char **argv)
{
    static const uint32_t slots[] = {offsetof(struct node, left), offsetof(struct node, right)};
    mid_type_desc desc = {.struct_size = sizeof desc, .name = "node", .size = sizeof(struct node), .ref_offsets = slots, .ref_count = 2};
    unsigned depth = argc > 1 ? (unsigned)atoi(argv[1]) : 20;
    mid_heap *heap;
    mid_thread *thread;
    mid_type type;
    if (depth < 1 || depth > 26) {
        fprintf(stderr, "frozen: a depth is from 1 to 26\n");
        return 1;
    }
    need(mid_heap_open(&heap, NULL));
    need(mid_thread_attach(heap, &thread));
    need(mid_type_register(heap, &desc, &type));
    mid_handle root = tree(thread, type, depth);
    puts("| heap | nodes read in the child | resident | copied | of it | a node |");
    puts("|---|---:|---:|---:|---:|---:|");
    fork_and_read(thread, root, "as it is");
    double began = now();
    need(mid_freeze(thread));
    double froze = now() - began;
    fork_and_read(thread, root, "frozen");
    count(thread, root, "frozen");
    began = now();
    need(mid_unfreeze(thread));
    printf("freezing %.1f ms, thawing %.1f ms\n", froze / 1e6, (now() - began) / 1e6);
    count(thread, root, "thawed");
    mid_release(thread, root);
    need(mid_heap_close(heap));
    return 0;
}
