/* tests/stress/main.h: what the main() of both testers need: names of modes, numbers, crashes. */
#ifndef STRESS_MAIN_H
#define STRESS_MAIN_H

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/stress/run.h"

static const char *const mode_names[] = {"plain", "gc-every-safepoint", "daemon", "steps"};

/* splitmix64 */
static inline uint64_t random_next(uint64_t *rng)
{
    uint64_t z = *rng += 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

/* A crash is a finding like any other: `on_crash` says where in the run it was. A sanitizer's own handler tells more: it stays. */
static inline void catch_crashes(void (*on_crash)(int))
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
    for (unsigned n = 0; n < sizeof signals / sizeof signals[0]; n++) {
        struct sigaction now;
        if (sigaction(signals[n], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            signal(signals[n], on_crash);
    }
}

static inline uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 0);
    if (end == text || *end != '\0' || *text == '-') {
        fprintf(stderr, "stress: %s is no number\n", text);
        exit(2);
    }
    return value;
}

static inline bool mode_of(const char *name, enum mode *mode)
{
    unsigned n = 0;
    while (n < sizeof mode_names / sizeof mode_names[0] && strcmp(name, mode_names[n]) != 0)
        n++;
    *mode = n;
    return n < sizeof mode_names / sizeof mode_names[0];
}

#endif
