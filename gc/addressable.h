/* gc/addressable.h: what memory a program may touch, for tools that watch it. ASan is asked by symbols that are null where it is not
 * linked, so that a library built without it serves a program built with it; valgrind by client requests, a few instructions that do
 * nothing outside it. Neither is needed, to build or to run. */
#ifndef MID_GC_ADDRESSABLE_H
#define MID_GC_ADDRESSABLE_H

#include <stddef.h>

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif
#ifndef VALGRIND_MAKE_MEM_NOACCESS
#define VALGRIND_MAKE_MEM_NOACCESS(at, size) ((void)(at), (void)(size))
#define VALGRIND_MAKE_MEM_DEFINED(at, size) ((void)(at), (void)(size))
#define VALGRIND_MAKE_MEM_UNDEFINED(at, size) ((void)(at), (void)(size))
#endif

extern void __asan_poison_memory_region(const volatile void *at, size_t size) __attribute__((weak));
extern void __asan_unpoison_memory_region(const volatile void *at, size_t size) __attribute__((weak));

static inline void mid_unaddressable(const void *at, size_t size)
{
    if (__asan_poison_memory_region != NULL)
        __asan_poison_memory_region(at, size);
    (void)VALGRIND_MAKE_MEM_NOACCESS(at, size);
}
static inline void mid_addressable(const void *at, size_t size)
{
    if (__asan_unpoison_memory_region != NULL)
        __asan_unpoison_memory_region(at, size);
    (void)VALGRIND_MAKE_MEM_DEFINED(at, size);
}
/* Its bytes mean nothing yet: valgrind tells who decides by them. */
static inline void mid_unwritten(const void *at, size_t size)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(at, size);
}

#endif
