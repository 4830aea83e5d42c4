/* All of test_local.c with the checked calls: each macro becomes one, and none of it is a misuse. */
#include "test_local.c"
