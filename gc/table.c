/* gc/table.c: the handle table, one reserved range of 16-byte entries, in blocks of 4096 (64 KiB).
 *
 * It never moves, and an address in it stays readable while the heap is open. Entries that belong to no slot and no large object
 * are taken from the lowest block that has any, so that the blocks above empty; a block that is empty can go back to the system
 * (mid_table_trim), and is then as if it had never been used: its entries are zero, taken from the first up. */
#include "gc/debug.h"

#define BLOCK_BYTES ((size_t)64 << 10)
#define HUGE ((size_t)2 << 20)
#define HUGE_FROM ((size_t)64 << 20)
_Static_assert(MID_TABLE_BLOCK * sizeof(mid_entry) == BLOCK_BYTES, "a block is what is decommitted at once");

/* With `memory` held, all of it. */
typedef struct block {
    uint32_t head;          /* handles of free entries, linked through `shared` */
    uint16_t free;          /* those, and those from `fresh` on */
    uint16_t fresh : 15;    /* entries from here on are zero, and were never used */
    uint16_t committed : 1; /* there is memory behind it, and it is charged */
} block;
_Static_assert(sizeof(block) == 8, "eight bytes for 64 KiB");

static block *block_at(const mid_heap *heap, uint32_t n)
{
    return (block *)heap->table_blocks.data + n;
}

/* Entries that block n may have in use. */
static uint32_t room(const mid_heap *heap, uint32_t n)
{
    uint32_t first = n * MID_TABLE_BLOCK;
    return heap->max_index - first < MID_TABLE_BLOCK ? heap->max_index - first : MID_TABLE_BLOCK;
}

/* A large table is committed 2 MiB at a time, so that huge pages can be behind it. */
static mid_status commit(mid_heap *heap, uint32_t n)
{
    uint32_t first = n, end = n + 1;
    bool huge = n * BLOCK_BYTES >= HUGE_FROM && heap->options.huge_table && heap->os.advise_huge != NULL;
    if (huge) {
        first = (uint32_t)(n / (HUGE / BLOCK_BYTES) * (HUGE / BLOCK_BYTES));
        for (end = first; end < first + HUGE / BLOCK_BYTES && end < heap->block_count && !block_at(heap, end)->committed;)
            end++;
        huge = end == first + HUGE / BLOCK_BYTES;
        if (!huge)
            first = n, end = n + 1;
    }
    size_t bytes = (end - first) * BLOCK_BYTES;
    mid_status status = mid_book(&heap->alloc, MID_IN_TABLE, bytes);
    if (status != MID_OK)
        return status;
    char *at = (char *)heap->table + first * BLOCK_BYTES;
    if (!heap->os.commit(heap->os.ctx, at, bytes)) {
        mid_unbook(&heap->alloc, MID_IN_TABLE, bytes);
        return MID_ENOMEM;
    }
    if (heap->debug && (status = mid_debug_commit(heap, first, end)) != MID_OK) {
        heap->os.decommit(heap->os.ctx, at, bytes);
        mid_unbook(&heap->alloc, MID_IN_TABLE, bytes);
        return status;
    }
    if (huge)
        heap->os.advise_huge(heap->os.ctx, at, bytes);
    for (n = first; n < end; n++) {
        block_at(heap, n)->committed = 1;
        heap->free_entry_count += block_at(heap, n)->free;
    }
    return MID_OK;
}

/* Descriptors of further blocks, without memory behind them. */
static mid_status extend(mid_heap *heap)
{
    uint32_t most = (heap->max_index + MID_TABLE_BLOCK - 1) / MID_TABLE_BLOCK;
    if (heap->block_count == most)
        return MID_ELIMIT;
    mid_status status = mid_array_grow(&heap->alloc, &heap->table_blocks, (heap->block_count + (size_t)1) * sizeof(block));
    if (status != MID_OK)
        return status;
    uint32_t fit = (uint32_t)(heap->table_blocks.bytes / sizeof(block));
    for (uint32_t n = heap->block_count; n < (fit < most ? fit : most); n++)
        *block_at(heap, heap->block_count++) = (block){.free = (uint16_t)room(heap, n)};
    return MID_OK;
}

/* What comes before the first index is never used, and readable. */
static mid_status open_blocks(mid_heap *heap)
{
    mid_status status = MID_OK;
    for (uint32_t n = 0; status == MID_OK && n <= heap->first_index / MID_TABLE_BLOCK; n++) {
        if (n == heap->block_count)
            status = extend(heap);
        if (status != MID_OK)
            break;
        uint32_t before = heap->first_index - n * MID_TABLE_BLOCK;
        block_at(heap, n)->fresh = (uint16_t)(before < MID_TABLE_BLOCK ? before : MID_TABLE_BLOCK) & 0x7fff;
        block_at(heap, n)->free = (uint16_t)(room(heap, n) - block_at(heap, n)->fresh);
        status = commit(heap, n);
    }
    return status;
}

/* A limit on address space may refuse what the option asks for; a smaller table serves a smaller heap. */
mid_status mid_table_open(mid_heap *heap)
{
    size_t bytes = mid_round((size_t)heap->options.max_objects * sizeof(mid_entry), HUGE);
    const size_t least = (size_t)1 << 20;
    while ((heap->table = heap->os.reserve(heap->os.ctx, bytes, HUGE)) == NULL && bytes / 4 >= least)
        bytes = mid_round(bytes / 4, HUGE);
    if (heap->table == NULL)
        return MID_ENOMEM;
    heap->table_reserved = bytes;
    heap->max_index = (uint32_t)(bytes / sizeof(mid_entry) < heap->options.max_objects ? bytes / sizeof(mid_entry)
                                                                                       : heap->options.max_objects);
    heap->first_index = heap->next_index = 1;
    if (heap->debug) { /* handles of one debug heap are out of range, mostly, in the next */
        static uint32_t serial;
        uint32_t base = 1 + (__atomic_fetch_add(&serial, 1, __ATOMIC_RELAXED) % 61) * 4093;
        if (base < heap->max_index / 4)
            heap->first_index = heap->next_index = base;
    }
    mid_status status = heap->debug ? mid_debug_reserve(heap) : MID_OK;
    if (status == MID_OK)
        status = open_blocks(heap);
    if (status != MID_OK) {
        mid_table_close(heap);
        return status;
    }
    heap->table[0].count = MID_STICKY_; /* null: address 0, never counted */
    return MID_OK;
}

void mid_table_close(mid_heap *heap)
{
    if (heap->table == NULL)
        return;
    heap->os.release(heap->os.ctx, heap->table, heap->table_reserved);
    mid_unbook(&heap->alloc, MID_IN_TABLE, heap->alloc.bytes[MID_IN_TABLE]);
    mid_array_free(&heap->alloc, &heap->table_blocks);
    heap->table = NULL;
}

/* The lowest block with a free entry, and memory behind it. */
static block *lowest(mid_heap *heap, uint32_t *n, mid_status *status)
{
    *status = MID_OK;
    while (heap->lowest_block < heap->block_count && block_at(heap, heap->lowest_block)->free == 0)
        heap->lowest_block++;
    if (heap->lowest_block == heap->block_count && (*status = extend(heap)) != MID_OK)
        return NULL;
    *n = heap->lowest_block;
    if (block_at(heap, *n)->committed || (*status = commit(heap, *n)) == MID_OK)
        return block_at(heap, *n);
    for (*n = 0; *n < heap->block_count; ++*n) /* to charge gave pools back, perhaps, and their entries are free */
        if (block_at(heap, *n)->committed && block_at(heap, *n)->free != 0)
            return block_at(heap, *n);
    return NULL;
}

mid_handle mid_entry_take(mid_heap *heap, mid_status *status)
{
    uint32_t n;
    block *b = lowest(heap, &n, status);
    if (b == NULL)
        return 0;
    *status = MID_OK;
    b->free--;
    heap->free_entry_count--;
    heap->taken_entries++;
    mid_handle handle = b->head;
    if (handle != 0) {
        mid_entry *entry = mid_entry_at(heap, handle);
        b->head = MID_READ_(entry->shared);
        MID_WRITE_(entry->shared, 0);
        return handle;
    }
    uint32_t index = n * MID_TABLE_BLOCK + b->fresh++;
    if (index >= heap->next_index)
        __atomic_store_n(&heap->next_index, index + 1, __ATOMIC_RELEASE); /* there is memory behind it: readers race */
    return index * 2;
}

void mid_entry_give(mid_heap *heap, mid_handle handle)
{
    mid_entry *entry = mid_entry_at(heap, handle);
    uint32_t n = handle / 2 / MID_TABLE_BLOCK;
    block *b = block_at(heap, n);
    MID_WRITE_(entry->word, 0);
    MID_WRITE_(entry->count, 0);
    MID_WRITE_(entry->shared, b->head);
    if (heap->debug)
        mid_debug_unnamed(heap, handle);
    b->head = handle;
    b->free++;
    heap->free_entry_count++;
    heap->taken_entries--;
    if (n < heap->lowest_block)
        heap->lowest_block = n;
}

uint32_t mid_table_claim(mid_heap *heap, uint32_t index)
{
    block *b = block_at(heap, index / MID_TABLE_BLOCK);
    uint32_t fresh = b->fresh;
    heap->free_entry_count -= b->free;
    heap->taken_entries += b->free;
    b->head = b->free = 0;
    b->fresh = (uint16_t)room(heap, index / MID_TABLE_BLOCK) & 0x7fff;
    return fresh;
}

void mid_table_settle(mid_heap *heap, uint32_t index, uint32_t fresh)
{
    uint32_t n = index / MID_TABLE_BLOCK, first = n * MID_TABLE_BLOCK, least = first < heap->first_index ? heap->first_index : first;
    uint32_t end = first + room(heap, n);
    block *b = block_at(heap, n);
    heap->free_entry_count -= b->free; /* what was given since */
    heap->taken_entries += b->free;
    b->head = b->free = 0;
    while (end > least && end - first > fresh && heap->table[end - 1].count == 0 && heap->table[end - 1].word == 0)
        end--;
    b->fresh = (uint16_t)(end - first) & 0x7fff;
    b->free = (uint16_t)(first + room(heap, n) - end);
    for (uint32_t i = end; i < first + room(heap, n); i++)
        MID_WRITE_(heap->table[i].shared, 0);
    for (uint32_t i = end; i-- > least;) {
        mid_entry *entry = heap->table + i;
        if (entry->count != 0 || entry->word != 0)
            continue;
        MID_WRITE_(entry->shared, b->head);
        b->head = i * 2;
        b->free++;
    }
    heap->free_entry_count += b->free;
    heap->taken_entries -= b->free;
    if (b->free != 0 && n < heap->lowest_block)
        heap->lowest_block = n;
}

uint32_t mid_table_block_end(const mid_heap *heap, uint32_t index)
{
    uint32_t n = index / MID_TABLE_BLOCK;
    return block_at(heap, n)->committed ? n * MID_TABLE_BLOCK + room(heap, n) : 0;
}

uint64_t mid_table_touched(const mid_heap *heap)
{
    uint64_t pages = 0;
    for (uint32_t n = 0; n < heap->block_count; n++) {
        const block *b = block_at(heap, n);
        uint32_t first = n * MID_TABLE_BLOCK, end = b->committed ? b->fresh : 0, unused = heap->first_index > first ? heap->first_index - first : 0;
        if (end > unused) /* what comes before the first index is not used, but for entry 0 */
            pages += mid_round(end * sizeof(mid_entry), MID_PAGE) / MID_PAGE - unused * sizeof(mid_entry) / MID_PAGE;
    }
    return (pages + (heap->first_index * sizeof(mid_entry) >= MID_PAGE)) * MID_PAGE;
}

/* Its entries are zero then, and were never used: who still reads them sees nobody. */
static void decommit(mid_heap *heap, uint32_t n)
{
    block *b = block_at(heap, n);
    heap->os.decommit(heap->os.ctx, (char *)heap->table + n * BLOCK_BYTES, BLOCK_BYTES);
    mid_unbook(&heap->alloc, MID_IN_TABLE, BLOCK_BYTES);
    heap->alloc.returned += BLOCK_BYTES;
    if (heap->debug)
        mid_debug_decommit(heap, n);
    heap->free_entry_count -= b->free;
    *b = (block){.free = b->free};
}

mid_status mid_table_trim(mid_heap *heap, uint64_t deadline)
{
    uint32_t first = heap->first_index / MID_TABLE_BLOCK, used = heap->first_index;
    mid_status status = MID_OK;
    for (uint32_t n = heap->block_count; n-- > first;) {
        block *b = block_at(heap, n);
        bool idle = b->committed && b->fresh != 0 && n != first && b->free == room(heap, n);
        if (idle && status == MID_OK) {
            decommit(heap, n);
            if (deadline != 0 && mid_clock_micros() >= deadline)
                status = MID_MORE;
        }
        if (b->fresh != 0 && used == heap->first_index)
            used = n * MID_TABLE_BLOCK + b->fresh;
    }
    __atomic_store_n(&heap->next_index, used, __ATOMIC_RELEASE);
    return status;
}

const char *mid_table_check(const mid_heap *heap)
{
    uint64_t waiting = 0, taken = 0;
    for (uint32_t n = 0; n < heap->block_count; n++) {
        const block *b = block_at(heap, n);
        uint32_t listed = 0, size = room(heap, n), first = n * MID_TABLE_BLOCK;
        for (mid_handle h = b->head; h != 0 && listed <= size; h = MID_READ_(mid_entry_at(heap, h)->shared), listed++)
            if (h / 2 / MID_TABLE_BLOCK != n || h / 2 - first >= b->fresh || mid_entry_at(heap, h)->count != 0 || mid_entry_at(heap, h)->word != 0)
                return "an entry on a list of free ones is not free, or of another block";
        if (listed + size - b->fresh != b->free || b->fresh > size)
            return "a block of the table counts its free entries wrongly";
        if (!b->committed && b->fresh != 0)
            return "entries are in use where no memory is";
        if (b->free != 0 && n < heap->lowest_block)
            return "a block below the lowest has free entries";
        if (b->fresh != 0 && first + b->fresh > heap->next_index && first + b->fresh > heap->first_index)
            return "entries are in use beyond the next index";
        waiting += b->committed ? b->free : 0;
        taken += first + size <= heap->first_index ? 0 : size - b->free - (first < heap->first_index ? heap->first_index - first : 0);
    }
    return waiting == heap->free_entry_count && taken == heap->taken_entries ? NULL : "the number of free entries is wrong";
}

mid_entry *mid_checked(mid_thread *thread, mid_handle object, mid_status *status)
{
    *status = mid_thread_check(thread);
    if (*status != MID_OK)
        return NULL;
    mid_heap *heap = mid_impl_of(thread)->heap;
    *status = MID_EHANDLE;
    if (!mid_in_table(heap, object))
        return NULL;
    mid_entry *entry = mid_entry_at(heap, object);
    if (!mid_entry_live(entry))
        return NULL;
    *status = MID_OK;
    return entry;
}
