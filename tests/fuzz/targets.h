/* tests/fuzz/targets.h: what is done with arbitrary bytes. By the fuzzer (fuzz_*.c), and with the corpora by tests/unit/test_corpus.c.
 * Each ends the process when something does not hold. */
#ifndef MIDDEN_FUZZ_TARGETS_H
#define MIDDEN_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

/* The control protocol: bytes in pieces of any size give the requests and refusals that they give one by one; nothing that is
 * taken in exceeds the bound; and each `set` goes through the options' check. */
void fuzz_control(const uint8_t *data, size_t size);

/* mid_options_parse: what is accepted is in range, what is refused changes nothing, and the result said in numbers is read again. */
void fuzz_options(const uint8_t *data, size_t size);

#endif
