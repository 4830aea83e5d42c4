/* gc/domain.c: the domains' allocators, what each has been asked for, and the domain raw. */
#include <stdio.h>
#include <string.h>

#include "gc/debug.h"
#include "gc/heap.h"

__thread const void *mid_called_by;

/* --- figures --------------------------------------------------------------------------------------------------------------------- */

static void add(int64_t *figure, int64_t *peak, int64_t more)
{
    int64_t now = __atomic_add_fetch(figure, more, __ATOMIC_RELAXED), was = MID_READ_(*peak);
    while (now > was && !__atomic_compare_exchange_n(peak, &was, now, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

void mid_tally_add(mid_tally *tally, int64_t blocks, int64_t asked, int64_t taken)
{
    add(&tally->blocks, &tally->peak_blocks, blocks);
    add(&tally->asked, &tally->peak_asked, asked);
    add(&tally->taken, &tally->peak_taken, taken);
}

static uint64_t higher(uint64_t now, int64_t *peak)
{
    add(&(int64_t){(int64_t)now}, peak, 0);
    return (uint64_t)MID_READ_(*peak);
}

mid_status mid_stats_domain(mid_heap *heap, mid_domain domain, mid_domain_stats *stats, size_t size)
{
    if (heap == NULL || stats == NULL)
        return MID_ENULL;
    if ((unsigned)domain >= MID_DOMAIN_COUNT)
        return MID_EINVAL;
    mid_tally *t = &heap->domains.tally[domain];
    mid_lock(heap);
    mid_domain_stats s = {
        .live_blocks = (uint64_t)MID_READ_(t->blocks),
        .asked_bytes = (uint64_t)MID_READ_(t->asked),
        .taken_bytes = (uint64_t)MID_READ_(t->taken),
        .allocations = MID_READ_(t->made),
        .reallocations = MID_READ_(t->resized),
        .frees = MID_READ_(t->freed),
        .refused = MID_READ_(t->refused),
    };
    if (domain == MID_DOMAIN_MEM)
        mid_mem_sum(heap, &s);
    mid_unlock(heap);
    s.peak_blocks = higher(s.live_blocks, &t->peak_blocks);
    s.peak_asked_bytes = higher(s.asked_bytes, &t->peak_asked);
    s.peak_taken_bytes = higher(s.taken_bytes, &t->peak_taken);
    memcpy(stats, &s, size < sizeof s ? size : sizeof s);
    return MID_OK;
}

/* --- raw -------------------------------------------------------------------------------------------------------------------------- */

/* Before each block. The mark tells it from others; it is taken off by a free. */
typedef struct raw_head {
    size_t size;
    uintptr_t mark;
} raw_head;
_Static_assert(sizeof(raw_head) == 16, "blocks stay as aligned as libc's");

#define RAW_MOST ((size_t)PTRDIFF_MAX - sizeof(raw_head))

static uintptr_t mark_of(const mid_heap *heap, const raw_head *head)
{
    return (uintptr_t)0x6d69646465ull << 20 ^ (uintptr_t)heap ^ (uintptr_t)head;
}

/* What is before the begin of one of the heap's own mappings may be nobody's. */
static raw_head *head_of(mid_heap *heap, uintptr_t block)
{
    raw_head *head = (raw_head *)block - 1;
    if (block % sizeof(raw_head) != 0 || block < MID_PAGE)
        return NULL;
    if (block % MID_PAGE == 0) {
        mid_lock(heap);
        bool ours = mid_arena_known(&heap->alloc, mid_arena_of((void *)block)) || mid_mapping_name(&heap->alloc, (void *)block) != 0;
        mid_unlock(heap);
        if (ours)
            return NULL;
    }
    return head->mark == mark_of(heap, head) ? head : NULL;
}

static inline mid_status room_new(mid_heap *heap, size_t size, size_t room, bool clear, void **block)
{
    mid_tally *tally = &heap->domains.tally[MID_DOMAIN_RAW];
    if (size > RAW_MOST || room > RAW_MOST)
        return MID_ESIZE;
    raw_head *head = mid_libc_new(room + sizeof *head, clear);
    if (head == NULL) {
        mid_tally_count(&tally->refused, 1);
        return MID_ENOMEM;
    }
    *head = (raw_head){size, mark_of(heap, head)};
    mid_tally_add(tally, 1, (int64_t)size, (int64_t)mid_libc_bytes(head));
    mid_tally_count(&tally->made, 1);
    *block = head + 1;
    return MID_OK;
}

mid_status mid_raw_room_new(mid_heap *heap, size_t size, size_t room, bool clear, void **block)
{
    return room_new(heap, size, room, clear, block);
}

static mid_status raw_new(mid_heap *heap, size_t size, bool clear, uintptr_t *block)
{
    void *made = NULL;
    mid_status status = room_new(heap, size, size, clear, &made);
    *block = (uintptr_t)made;
    return status;
}

static mid_status raw_malloc(void *context, mid_caller caller, size_t size, uintptr_t *block)
{
    (void)context;
    return raw_new(caller.heap, size, false, block);
}

static mid_status raw_calloc(void *context, mid_caller caller, size_t count, size_t size, uintptr_t *block)
{
    size_t bytes;
    (void)context;
    return __builtin_mul_overflow(count, size, &bytes) ? MID_ESIZE : raw_new(caller.heap, bytes, true, block);
}

/* Of a block that is known to be one. */
mid_status mid_raw_room_resize(mid_heap *heap, void **block, size_t size, size_t room)
{
    mid_tally *tally = &heap->domains.tally[MID_DOMAIN_RAW];
    raw_head *head = (raw_head *)*block - 1;
    if (size > RAW_MOST || room > RAW_MOST)
        return MID_ESIZE;
    int64_t asked = (int64_t)head->size, taken = (int64_t)mid_libc_bytes(head);
    raw_head *to = mid_libc_resize(head, room + sizeof *head);
    if (to == NULL) {
        mid_tally_count(&tally->refused, 1);
        return MID_ENOMEM;
    }
    *to = (raw_head){size, mark_of(heap, to)};
    mid_tally_add(tally, 0, (int64_t)size - asked, (int64_t)mid_libc_bytes(to) - taken);
    mid_tally_count(&tally->resized, 1);
    *block = to + 1;
    return MID_OK;
}

static mid_status raw_realloc(void *context, mid_caller caller, uintptr_t *block, size_t size)
{
    if (*block == 0)
        return raw_malloc(context, caller, size, block);
    if (size > RAW_MOST)
        return MID_ESIZE;
    if (head_of(caller.heap, *block) == NULL)
        return MID_EBLOCK;
    void *at = (void *)*block;
    mid_status status = mid_raw_room_resize(caller.heap, &at, size, size);
    *block = (uintptr_t)at;
    return status;
}

static inline void withdraw(mid_heap *heap, raw_head *head)
{
    mid_tally *tally = &heap->domains.tally[MID_DOMAIN_RAW];
    mid_tally_add(tally, -1, -(int64_t)head->size, -(int64_t)mid_libc_bytes(head));
    mid_tally_count(&tally->freed, 1);
    head->mark = 0;
}

void mid_raw_withdraw(mid_heap *heap, void *block)
{
    withdraw(heap, (raw_head *)block - 1);
}

void mid_raw_put_back(void *block)
{
    mid_libc_free((raw_head *)block - 1);
}

static mid_status raw_free(void *context, mid_caller caller, uintptr_t block)
{
    (void)context;
    if (block == 0)
        return MID_OK;
    raw_head *head = head_of(caller.heap, block);
    if (head == NULL)
        return MID_EBLOCK;
    withdraw(caller.heap, head);
    mid_libc_free(head);
    return MID_OK;
}

static const mid_allocator raw_own = {NULL, raw_malloc, raw_calloc, raw_realloc, raw_free, 1};

static mid_status raw_some(mid_heap *heap, size_t count, size_t size, bool clear, void **out, const void *from)
{
    uintptr_t block = 0;
    if (heap == NULL || out == NULL)
        return MID_ENULL;
    const void *outer = MID_UNLIKELY_(heap->debug) ? mid_called_from(from) : NULL;
    mid_status status = mid_domain_new((mid_caller){heap, NULL}, MID_DOMAIN_RAW, count, size, clear, &block);
    if (MID_UNLIKELY_(heap->debug))
        mid_called_by = outer;
    if (status == MID_OK)
        mid_trace_block_made(NULL, heap, MID_TRACE_RAW, block, count * size, from);
    *out = (void *)block;
    return status;
}

mid_status mid_raw_malloc(mid_heap *heap, size_t size, void **out)
{
    return raw_some(heap, 1, size, false, out, __builtin_return_address(0));
}

mid_status mid_raw_calloc(mid_heap *heap, size_t count, size_t size, void **out)
{
    return raw_some(heap, count, size, true, out, __builtin_return_address(0));
}

mid_status mid_raw_realloc(mid_heap *heap, void **block, size_t size)
{
    if (heap == NULL || block == NULL)
        return MID_ENULL;
    uintptr_t at = (uintptr_t)*block, was = at;
    uint64_t lifted = mid_trace_block_lift(heap, MID_TRACE_RAW, at);
    const void *outer = MID_UNLIKELY_(heap->debug) ? mid_called_from(__builtin_return_address(0)) : NULL;
    mid_status status = mid_domain_resize((mid_caller){heap, NULL}, MID_DOMAIN_RAW, &at, size);
    if (MID_UNLIKELY_(heap->debug))
        mid_called_by = outer;
    mid_trace_block_moved(NULL, heap, MID_TRACE_RAW, was, lifted, status == MID_OK ? at : 0, size, __builtin_return_address(0));
    *block = (void *)at;
    return status;
}

mid_status mid_raw_free(mid_heap *heap, void *block)
{
    if (heap == NULL)
        return MID_ENULL;
    if (block == NULL)
        return MID_OK;
    mid_trace_block_freed(heap, MID_TRACE_RAW, (uintptr_t)block);
    const void *outer = MID_UNLIKELY_(heap->debug) ? mid_called_from(__builtin_return_address(0)) : NULL;
    mid_status status = mid_domain_free((mid_caller){heap, NULL}, MID_DOMAIN_RAW, (uintptr_t)block);
    if (MID_UNLIKELY_(heap->debug))
        mid_called_by = outer;
    return status;
}

/* --- allocators ------------------------------------------------------------------------------------------------------------------- */

static const mid_allocator *const own[MID_DOMAIN_COUNT] = {&raw_own, &mid_mem_own, &mid_object_own};

static const mid_kept_allocator *in_force(const mid_heap *heap, mid_domain domain)
{
    return __atomic_load_n(&heap->domains.set[domain], __ATOMIC_ACQUIRE);
}

static const mid_allocator *allocator_of(const mid_kept_allocator *kept, mid_domain domain)
{
    return kept == NULL ? own[domain] : &kept->allocator;
}

const mid_kept_allocator *mid_domain_unset(const mid_heap *heap, mid_domain domain)
{
    if (heap->debug && domain != MID_DOMAIN_OBJECT)
        return domain == MID_DOMAIN_MEM ? &mid_mem_watched : &mid_raw_watched;
    return domain == MID_DOMAIN_MEM && heap->trace.on ? &mid_mem_marked : NULL;
}

static const mid_allocator *own_of(const mid_heap *heap, mid_domain domain)
{
    return allocator_of(mid_domain_unset(heap, domain), domain);
}

/* Blocks of an allocator that has taken the domain's place are counted, so that it is known when another may come. */
static void count_replaced(mid_caller caller, mid_domain domain, const mid_kept_allocator *kept, int64_t more)
{
    if (kept != NULL && kept->base != NULL)
        __atomic_fetch_add(&caller.heap->domains.replaced[domain], more, __ATOMIC_RELAXED);
}

mid_status mid_domain_new(mid_caller caller, mid_domain domain, size_t count, size_t size, bool clear, uintptr_t *block)
{
    const mid_kept_allocator *kept = in_force(caller.heap, domain);
    const mid_allocator *a = allocator_of(kept, domain);
    *block = 0;
    mid_status status = clear ? (a->calloc)(a->context, caller, count, size, block) : (a->malloc)(a->context, caller, size, block);
    if (status == MID_OK)
        count_replaced(caller, domain, kept, 1);
    else
        *block = 0;
    return status;
}

mid_status mid_domain_resize(mid_caller caller, mid_domain domain, uintptr_t *block, size_t size)
{
    const mid_kept_allocator *kept = in_force(caller.heap, domain);
    const mid_allocator *a = allocator_of(kept, domain);
    uintptr_t was = *block;
    mid_status status = (a->realloc)(a->context, caller, block, size);
    if (status != MID_OK)
        *block = was;
    else if (was == 0)
        count_replaced(caller, domain, kept, 1);
    return status;
}

mid_status mid_domain_free(mid_caller caller, mid_domain domain, uintptr_t block)
{
    const mid_kept_allocator *kept = in_force(caller.heap, domain);
    const mid_allocator *a = allocator_of(kept, domain);
    mid_status status = (a->free)(a->context, caller, block);
    if (status == MID_OK)
        count_replaced(caller, domain, kept, -1);
    return status;
}

mid_status mid_domain_get_allocator(mid_heap *heap, mid_domain domain, mid_allocator *out)
{
    if (heap == NULL || out == NULL)
        return MID_ENULL;
    if ((unsigned)domain >= MID_DOMAIN_COUNT)
        return MID_EINVAL;
    *out = *allocator_of(in_force(heap, domain), domain);
    return MID_OK;
}

/* A page of copies that stay until the heap closes. */
typedef struct copies {
    mid_array before;
    mid_kept_allocator all[];
} copies;
#define COPIES ((MID_PAGE - sizeof(copies)) / sizeof(mid_kept_allocator))

static bool same(const mid_allocator *a, const mid_allocator *b)
{
    return a->context == b->context && a->malloc == b->malloc && a->calloc == b->calloc && a->realloc == b->realloc && a->free == b->free;
}

static mid_status keep(mid_heap *heap, mid_domain domain, const mid_allocator *allocator, const mid_kept_allocator **kept)
{
    mid_domains *d = &heap->domains;
    const mid_kept_allocator *now = in_force(heap, domain);
    if (d->allocators.data == NULL || d->allocator_count == COPIES) {
        mid_array page = {0};
        mid_status status = mid_array_grow(&heap->alloc, &page, MID_PAGE);
        if (status != MID_OK)
            return status;
        ((copies *)page.data)->before = d->allocators;
        d->allocators = page;
        d->allocator_count = 0;
    }
    mid_kept_allocator *place = &((copies *)d->allocators.data)->all[d->allocator_count++];
    place->allocator = *allocator;
    place->base = !allocator->wraps ? place : now == NULL ? NULL : now->base;
    if (heap->debug && !allocator->wraps && domain != MID_DOMAIN_OBJECT)
        mid_debug_replaces(place, domain);
    *kept = place;
    return MID_OK;
}

/* With `memory` held. Whatever does not wrap is handed the blocks that live, and has to be who made them. */
static mid_status may_set(mid_heap *heap, mid_domain domain, const mid_allocator *allocator)
{
    const mid_domains *d = &heap->domains;
    mid_domain_stats s;
    const mid_kept_allocator *r = d->replacement[domain];
    bool back = same(allocator, own_of(heap, domain)), again = r != NULL && (same(allocator, &r->allocator) || same(allocator, &r->inner));
    mid_stats_domain(heap, domain, &s, sizeof s);
    if (allocator->wraps && !back)
        return MID_OK;
    if ((MID_READ_(d->replaced[domain]) != 0 && !again) || (s.live_blocks != 0 && !back))
        return MID_EHELD;
    return MID_OK;
}

mid_status mid_domain_set_allocator(mid_heap *heap, mid_domain domain, const mid_allocator *allocator)
{
    if (heap == NULL || allocator == NULL || allocator->malloc == NULL || allocator->calloc == NULL || allocator->realloc == NULL ||
        allocator->free == NULL)
        return MID_ENULL;
    if ((unsigned)domain >= MID_DOMAIN_COUNT)
        return MID_EINVAL;
    if (mid_busy(heap))
        return MID_EBUSY;
    if (!mid_is_mutator(heap))
        return MID_ETHREAD;
    const mid_kept_allocator *kept = NULL;
    mid_lock(heap);
    mid_status status = may_set(heap, domain, allocator);
    bool back = same(allocator, own_of(heap, domain));
    if (status == MID_OK && !back)
        status = keep(heap, domain, allocator, &kept);
    else
        kept = mid_domain_unset(heap, domain);
    if (status == MID_OK && kept != NULL && !kept->allocator.wraps)
        heap->domains.replacement[domain] = kept;
    if (status == MID_OK)
        __atomic_store_n(&heap->domains.set[domain], kept, __ATOMIC_RELEASE);
    mid_unlock(heap);
    return status;
}

/* --- the end ---------------------------------------------------------------------------------------------------------------------- */

bool mid_domains_leak(mid_heap *heap)
{
    static const char *const names[MID_DOMAIN_COUNT] = {"raw", "mem", "object"};
    bool any = false;
    for (int domain = MID_DOMAIN_RAW; domain <= MID_DOMAIN_MEM; domain++) {
        mid_domain_stats s;
        mid_stats_domain(heap, (mid_domain)domain, &s, sizeof s);
        any |= s.live_blocks != 0;
        if (s.live_blocks != 0 && (heap->debug || heap->trace.on))
            fprintf(stderr, "midden: still held at close: %llu blocks of %s, %llu bytes\n", (unsigned long long)s.live_blocks,
                    names[domain], (unsigned long long)s.asked_bytes);
        int64_t others = heap->debug ? MID_READ_(heap->domains.replaced[domain]) : 0; /* another's memory, but they were watched */
        any |= others > 0;
        if (others > 0)
            fprintf(stderr, "midden: still held at close: %lld blocks of %s, of another allocator\n", (long long)others, names[domain]);
    }
    return any;
}

void mid_domains_close(mid_heap *heap)
{
    mid_domains *d = &heap->domains;
    while (d->allocators.data != NULL) {
        mid_array before = ((copies *)d->allocators.data)->before;
        mid_array_free(&heap->alloc, &d->allocators);
        d->allocators = before;
    }
    mid_array_free(&heap->alloc, &d->rows);
}
