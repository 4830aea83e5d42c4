/* midden/os.h: where memory comes from. An embedder may replace the whole table, per heap; every byte
 * the heap uses passes through it (the library calls no malloc).
 *
 * Every call may come from any thread, but never two at once for one heap. Sizes and addresses
 * are multiples of 4 KiB, reservations and their `align` of 64 KiB. A function that fails returns null or false; the heap
 * then returns MID_ENOMEM and stays intact. None may call back into the heap. */
#ifndef MIDDEN_OS_H
#define MIDDEN_OS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct mid_os {
    /* Set aside `size` bytes of address space aligned to `align`; no memory need stand behind it yet.
     * Null: refused. */
    void *(*reserve)(void *ctx, size_t size, size_t align);
    /* Make part of a reservation readable and writable. Pages committed for the first time, or again
     * after a decommit, read as zero; pages that are committed already keep what is in them. False: refused. */
    bool (*commit)(void *ctx, void *at, size_t size);
    /* Give the memory of a part back to the system and keep the addresses; pages of it may never have been
     * committed. It cannot fail as far as the heap is concerned; what is used again is committed again first. What had been
     * committed stays readable, and reads as zero: the handle table has such parts among those in use, and threads may be looking
     * into pools that go. */
    void (*decommit)(void *ctx, void *at, size_t size);
    /* Give a whole reservation back. */
    void (*release)(void *ctx, void *at, size_t size);
    /* A mapping of its own, readable, writable and zero; and the same grown or shrunk, moved if it must
     * be, its contents kept (mremap). Null: refused, the old mapping stays as it was. */
    void *(*map)(void *ctx, size_t size);
    void *(*remap)(void *ctx, void *at, size_t old_size, size_t new_size);
    void (*unmap)(void *ctx, void *at, size_t size);
    /* Hint that a committed range is dense and long-lived (transparent huge pages). May be null. */
    void (*advise_huge)(void *ctx, void *at, size_t size);
    void *ctx;
} mid_os;

#endif
