/* tests/fuzz/fuzz_control.c: the entry that libFuzzer calls. */
#include "targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_control(data, size);
    return 0;
}
