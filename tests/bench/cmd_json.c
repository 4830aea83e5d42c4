/* cmd_json.c: the machine, the file of results, and reading one back. */
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

/* The first line of `path` that starts with `key`, after `skip` characters; "" if there is none. */
static void line_of(const char *path, const char *key, const char *after, char *into, size_t room)
{
    char line[1024];
    FILE *file = fopen(path, "r");
    into[0] = 0;
    while (file && fgets(line, sizeof line, file)) {
        const char *from = strncmp(line, key, strlen(key)) == 0 ? strstr(line, after) : NULL;
        if (from) {
            snprintf(into, room, "%s", from + strlen(after));
            into[strcspn(into, "\n")] = 0;
            break;
        }
    }
    if (file)
        fclose(file);
}

/* What a reading of the clock costs: the floor of every latency that is reported. */
static json_int_t clock_ns(void)
{
    enum { READINGS = 100000 };
    struct timespec first, last;
    clock_gettime(CLOCK_MONOTONIC, &first);
    for (int i = 0; i < READINGS; i++)
        clock_gettime(CLOCK_MONOTONIC, &last);
    return ((last.tv_sec - first.tv_sec) * 1000000000ll + last.tv_nsec - first.tv_nsec) / READINGS;
}

json_t *bench_machine(void)
{
    char cpu[256], huge[128], date[32];
    struct utsname system;
    time_t now = time(NULL);
    struct tm utc;
    line_of("/proc/cpuinfo", "model name", ": ", cpu, sizeof cpu);
    line_of("/sys/kernel/mm/transparent_hugepage/enabled", "", "", huge, sizeof huge);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    uname(&system);
    json_int_t memory = (json_int_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    return json_pack("{s:s,s:i,s:I,s:s,s:s,s:s,s:s,s:s,s:I,s:s,s:{}}", "cpu", cpu, "processors",
                     (int)sysconf(_SC_NPROCESSORS_ONLN), "memory_bytes", memory, "kernel", system.release, "architecture",
                     system.machine, "transparent_hugepages", huge, "compiler", __VERSION__, "libc", gnu_get_libc_version(),
                     "clock_ns", clock_ns(), "date", date, "heaps");
}

static bool complain(const char *path, const char *why)
{
    fprintf(stderr, "midden bench: %s: %s\n", path, why);
    return false;
}

/* Write through to the disk: what is full should say so now and not in an hour. */
static bool write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return complain(path, strerror(errno));
    bool ok = fputs(text, file) >= 0 && fflush(file) == 0 && (fsync(fileno(file)) == 0 || errno == EINVAL || errno == EROFS);
    int error = errno;
    if (fclose(file) != 0 && ok)
        ok = false, error = errno;
    return ok || complain(path, strerror(error));
}

/* The trial is as large as results get, so that a disk that is nearly full is found out, too. JSON ignores white space, so a
 * device is tried with a newline; a pipe is not tried, for its reader would take the end of the trial for the end. */
bool bench_file_open(struct bench_file *file, const char *path)
{
    enum { TRIAL = 1 << 20 };
    struct stat info;
    *file = (struct bench_file){.path = path};
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return complain(path, strerror(EISDIR));
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return !S_ISCHR(info.st_mode) || write_text(path, "\n");
    if (access(path, F_OK) == 0 && access(path, W_OK) != 0)
        return complain(path, strerror(errno));
    size_t room = strlen(path) + 32;
    file->working = malloc(room);
    char *trial = malloc(TRIAL + 1);
    bool ok = file->working && trial;
    if (ok) {
        snprintf(file->working, room, "%s.part-%ld", path, (long)getpid());
        memset(trial, ' ', TRIAL);
        trial[TRIAL] = 0;
        ok = write_text(file->working, trial);
        unlink(file->working);
    }
    free(trial);
    if (!ok) {
        free(file->working);
        file->working = NULL;
    }
    return ok;
}

bool bench_file_save(struct bench_file *file, const json_t *document)
{
    char *text = json_dumps(document, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    if (text == NULL)
        return complain(file->path, "the results could not be written as JSON");
    bool ok = write_text(file->working ? file->working : file->path, text);
    free(text);
    if (ok && file->working && rename(file->working, file->path) != 0)
        ok = complain(file->path, strerror(errno));
    if (!ok && file->working)
        unlink(file->working);
    return ok;
}

void bench_file_close(struct bench_file *file)
{
    free(file->working);
    file->working = NULL;
}

static bool result_valid(const json_t *result)
{
    static const char *const strings[] = {"workload", "phase", "heap", "variant"};
    static const char *const numbers[] = {"repeat", "seconds", "cpu_seconds", "operations",
                                          "live_bytes", "peak_rss_bytes", "net_rss_bytes"};
    bool ok = json_is_object(json_object_get(result, "params"));
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        ok = ok && json_is_string(json_object_get(result, strings[i]));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        ok = ok && (json_is_number(json_object_get(result, numbers[i])) || json_is_null(json_object_get(result, numbers[i])));
    return ok;
}

json_t *bench_results_read(const char *path)
{
    json_error_t error;
    json_t *document = json_load_file(path, 0, &error);
    if (document == NULL) {
        fprintf(stderr, "midden bench: %s: line %d: %s\n", path, error.line, error.text);
        return NULL;
    }
    size_t i;
    json_t *result, *results = json_object_get(document, "results");
    bool ok = json_is_array(results) && json_is_object(json_object_get(document, "machine"));
    json_array_foreach(results, i, result)
        ok = ok && result_valid(result);
    if (ok)
        return document;
    fprintf(stderr, "midden bench: %s: this is no file of results\n", path);
    json_decref(document);
    return NULL;
}
