/* backend_boehm.h: Boehm's collector. GC_THREADS, so that GC_malloc serves from thread-local free lists. */
#ifndef BENCH_BACKEND_BOEHM_H
#define BENCH_BACKEND_BOEHM_H

#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#include <gc.h>

#define BE_EXPLICIT 0
#define BE_MOVES 0
#define BE_COUNTS 0
#define BE_ARRAY_SLOT(i) ((unsigned)(i))

typedef struct be_heap be_heap;
typedef void *be_ref;
typedef void *be_slot;
typedef size_t be_type; /* bytes of a node; of leaf data: whether it is allocated as such */
typedef void *be_watch; /* a disappearing link */

static inline be_ref be_made_(void *made)
{
    if (__builtin_expect(made == NULL, 0))
        be_die("GC_malloc", "out of memory");
    return made;
}

static inline be_ref be_new(be_heap *h, be_type type)
{
    (void)h;
    return be_made_(GC_MALLOC(type));
}

static inline be_ref be_bytes(be_heap *h, be_type atomic, size_t size)
{
    (void)h;
    struct blob *made = be_made_(atomic ? GC_MALLOC_ATOMIC(size) : GC_MALLOC(size));
    made->length = (uint32_t)(size - BLOB_HEAD);
    return made;
}

static inline be_ref be_array(be_heap *h, be_type type, size_t items)
{
    (void)h, (void)type;
    return be_made_(GC_MALLOC_IGNORE_OFF_PAGE(items * sizeof(be_slot)));
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

/* GC_malloc clears. */
static inline void be_init_none(be_heap *h, be_ref node, unsigned slot)
{
    (void)h, (void)node, (void)slot;
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

static inline void be_replace(be_heap *h, be_ref node, unsigned slot, be_ref value)
{
    be_init(h, node, slot, value);
}

static inline void be_discard(be_heap *h, be_ref ref)
{
    (void)h, (void)ref;
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
