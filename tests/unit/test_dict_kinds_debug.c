/* All of test_dict_kinds.c on debug heaps: what it says of them, and everything else too. */
#include "test_dict_kinds.c"
