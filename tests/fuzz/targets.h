/* tests/fuzz/targets.h: what is done with arbitrary bytes. By the fuzzer (fuzz_*.c), and with the corpora by tests/unit/test_corpus.c.
 * Each ends the process when something does not hold. */
#ifndef MIDDEN_FUZZ_TARGETS_H
#define MIDDEN_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define NEED(condition)   \
    do {                  \
        if (!(condition)) \
            abort();      \
    } while (0)

/* The control protocol: bytes in pieces of any size give the requests and refusals that they give one by one; nothing that is
 * taken in exceeds the bound; each `set` goes through the options' check, and each `trace` through its parser. */
void fuzz_control(const uint8_t *data, size_t size);

/* mid_options_parse: what is accepted is in range, what is refused changes nothing, and the result said in numbers is read again. */
void fuzz_options(const uint8_t *data, size_t size);

/* The kernel's texts (daemon/figures.c), each parser fed with the same bytes, up to a zero and after it: what is refused changes no
 * figure, what is accepted is read again when it is said anew, and no more is written than there is room for. */
void fuzz_figures(const uint8_t *data, size_t size);

/* Levels (daemon/pressure.c) out of any readings, held against a second telling of docs/design/pressure.md: how long each source
 * holds, the gate, totals, rows of usage and limits; and a reading that says nothing new changes nothing. */
void fuzz_pressure(const uint8_t *data, size_t size);

/* A heap served by HTTP, a connection for each input, in pieces: it is answered or closed, what is answered has the headers that
 * every answer has, only who names this machine sees anything, and the next who asks is answered. */
void fuzz_http(const uint8_t *data, size_t size);

#endif
