/* faulty_worker.c: stands in for the worker programs in the test of how `midden bench` takes it when one of them fails. What
 * it does wrong is in the environment, for the heap named in FAULTY_HEAP only; others answer with a plain report. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *dash = strrchr(argv[0], '-'), *faulty = getenv("FAULTY_HEAP"), *fault = getenv("FAULT");
    const char *heap = dash ? dash + 1 : "";
    int now = faulty && fault && strcmp(heap, faulty) == 0;
    if (argc < 4)
        return 3;
    if (now && strcmp(fault, "crash") == 0)
        raise(SIGSEGV);
    if (now && strcmp(fault, "hang") == 0)
        for (;;)
            pause();
    if (now && strcmp(fault, "status") == 0)
        return 3;
    printf("heap %s 1.0\n", now && strcmp(fault, "heap") == 0 ? "other" : heap);
    if (now && strcmp(fault, "garbage") == 0)
        printf("phase run wall=many\n");
    printf("phase run wall=2000000000 cpu=1000000000 operations=1000 live=10 peak=20 net=-30 calls=1,2,3,4 pauses=- long=- mmu=- "
           "heap=- heapmmu=-\n");
    if (!(now && strcmp(fault, "cut") == 0))
        printf("done %s\n", now && strcmp(fault, "checksum") == 0 ? "bad" : "c0ffee");
    return 0;
}
