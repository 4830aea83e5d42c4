/* gc/kinds/sort.c: lists sorted by merging from the bottom up, stable; runs that are in order already are joined without a comparison more than one.
 *
 * Handles are sorted in a byte string, two halves that are merged to and fro, while the list keeps its slots and says that it is busy: nobody
 * changes it, its values stay alive and, as they are counted once more meanwhile, keep their handles whatever `compare` makes the heap
 * do. The byte string may move at every comparison. */
#include "gc/kinds/own.h"

#define FIRST MID_SLOT(struct mid_list_object, items)

typedef struct sorting {
    mid_thread *thread;
    const mid_kinds *kinds;
    mid_list_compare *compare;
    void *context;
    mid_handle memory;
    size_t count;
    mid_status status;
} sorting;

static mid_handle *half(const sorting *s, int which)
{
    struct mid_string_object *memory = mid_get(s->thread, s->memory);
    return (mid_handle *)(void *)memory->content + (which != 0 ? s->count : 0);
}

static bool after(sorting *s, mid_handle a, mid_handle b)
{
    int order = 0;
    if (s->status != MID_OK)
        return false;
    if (s->compare != NULL)
        return s->compare(s->thread, a, b, s->context) > 0;
    s->status = mid_kind_compare(s->thread, s->kinds, a, b, &order);
    return order > 0;
}

static void merge(sorting *s, int from, size_t begin, size_t middle, size_t end)
{
    size_t left = begin, right = middle;
    bool joined = middle >= end || !after(s, half(s, from)[middle - 1], half(s, from)[middle]);
    for (size_t to = begin; to < end; to++) {
        const mid_handle *values = half(s, from);
        bool take_right = joined ? left >= middle : left >= middle || (right < end && after(s, values[left], values[right]));
        values = half(s, from); /* it may have moved */
        half(s, 1 - from)[to] = take_right ? values[right++] : values[left++];
    }
}

static int merge_all(sorting *s)
{
    int from = 0;
    for (size_t width = 1; width < s->count; width *= 2, from = 1 - from)
        for (size_t begin = 0; begin < s->count; begin += 2 * width) {
            size_t middle = begin + width < s->count ? begin + width : s->count;
            size_t end = middle + width < s->count ? middle + width : s->count;
            merge(s, from, begin, middle, end);
        }
    return from;
}

static bool in_order(sorting *s)
{
    for (size_t i = 1; i < s->count; i++)
        if (after(s, half(s, 0)[i - 1], half(s, 0)[i]))
            return false;
    return s->status == MID_OK;
}

mid_status mid_list_sort(mid_thread *thread, const mid_kinds *kinds, mid_handle list, mid_list_compare *compare, void *context)
{
    mid_status status = kind_check(thread, kinds, list, MID_KIND_LIST);
    if (status != MID_OK)
        return status;
    struct mid_list_object *l = mid_get(thread, list);
    if (l->length == UINT32_MAX)
        return MID_EBUSY;
    sorting s = {.thread = thread, .kinds = kinds, .compare = compare, .context = context, .count = l->length};
    if (s.count < 2)
        return MID_OK;
    status = mid_bytes_new(thread, kinds, NULL, 2 * s.count * sizeof(mid_handle), &s.memory);
    if (status != MID_OK)
        return status;
    mid_retain(thread, list); /* it may be let go of in `compare` */
    for (size_t i = 0; i < s.count; i++)
        half(&s, 0)[i] = mid_load(thread, list, FIRST + (unsigned)i);
    l->length = UINT32_MAX;
    bool sorted = in_order(&s);
    int where = sorted || s.status != MID_OK ? 0 : merge_all(&s);
    l = mid_get(thread, list);
    l->length = (uint32_t)s.count;
    for (size_t i = 0; i < s.count; i++) { /* each slot's old count goes with what it held */
        if (s.status == MID_OK && !sorted)
            mid_give(thread, list, FIRST + (unsigned)i, half(&s, where)[i]);
        else
            mid_release(thread, half(&s, where)[i]);
    }
    mid_release(thread, s.memory);
    mid_release(thread, list);
    return s.status;
}
