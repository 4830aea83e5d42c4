/* report_charts.c: which charts the page has, and their data. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#define IDLE_WIDTH 25.0 /* of the idle time after a replay, in percent of the replay's */
#define STEPS 24 /* of a factor of four */

static const char *trace_file(const json_t *replay)
{
    return report_text(json_object_get(replay, "trace"), "file");
}

/* Where a sample stands: percent of the operations, and behind them the idle time. */
static double place(const json_t *replay, const json_t *sample)
{
    double operations = report_number(replay, "operations"), idle = report_number(replay, "idle_seconds");
    double late = report_number(sample, "seconds") - report_number(replay, "seconds");
    if (report_number(sample, "op") < operations || !(idle > 0) || !(late > 0))
        return operations > 0 ? report_number(sample, "op") * 100 / operations : 0;
    return 100 + fmin(late / idle, 1) * IDLE_WIDTH;
}

static void curve(FILE *script, const json_t *replay, const char *key, int block)
{
    size_t i;
    json_t *sample;
    fprintf(script, "$c%d << EOD\n", block);
    json_array_foreach(json_object_get(replay, "samples"), i, sample)
        fprintf(script, "%.4f %.4f\n", place(replay, sample), report_number(sample, key) / 1e6);
    fputs("EOD\n", script);
}

static void footprint(FILE *script, const report *of, const char *file)
{
    size_t i;
    json_t *replay, *first = NULL;
    int blocks = 0;
    json_array_foreach(of->replays, i, replay) {
        if (strcmp(trace_file(replay), file) != 0)
            continue;
        if (first == NULL)
            curve(script, first = replay, "live_bytes", blocks++);
        curve(script, replay, "net_rss_bytes", blocks++);
    }
    if (report_number(first, "idle_seconds") > 0)
        fprintf(script, "set arrow from 100, graph 0 to 100, graph 1 nohead lc rgb '#888888'\n"
                "set label 'idle for %g s' at 101, graph 0.97\nset xrange [0:%g]\n",
                report_number(first, "idle_seconds"), 100 + IDLE_WIDTH);
    fputs("set xlabel 'percent of the operations'\nset ylabel 'MB'\nset yrange [0:*]\n"
          "plot $c0 with lines lw 2", script);
    report_style(script, "live", "");
    blocks = 1;
    json_array_foreach(of->replays, i, replay) {
        if (strcmp(trace_file(replay), file) != 0)
            continue;
        fprintf(script, ", $c%d with lines lw 2", blocks++);
        report_style(script, report_text(replay, "heap"), report_text(replay, "variant"));
    }
    fputc('\n', script);
}

/* Sum a histogram's buckets by powers of four; returns how many durations there are. */
static double by_step(const json_t *replay, const char *key, double steps[STEPS])
{
    size_t i;
    json_t *bucket;
    double total = 0;
    memset(steps, 0, STEPS * sizeof *steps);
    json_array_foreach(json_object_get(replay, key), i, bucket) {
        double below = report_number(bucket, "below_ns"), count = report_number(bucket, "count");
        int step = below > 1 ? (int)ceil(log2(below) / 2) : 0;
        steps[step < STEPS ? step : STEPS - 1] += count;
        total += count;
    }
    return total;
}

static void step_name(int step, char into[32])
{
    static const char *const units[] = {"ns", "µs", "ms", "s"};
    double value = exp2(2 * step);
    int unit = 0;
    for (; unit < 3 && value >= 1000; unit++)
        value /= 1000;
    snprintf(into, 32, "%.*f %s", unit != 0 && value < 10 ? 1 : 0, value, units[unit]);
}

/* One cluster of bars a power of four, a bar a heap. False: no heap has any such duration. */
static bool durations(FILE *script, const report *of, const char *file, const char *key)
{
    double steps[STEPS], sum[STEPS] = {0};
    int first = STEPS, last = -1, blocks = 0;
    size_t i;
    json_t *replay;
    json_array_foreach(of->replays, i, replay)
        if (strcmp(trace_file(replay), file) == 0 && by_step(replay, key, steps) > 0)
            for (int o = 0; o < STEPS; o++)
                sum[o] += steps[o];
    for (int o = 0; o < STEPS; o++)
        if (sum[o] > 0) {
            first = o < first ? o : first;
            last = o;
        }
    json_array_foreach(of->replays, i, replay) {
        if (strcmp(trace_file(replay), file) != 0 || by_step(replay, key, steps) <= 0)
            continue;
        fprintf(script, "$c%d << EOD\n", blocks++);
        for (int o = first; o <= last; o++) {
            char name[32];
            step_name(o, name);
            fprintf(script, "\"%s\" %.0f\n", name, steps[o]);
        }
        fputs("EOD\n", script);
    }
    fputs("set style data histograms\nset style histogram clustered gap 1\nset style fill solid 0.85 noborder\n"
          "set logscale y\nset yrange [0.5:*]\nset format y '%.0f'\n"
          "set xlabel 'shorter than'\nset ylabel 'how many'\n", script);
    blocks = 0;
    json_array_foreach(of->replays, i, replay) {
        if (strcmp(trace_file(replay), file) != 0 || by_step(replay, key, steps) <= 0)
            continue;
        fprintf(script, "%s $c%d using 2:xtic(1)", blocks == 0 ? "plot" : ",", blocks);
        report_style(script, report_text(replay, "heap"), report_text(replay, "variant"));
        blocks++;
    }
    fputc('\n', script);
    return blocks != 0;
}

/* The rows of r3: bars by phase, live first. */
static bool phases(FILE *script, const report *of)
{
    const char *heaps[8], *names[8];
    size_t heap_count = 0, phase_count = 0;
    for (size_t i = 0; i < of->row_count; i++) {
        const report_row *row = &of->rows[i];
        if (strncmp(row->work, "r3", 2) != 0 || isnan(row->value[COLUMN_NET]))
            continue;
        size_t h = 0, p = 0;
        while (h < heap_count && strcmp(heaps[h], row->heap) != 0)
            h++;
        while (p < phase_count && strcmp(names[p], row->phase) != 0)
            p++;
        if (h < 8 && h == heap_count)
            heaps[heap_count++] = row->heap;
        if (p < 8 && p == phase_count)
            names[phase_count++] = row->phase;
    }
    for (size_t h = 0; h <= heap_count; h++) {
        fprintf(script, "$c%zu << EOD\n", h);
        for (size_t p = 0; p < phase_count; p++)
            for (size_t i = 0; i < of->row_count; i++) {
                const report_row *row = &of->rows[i];
                if (strncmp(row->work, "r3", 2) == 0 && strcmp(row->phase, names[p]) == 0 &&
                    strcmp(row->heap, heaps[h != 0 ? h - 1 : 0]) == 0) {
                    fprintf(script, "%zu %g\n", p, row->value[h != 0 ? COLUMN_NET : COLUMN_LIVE]);
                    break;
                }
            }
        fputs("EOD\n", script);
    }
    fputs("set style data histograms\nset style histogram clustered gap 1\nset style fill solid 0.85 noborder\n"
          "set yrange [0:*]\nset ylabel 'MB'\nset xtics (", script);
    for (size_t p = 0; p < phase_count; p++)
        fprintf(script, "%s'%.*s' %zu", p != 0 ? ", " : "", (int)strcspn(names[p], "'\n"), names[p], p);
    fputs(")\nplot $c0 using 2", script);
    report_style(script, "live", "");
    for (size_t h = 0; h < heap_count; h++) {
        char heap[48];
        snprintf(heap, sizeof heap, "%s", heaps[h]);
        char *space = strchr(heap, ' ');
        if (space != NULL)
            *space = 0;
        fprintf(script, ", $c%zu using 2", h + 1);
        report_style(script, heap, space != NULL ? space + 1 : "");
    }
    fputc('\n', script);
    return heap_count != 0;
}

static void chart(report *of, FILE *page, const char *title, const char *file, const char *key)
{
    char *script = NULL;
    size_t length = 0;
    FILE *into = open_memstream(&script, &length);
    bool any = into != NULL;
    if (any && file == NULL)
        any = phases(into, of);
    else if (any && key == NULL)
        footprint(into, of, file);
    else if (any)
        any = durations(into, of, file, key);
    if (into != NULL && fclose(into) == 0 && any)
        report_draw(of, page, title, script);
    free(script);
}

static bool is_first(const report *of, size_t index, const char *file)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(trace_file(json_array_get(of->replays, i)), file) == 0)
            return false;
    return true;
}

void report_charts(report *of, FILE *page)
{
    size_t i;
    json_t *replay;
    char title[600];
    json_array_foreach(of->replays, i, replay) {
        const char *file = trace_file(replay), *slash = strrchr(file, '/');
        if (!is_first(of, i, file))
            continue;
        const char *name = slash != NULL ? slash + 1 : file;
        fputs("<h3>Replay of ", page);
        report_escape(page, name);
        fputs("</h3>\n<p class=\"command\">", page);
        report_escape(page, report_text(json_object_get(replay, "trace"), "command"));
        fputs("</p>\n", page);
        snprintf(title, sizeof title, "Replay of %.200s: live bytes and resident memory", name);
        chart(of, page, title, file, NULL);
        snprintf(title, sizeof title, "Replay of %.200s: how long the program was stopped, by length of the stop", name);
        chart(of, page, title, file, "histogram");
        snprintf(title, sizeof title, "Replay of %.200s: how long calls took", name);
        chart(of, page, title, file, "call_histogram");
    }
    chart(of, page, "r3: live bytes and resident memory after each phase", NULL, NULL);
}
