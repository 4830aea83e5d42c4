/* gc/stacks.c: tracebacks, each once: a number stands for it. Open addressing over numbers; the frames lie one behind another. */
#include <string.h>

#include "gc/traceback.h"

#define HEAD 1u /* words before the frames: hash in the upper half, depth in the lower */

static uint64_t *words(const mid_stacks *s)
{
    return s->words.data;
}

static uint64_t *at(const mid_stacks *s, uint32_t stack)
{
    return words(s) + ((const uint32_t *)s->offsets.data)[stack];
}

/* Addresses differ in their lower bits: each is multiplied in (Fibonacci hashing; Knuth, TAOCP 3, 6.4). */
static uint32_t hash_of(void *const *frames, unsigned depth)
{
    uint64_t hash = depth;
    for (unsigned i = 0; i < depth; i++)
        hash = (hash ^ (uintptr_t)frames[i] ^ hash >> 29) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(hash >> 32);
}

static bool same(const mid_stacks *s, uint32_t stack, uint64_t head, void *const *frames, unsigned depth)
{
    const uint64_t *found = at(s, stack);
    return *found == head && (depth == 0 || memcmp(found + HEAD, frames, depth * sizeof *frames) == 0);
}

static void put(uint32_t *cells, uint32_t mask, uint32_t hash, uint32_t stack)
{
    uint32_t i = hash & mask;
    while (cells[i] != 0)
        i = (i + 1) & mask;
    cells[i] = stack;
}

static bool more_cells(mid_alloc *alloc, mid_stacks *s)
{
    mid_array bigger = {0};
    if (s->cells.data != NULL && (s->count + 1) * (uint64_t)4 <= (s->mask + (uint64_t)1) * 3)
        return true;
    if (mid_array_grow(alloc, &bigger, s->cells.data == NULL ? MID_PAGE : s->cells.bytes * 2) != MID_OK)
        return false;
    uint32_t mask = (uint32_t)(bigger.bytes / sizeof(uint32_t)) - 1;
    for (uint32_t stack = 1; stack <= s->count; stack++)
        put(bigger.data, mask, (uint32_t)(*at(s, stack) >> 32), stack);
    mid_array_free(alloc, &s->cells);
    s->cells = bigger;
    s->mask = mask;
    return true;
}

static bool room(mid_alloc *alloc, mid_stacks *s, unsigned depth)
{
    if (s->count == MID_STACKS_MOST || s->used > UINT32_MAX - MID_FRAMES_MOST - 2 * HEAD)
        return false;
    return mid_array_grow(alloc, &s->words, ((size_t)s->used + 2 * HEAD + depth) * sizeof(uint64_t)) == MID_OK &&
           mid_array_grow(alloc, &s->offsets, ((size_t)s->count + 2) * sizeof(uint32_t)) == MID_OK && more_cells(alloc, s);
}

uint32_t mid_stacks_enter(mid_alloc *alloc, mid_stacks *s, void *const *frames, unsigned depth)
{
    uint32_t hash = hash_of(frames, depth);
    uint64_t head = (uint64_t)hash << 32 | depth;
    if (s->cells.data != NULL)
        for (uint32_t i = hash & s->mask;; i = (i + 1) & s->mask) {
            uint32_t stack = ((const uint32_t *)s->cells.data)[i];
            if (stack == 0)
                break;
            if (same(s, stack, head, frames, depth))
                return stack;
        }
    if (!room(alloc, s, depth))
        return 0;
    s->used += s->used == 0; /* an offset of 0 is none */
    ((uint32_t *)s->offsets.data)[++s->count] = s->used;
    words(s)[s->used] = head;
    if (depth != 0)
        memcpy(words(s) + s->used + HEAD, frames, depth * sizeof *frames);
    s->used += HEAD + depth;
    put(s->cells.data, s->mask, hash, s->count);
    return s->count;
}

unsigned mid_stacks_frames(const mid_stacks *s, uint32_t stack, void *const **frames)
{
    if (stack == 0 || stack > s->count)
        return 0;
    const uint64_t *found = at(s, stack);
    *frames = (void *const *)(found + HEAD);
    return (uint32_t)*found;
}

void mid_stacks_close(mid_alloc *alloc, mid_stacks *s)
{
    mid_array_free(alloc, &s->words);
    mid_array_free(alloc, &s->offsets);
    mid_array_free(alloc, &s->cells);
    *s = (mid_stacks){0};
}

const char *mid_stacks_check(const mid_stacks *s)
{
    uint32_t next = 1, filled = 0;
    for (uint32_t stack = 1; stack <= s->count; stack++) {
        void *const *frames = NULL;
        unsigned depth = mid_stacks_frames(s, stack, &frames);
        if (((const uint32_t *)s->offsets.data)[stack] != next || hash_of(frames, depth) != (uint32_t)(*at(s, stack) >> 32))
            return "a traceback is not what was entered";
        next += HEAD + depth;
    }
    for (uint64_t i = 0; s->cells.data != NULL && i <= s->mask; i++)
        filled += ((const uint32_t *)s->cells.data)[i] != 0;
    return filled != s->count || (s->count != 0 && next != s->used) ? "tracebacks are lost, or listed twice" : NULL;
}
