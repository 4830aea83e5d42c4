/* tests/fuzz/fuzz_pressure.c: the entry that libFuzzer calls. */
#include "targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_pressure(data, size);
    return 0;
}
