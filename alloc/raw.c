/* alloc/raw.c: libc's allocator, for the domain that is nothing else. The library itself asks for no memory here; the only
 * file that may. */
#include <malloc.h>
#include <stdlib.h>

#include "alloc/alloc.h"

void *mid_libc_new(size_t size, bool clear)
{
    return clear ? calloc(1, size) : malloc(size);
}

void *mid_libc_resize(void *at, size_t size)
{
    return realloc(at, size);
}

void mid_libc_free(void *at)
{
    free(at);
}

size_t mid_libc_bytes(void *at)
{
    return malloc_usable_size(at) + sizeof(size_t); /* glibc's own word before each */
}
