/* cmd_plan.c: from a request to the list of runs: workloads x parameter values x heaps x variants. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { VALUES_MAX = 16 };
struct values {
    uint64_t at[VALUES_MAX];
    size_t count;
};

bool bench_choice_has(const struct choice *choice, const char *name)
{
    for (size_t i = 0; i < choice->count; i++)
        if (strcmp(choice->name[i], name) == 0)
            return true;
    return false;
}

/* "10,100" up to a space or the end. */
static bool parse_values(const char *name, const char *text, struct values *values)
{
    values->count = 0;
    for (;;) {
        if (values->count == VALUES_MAX)
            return false;
        text = bench_param_read(name, text, &values->at[values->count++]);
        if (text == NULL)
            return false;
        if (*text == 0 || *text == ' ')
            return true;
        if (*text++ != ',')
            return false;
    }
}

/* Apply "name=values name=values ..." to a workload's values; names that it lacks are skipped. */
static bool apply(const struct bench_workload *workload, const char *text, struct values *values)
{
    while (*text) {
        char name[64];
        size_t length = strcspn(text, "=");
        if (text[length] == 0 || length >= sizeof name)
            return false;
        memcpy(name, text, length);
        name[length] = 0;
        text += length + 1;
        int at = bench_param_find(workload, name);
        if (at >= 0 && !parse_values(name, text, &values[at]))
            return false;
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    return true;
}

static bool heap_wanted(const struct bench_request *request, const struct bench_plan *plan, const char *heap)
{
    if (request->heaps.count && !bench_choice_has(&request->heaps, heap))
        return false;
    if (plan == NULL || plan->heaps == NULL)
        return true;
    const char *found = strstr(plan->heaps, heap);
    while (found && !((found == plan->heaps || found[-1] == ' ') && strchr(" ", found[strlen(heap)])))
        found = strstr(found + 1, heap);
    return found != NULL;
}

static bool variant_wanted(const struct bench_request *request, const struct bench_workload *workload,
                           const struct bench_plan *plan, const struct bench_variant *variant)
{
    if (!bench_variant_fits(variant, workload))
        return false;
    if (request->variants.count)
        return bench_choice_has(&request->variants, variant->name);
    return bench_variant_by_default(variant, workload) || (plan && plan->also && strcmp(plan->also, variant->name) == 0);
}

static bool append(struct bench_runs *runs, const struct bench_run *run)
{
    if (runs->count == runs->room) {
        size_t room = runs->room ? 2 * runs->room : 64;
        struct bench_run *grown = realloc(runs->run, room * sizeof *grown);
        if (grown == NULL) {
            fprintf(stderr, "midden bench: out of memory\n");
            return false;
        }
        runs->run = grown;
        runs->room = room;
    }
    runs->run[runs->count++] = *run;
    return true;
}

static bool add_heaps(const struct bench_request *request, const struct bench_plan *plan, struct bench_run *run,
                      struct bench_runs *runs)
{
    for (const struct bench_variant *v = bench_variants; v->name; v++) {
        run->variant = v;
        if (heap_wanted(request, plan, v->heap) && variant_wanted(request, run->workload, plan, v) && !append(runs, run))
            return false;
    }
    return true;
}

/* Every combination of the values from parameter `at` on. */
static bool add_values(const struct bench_request *request, const struct bench_plan *plan, const struct values *values, int at,
                       struct bench_run *run, struct bench_runs *runs)
{
    if (at == BENCH_PARAMS_MAX || run->workload->params[at].name == NULL)
        return add_heaps(request, plan, run, runs);
    for (size_t i = 0; i < values[at].count; i++) {
        run->params[at] = values[at].at[i];
        if (!add_values(request, plan, values, at + 1, run, runs))
            return false;
    }
    return true;
}

static bool in_range(const struct bench_param *param, const struct values *values)
{
    for (size_t i = 0; i < values->count; i++)
        if (values->at[i] < param->least || values->at[i] > param->most) {
            fprintf(stderr, "midden bench: --%s: from %" PRIu64 " to %" PRIu64 "\n", param->name, param->least, param->most);
            return false;
        }
    return true;
}

static bool add_workload(const struct bench_request *request, const struct bench_workload *workload,
                         const struct bench_plan *plan, struct bench_runs *runs)
{
    struct values values[BENCH_PARAMS_MAX] = {0};
    for (int i = 0; i < BENCH_PARAMS_MAX && workload->params[i].name; i++) {
        const struct bench_param *param = &workload->params[i];
        if (!parse_values(param->name, request->quick ? param->quick : param->value, &values[i]))
            return false;
    }
    if (plan && !request->quick && !apply(workload, plan->params, values))
        return false;
    for (size_t i = 0; i < request->assignments.count; i++) {
        if (!apply(workload, request->assignments.name[i], values)) {
            fprintf(stderr, "midden bench: --%s: no value that it takes, nor several with commas between\n",
                    request->assignments.name[i]);
            return false;
        }
    }
    for (int i = 0; i < BENCH_PARAMS_MAX && workload->params[i].name; i++)
        if (!in_range(&workload->params[i], &values[i]))
            return false;
    struct bench_run run = {.workload = workload, .once = plan && plan->once};
    return add_values(request, plan, values, 0, &run, runs);
}

/* A parameter that no chosen workload has is a mistake, not something to pass over. */
static bool assignments_fit(const struct bench_request *request)
{
    for (size_t i = 0; i < request->assignments.count; i++) {
        char name[64];
        bool fits = false;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(request->assignments.name[i], "="), request->assignments.name[i]);
        for (const struct bench_workload *w = bench_workloads; w->name; w++)
            if (request->workloads.count == 0 || bench_choice_has(&request->workloads, w->name))
                fits |= bench_param_find(w, name) >= 0;
        if (!fits) {
            fprintf(stderr, "midden bench: --%s is an option of no chosen workload; see --list\n", name);
            return false;
        }
    }
    return true;
}

bool bench_plan_make(const struct bench_request *request, struct bench_runs *runs)
{
    if (!assignments_fit(request))
        return false;
    bool ok = true;
    if (request->workloads.count || request->quick) {
        for (const struct bench_workload *w = bench_workloads; ok && w->name; w++)
            if (request->workloads.count == 0 || bench_choice_has(&request->workloads, w->name))
                ok = add_workload(request, w, NULL, runs);
    } else {
        for (const struct bench_plan *plan = bench_table_set; ok && plan->workload; plan++)
            ok = add_workload(request, bench_workload_find(plan->workload), plan, runs);
    }
    if (ok && runs->count == 0)
        fprintf(stderr, "midden bench: no chosen heap has a chosen variant for a chosen workload; see --list\n");
    return ok && runs->count > 0;
}

void bench_plan_free(struct bench_runs *runs)
{
    free(runs->run);
    *runs = (struct bench_runs){0};
}

void bench_describe(const struct bench_workload *workload, const uint64_t *values, char *text, size_t room)
{
    size_t length = 0;
    text[0] = 0;
    for (int i = 0; i < BENCH_PARAMS_MAX && workload->params[i].name && length < room; i++) {
        const struct bench_param *param = &workload->params[i];
        char value[24];
        bench_param_write(param->name, values[i], value, sizeof value);
        if (i == 0 || strcmp(value, param->value) != 0)
            length += (size_t)snprintf(text + length, room - length, "%s%s=%s", length ? " " : "", param->name, value);
    }
}
