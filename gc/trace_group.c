/* gc/trace_group.c: a snapshot in groups, or two of them and what is different. Keys of groups are tracebacks, too: of one frame,
 * of all, or of a tag for domain and type; so the table of tracebacks numbers them. */
#include "gc/heap.h"

typedef struct sums {
    mid_trace_group_sums now, before;
} sums;

typedef struct grouping {
    mid_heap *heap;
    mid_trace_by by;
    bool differs;      /* by what is different, then */
    mid_stacks keys;
    mid_array sums;    /* by key */
    mid_array order;   /* uint32_t: keys */
    uint32_t rows;
    mid_status status;
} grouping;

static sums *sums_at(const grouping *g, uint32_t key)
{
    return (sums *)g->sums.data + key;
}

static void add(grouping *g, void *const *key, uint32_t depth, const mid_trace_group_sums *more, bool before)
{
    if (g->status != MID_OK)
        return;
    uint32_t n = mid_stacks_enter(&g->heap->alloc, &g->keys, key, depth);
    g->status = n == 0 ? MID_ENOMEM : mid_array_grow(&g->heap->alloc, &g->sums, ((size_t)n + 1) * sizeof(sums));
    if (g->status != MID_OK)
        return;
    mid_trace_group_sums *into = before ? &sums_at(g, n)->before : &sums_at(g, n)->now;
    into->records += more->records;
    into->bytes += more->bytes;
    into->objects += more->objects;
}

/* A function that calls itself is counted once. */
static void add_frames(grouping *g, void *const *frames, uint32_t depth, const mid_trace_group_sums *more, bool before)
{
    for (uint32_t i = 0; i < depth; i++) {
        uint32_t first = 0;
        while (frames[first] != frames[i])
            first++;
        if (first == i)
            add(g, frames + i, 1, more, before);
    }
}

static void add_snapshot(grouping *g, const mid_trace_snapshot *s, bool before)
{
    for (uint64_t i = 0; i < s->count; i++) {
        const mid_trace_entry *e = &mid_trace_entries(s)[i];
        void *const *frames = mid_trace_entry_frames(s, e);
        void *tag = (void *)MID_TRACE_TAG(e->domain, g->by == MID_TRACE_BY_TYPE ? e->type : 0);
        if (g->by == MID_TRACE_BY_DOMAIN || g->by == MID_TRACE_BY_TYPE)
            add(g, &tag, 1, &e->sums, before);
        else if (g->by == MID_TRACE_BY_FRAME)
            add_frames(g, frames, e->depth, &e->sums, before);
        else
            add(g, frames, g->by == MID_TRACE_BY_SITE && e->depth > 1 ? 1 : e->depth, &e->sums, before);
    }
}

static uint64_t weight(const grouping *g, uint32_t key)
{
    const sums *s = sums_at(g, key);
    if (!g->differs)
        return s->now.bytes;
    return s->now.bytes > s->before.bytes ? s->now.bytes - s->before.bytes : s->before.bytes - s->now.bytes;
}

/* Is `a` behind `b`? Of equal weight: the one that came later. */
static bool behind(const grouping *g, uint32_t a, uint32_t b)
{
    uint64_t one = weight(g, a), other = weight(g, b);
    return one < other || (one == other && a > b);
}

static void sift(const grouping *g, uint32_t *order, uint32_t at, uint32_t count)
{
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && behind(g, order[child + 1], order[child]))
            child++;
        if (!behind(g, order[child], order[at]))
            return;
        uint32_t kept = order[at];
        order[at] = order[child];
        order[child] = kept;
    }
}

/* Heapsort: in place, whatever the order was (qsort(3) may call malloc). */
static void sort(const grouping *g)
{
    uint32_t *order = g->order.data;
    for (uint32_t i = g->rows / 2; i-- != 0;)
        sift(g, order, i, g->rows);
    for (uint32_t i = g->rows; i-- > 1;) {
        uint32_t last = order[0];
        order[0] = order[i];
        order[i] = last;
        sift(g, order, 0, i);
    }
}

static void list_rows(grouping *g)
{
    if (g->status == MID_OK)
        g->status = mid_array_grow(&g->heap->alloc, &g->order, ((size_t)g->keys.count + 1) * sizeof(uint32_t));
    for (uint32_t key = 1; g->status == MID_OK && key <= g->keys.count; key++) {
        const sums *s = sums_at(g, key);
        if (!g->differs || s->now.bytes != s->before.bytes || s->now.objects != s->before.objects)
            ((uint32_t *)g->order.data)[g->rows++] = key;
    }
    if (g->status == MID_OK)
        sort(g);
}

static uint64_t whole(uint64_t parts)
{
    return (parts + MID_TRACE_PARTS / 2) / MID_TRACE_PARTS;
}

static mid_trace_row row_of(const grouping *g, uint32_t key)
{
    const sums *s = sums_at(g, key);
    void *const *frames = NULL;
    mid_trace_row row = {.domain = MID_TRACE_DOMAINS, .depth = mid_stacks_frames(&g->keys, key, &frames),
                         .bytes = s->now.bytes, .objects = whole(s->now.objects), .samples = s->now.records,
                         .before_bytes = s->before.bytes, .before_objects = whole(s->before.objects)};
    if (g->by != MID_TRACE_BY_DOMAIN && g->by != MID_TRACE_BY_TYPE) {
        row.frames = frames;
        return row;
    }
    row.depth = 0;
    row.domain = MID_TRACE_TAG_DOMAIN((uintptr_t)frames[0]);
    row.type = MID_TRACE_TAG_TYPE((uintptr_t)frames[0]);
    row.type_name = row.type == 0 ? NULL : mid_type_name(g->heap, row.type);
    return row;
}

mid_status mid_trace_group(const mid_trace_snapshot *now, const mid_trace_snapshot *before, mid_trace_by by,
                           int (*fn)(void *, const mid_trace_row *), void *context)
{
    if (now == NULL || fn == NULL)
        return MID_ENULL;
    if ((unsigned)by >= MID_TRACE_BYS)
        return MID_EINVAL;
    grouping g = {.heap = now->heap, .by = by, .differs = before != NULL};
    mid_lock(g.heap);
    add_snapshot(&g, now, false);
    if (before != NULL)
        add_snapshot(&g, before, true);
    list_rows(&g);
    mid_unlock(g.heap);
    for (uint32_t i = 0; g.status == MID_OK && i < g.rows; i++) {
        mid_trace_row row = row_of(&g, ((const uint32_t *)g.order.data)[i]);
        if (fn(context, &row) != 0)
            break;
    }
    mid_lock(g.heap);
    mid_stacks_close(&g.heap->alloc, &g.keys);
    mid_array_free(&g.heap->alloc, &g.sums);
    mid_array_free(&g.heap->alloc, &g.order);
    mid_unlock(g.heap);
    return g.status;
}
