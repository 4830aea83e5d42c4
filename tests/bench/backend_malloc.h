/* backend_malloc.h: malloc and free. The same object code is linked with glibc's, mimalloc's and jemalloc's. */
#ifndef BENCH_BACKEND_MALLOC_H
#define BENCH_BACKEND_MALLOC_H

#include <stdlib.h>

#define BE_EXPLICIT 1
#define BE_MOVES 0
#define BE_COUNTS 0
#define BE_ARRAY_SLOT(i) ((unsigned)(i))

typedef struct be_heap be_heap;
typedef void *be_ref;
typedef void *be_slot;
typedef size_t be_type; /* bytes of a node */
typedef void *be_watch; /* never used: what is dropped is freed */

static inline be_ref be_new(be_heap *h, be_type type)
{
    (void)h;
    void *made = malloc(type);
    if (__builtin_expect(made == NULL, 0))
        be_die("malloc", "out of memory");
    return made;
}

static inline be_ref be_bytes(be_heap *h, be_type type, size_t size)
{
    (void)type;
    struct blob *made = be_new(h, size);
    made->length = (uint32_t)(size - BLOB_HEAD);
    return made;
}

static inline be_ref be_array(be_heap *h, be_type type, size_t items)
{
    (void)h, (void)type;
    void *made = calloc(items, sizeof(be_slot));
    if (made == NULL)
        be_die("calloc", "out of memory");
    return made;
}

static inline void *be_at(be_heap *h, be_ref ref)
{
    (void)h;
    return ref;
}

static inline be_ref be_peek(be_heap *h, be_ref node, unsigned slot)
{
    (void)h;
    return ((be_slot *)node)[slot];
}

static inline void be_init(be_heap *h, be_ref node, unsigned slot, be_ref value)
{
    (void)h;
    ((be_slot *)node)[slot] = value;
}

static inline void be_init_none(be_heap *h, be_ref node, unsigned slot)
{
    be_init(h, node, slot, NULL);
}

static inline be_ref be_share(be_heap *h, be_ref value)
{
    (void)h;
    return value;
}

static inline void be_store(be_heap *h, be_ref node, unsigned slot, be_ref value)
{
    be_init(h, node, slot, value);
}

static inline void be_discard(be_heap *h, be_ref ref)
{
    (void)h;
    free(ref);
}

static inline void be_replace(be_heap *h, be_ref node, unsigned slot, be_ref value)
{
    be_discard(h, be_peek(h, node, slot));
    be_init(h, node, slot, value);
}

static inline be_ref be_load(be_heap *h, be_ref node, unsigned slot)
{
    (void)h;
    return __atomic_load_n(&((be_slot *)node)[slot], __ATOMIC_ACQUIRE);
}

static inline void be_unload(be_heap *h, be_ref ref)
{
    (void)h, (void)ref;
}

static inline void be_put(be_heap *h, be_ref node, unsigned slot, be_ref value)
{
    (void)h;
    __atomic_store_n(&((be_slot *)node)[slot], value, __ATOMIC_RELEASE);
}

static inline be_ref be_swap(be_heap *h, be_ref node, unsigned slot, be_ref value)
{
    (void)h;
    return __atomic_exchange_n(&((be_slot *)node)[slot], value, __ATOMIC_ACQ_REL);
}

static inline void be_transfer(be_heap *h, be_heap *to, be_ref root)
{
    (void)h, (void)to, (void)root;
}

static inline void be_poll(be_heap *h)
{
    (void)h;
}

#endif
