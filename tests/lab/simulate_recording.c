/* simulate_recording.c: a recording as text: lines "seconds key=value ...". */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "simulate.h"

#define LINE_MOST 4096
#define NUMBER_MOST (UINT64_C(1) << 48)
#define SECONDS_MOST UINT64_C(1000000000)

static const char *const mutators[] = {"none", "running", "blocked", "busy", NULL};
static const char *const levels[] = {"calm", "trim", "compact", "everything", NULL};

/* `words` null: a number, of which `least` and `most` are possible. */
static const struct key {
    const char *name;
    size_t at;
    const char *const *words;
    uint64_t least, most;
} keys[] = {
    {"mutator", offsetof(sim_signal, mutator), mutators, 0, 0},
    {"allocate", offsetof(sim_signal, allocate), NULL, 0, UINT64_C(1) << 40},
    {"garbage", offsetof(sim_signal, garbage), NULL, 0, 100},
    {"holes", offsetof(sim_signal, holes), NULL, 0, 100},
    {"live", offsetof(sim_signal, live), NULL, 0, NUMBER_MOST},
    {"object", offsetof(sim_signal, object), NULL, 8, 32768},
    {"limit", offsetof(sim_signal, limit), NULL, 0, NUMBER_MOST},
    {"others", offsetof(sim_signal, others), NULL, 0, NUMBER_MOST},
    {"machine", offsetof(sim_signal, machine), NULL, 0, NUMBER_MOST},
    {"free", offsetof(sim_signal, free), NULL, 0, NUMBER_MOST},
    {"some", offsetof(sim_signal, some), NULL, 0, 1000},
    {"full", offsetof(sim_signal, full), NULL, 0, 1000},
    {"said", offsetof(sim_signal, said), levels, 0, 0},
    {"watch", offsetof(sim_signal, watch), levels, 0, 0},
    {"signal", offsetof(sim_signal, signal), levels, 0, 0},
};

/* Digits, and K, M or G: of 1024. */
static bool read_number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    char *end;
    if (*text < '0' || *text > '9' || strlen(text) > 19)
        return false;
    uint64_t number = strtoull(text, &end, 10);
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (shift != 0)
        end++;
    if (*end != 0 || number > most >> shift || number << shift < least)
        return false;
    *value = number << shift;
    return true;
}

static bool read_word(const char *text, const char *const *words, uint64_t *value)
{
    for (uint64_t i = 0; words[i] != NULL; i++)
        if (strcmp(text, words[i]) == 0) {
            *value = i;
            return true;
        }
    return false;
}

/* Seconds with at most six digits behind the point. */
static bool read_time(const char *text, uint64_t *micros)
{
    uint64_t whole = 0, part = 0, unit = 1000000;
    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9' && whole <= SECONDS_MOST; text++)
        whole = whole * 10 + (uint64_t)(*text - '0');
    if (*text == '.')
        for (text++; *text >= '0' && *text <= '9' && unit > 1; text++)
            part += (uint64_t)(*text - '0') * (unit /= 10);
    *micros = whole * 1000000 + part;
    return *text == 0 && whole <= SECONDS_MOST;
}

static const char *read_pair(char *pair, sim_signal *into)
{
    char *value = strchr(pair, '=');
    if (value == NULL)
        return "what is not a time has the form key=value";
    *value++ = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        uint64_t *field = (uint64_t *)((char *)into + keys[i].at);
        if (strcmp(pair, keys[i].name) != 0)
            continue;
        bool good = keys[i].words != NULL ? read_word(value, keys[i].words, field) : read_number(value, keys[i].least, keys[i].most, field);
        into->saying += good && strcmp(pair, "said") == 0;
        return good ? NULL : "a value is malformed or out of range";
    }
    return "a key is not known";
}

static const char *read_line(char *text, sim_signal *into)
{
    char *rest, *word = strtok_r(text, " \t\r\n", &rest);
    uint64_t before = into->at;
    into->watch = into->signal = MID_PRESSURE_CALM;
    if (!read_time(word, &into->at))
        return "it does not begin with a time in seconds";
    if (into->at < before)
        return "time goes back";
    while ((word = strtok_r(NULL, " \t\r\n", &rest)) != NULL) {
        const char *reason = read_pair(word, into);
        if (reason != NULL)
            return reason;
    }
    return NULL;
}

static bool add(sim_recording *recording, const sim_signal *line)
{
    if ((recording->count & (recording->count - 1)) == 0) {
        size_t room = recording->count == 0 ? 1 : 2 * recording->count;
        sim_signal *lines = realloc(recording->lines, room * sizeof *lines);
        if (lines == NULL)
            return false;
        recording->lines = lines;
    }
    recording->lines[recording->count++] = *line;
    return true;
}

static bool blank(const char *text)
{
    text += strspn(text, " \t\r\n");
    return *text == 0 || *text == '#';
}

bool sim_recording_read(sim_recording *recording, FILE *file, unsigned long *line, const char **reason)
{
    char text[LINE_MOST];
    sim_signal now = {.mutator = SIM_RUNNING, .holes = 30, .object = 64};
    *recording = (sim_recording){.lines = NULL};
    *reason = NULL;
    for (*line = 1; *reason == NULL && fgets(text, sizeof text, file) != NULL; (*line)++) {
        if (strlen(text) == sizeof text - 1)
            *reason = "it is too long";
        else if (!blank(text) && (*reason = read_line(text, &now)) == NULL && !add(recording, &now))
            *reason = "there is no memory for it";
    }
    (*line)--;
    if (*reason == NULL && (ferror(file) || recording->count < 2)) {
        *line = 0;
        *reason = ferror(file) ? "it cannot be read" : "it has no two lines: the last is its end";
    }
    if (*reason != NULL)
        sim_recording_free(recording);
    return *reason == NULL;
}

void sim_recording_free(sim_recording *recording)
{
    free(recording->lines);
    *recording = (sim_recording){.lines = NULL};
}
