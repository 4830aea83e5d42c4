/* catalog.h: the names there are: workloads with their parameters, heaps with their variants, and the set that makes up the
 * published table. Shared by `midden bench` and the worker programs, so that neither can know a name that the other does not. */
#ifndef BENCH_CATALOG_H
#define BENCH_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a workload is like; decides which variants of a heap make sense for it. */
enum {
    WL_LEAVES = 1, /* allocates leaf data */
    WL_NODES = 2,  /* allocates objects with references, on no cycle */
    WL_CYCLES = 4, /* leaves garbage cycles: needs a collector, or explicit freeing */
    WL_PAUSES = 8, /* about the longest stop */
    WL_PER_OP = 16,  /* shown in nanoseconds an operation, not in seconds */
    WL_THREADS = 32, /* has --threads, its first parameter; shown in operations a second, in a table of its own */
    WL_OWN = 64,     /* asks something of midden that peers are not asked */
    WL_GARBAGE = 128, /* about what garbage is outstanding, and what collecting it takes */
    WL_MEMORY = 256   /* about what stays resident, for how long, and what giving it back takes; has --hold */
};

#define BENCH_PARAMS_MAX 8
struct bench_param {
    const char *name;
    const char *value; /* a number (of some a word), or several with commas between: one run each */
    const char *quick; /* what --quick puts in its place */
    const char *meaning;
    uint64_t least, most;
};

struct bench_workload {
    const char *name, *summary;
    unsigned kind;
    struct bench_param params[BENCH_PARAMS_MAX];
};

struct bench_variant {
    const char *heap, *name;
    unsigned needs;     /* the workload has one of these, or needs is 0 */
    unsigned forbids;   /* ... and none of these */
    unsigned by_default; /* runs without being named for workloads of these kinds; ~0: for all */
    unsigned unless;     /* ... but not for those of these */
};

/* One line of the set behind the table. */
struct bench_plan {
    const char *workload;
    const char *params; /* "name=value ..." over the defaults */
    const char *heaps;  /* null: all; else a list with spaces */
    const char *also;   /* null, or a variant that runs beside those by default */
    bool once;          /* too long to be repeated */
};

extern const struct bench_workload bench_workloads[]; /* all end with a null name */
extern const struct bench_variant bench_variants[];
extern const struct bench_plan bench_table_set[];
extern const char *const bench_heaps[];

const struct bench_workload *bench_workload_find(const char *name);
bool bench_heap_known(const char *name);
bool bench_variant_fits(const struct bench_variant *variant, const struct bench_workload *workload);
bool bench_variant_by_default(const struct bench_variant *variant, const struct bench_workload *workload);
/* The parameter's place in workload->params, or -1. */
int bench_param_find(const struct bench_workload *workload, const char *name);

/* Values are numbers; those of --garbage and --hold are these, and are written as words. */
enum garbage { GARBAGE_PAIRS, GARBAGE_ACYCLIC, GARBAGE_RINGS, GARBAGE_LISTS, GARBAGE_GIANT };
enum holding { HOLD_BESIDE, HOLD_ARRAY };
/* Where the value that `text` starts with ends; null: it starts with none. */
const char *bench_param_read(const char *name, const char *text, uint64_t *value);
/* The value's word; null: it is written as a number. */
const char *bench_param_word(const char *name, uint64_t value);
void bench_param_write(const char *name, uint64_t value, char *text, size_t room);

#endif
