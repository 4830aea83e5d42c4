/* gc/trace_snapshot.c: what is traced at a moment: the groups that have something, their frames, and the modules whose code that is. */
#include <errno.h>
#include <fnmatch.h>
#include <link.h>
#include <string.h>

#include "gc/heap.h"

void mid_trace_figures_fill(const mid_heap *heap, mid_trace_figures *f)
{
    const mid_tracer *t = &heap->trace;
    *f = (mid_trace_figures){0};
    if (!t->on)
        return;
    *f = (mid_trace_figures){.bytes = t->bytes, .peak = t->peak, .objects = (t->objects + MID_TRACE_PARTS / 2) / MID_TRACE_PARTS,
                             .records = t->count, .stacks = t->stacks.count, .missed = t->missed, .sample = t->sample, .frames = t->frames,
                             .own_bytes = t->stacks.words.bytes + t->stacks.offsets.bytes + t->stacks.cells.bytes + t->groups.bytes +
                                          t->cells.bytes + t->charges.bytes + t->charge_sizes.bytes + t->slow_types.bytes};
    memcpy(f->domain_bytes, t->domain_bytes, sizeof f->domain_bytes);
}

static mid_trace_snapshot *open_snapshot(mid_heap *heap, mid_status *status)
{
    mid_array self = {0};
    *status = mid_array_grow(&heap->alloc, &self, sizeof(mid_trace_snapshot));
    if (*status != MID_OK)
        return NULL;
    mid_trace_snapshot *s = self.data;
    *s = (mid_trace_snapshot){.self = self, .heap = heap, .next = heap->trace.snapshots};
    if (s->next != NULL)
        s->next->prev = s;
    heap->trace.snapshots = s;
    return s;
}

static void close_snapshot(mid_trace_snapshot *s)
{
    mid_heap *heap = s->heap;
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        heap->trace.snapshots = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    mid_array *arrays[] = {&s->entries, &s->words, &s->modules, &s->names};
    for (unsigned i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        mid_array_free(&heap->alloc, arrays[i]);
    mid_array self = s->self;
    mid_array_free(&heap->alloc, &self);
}

void mid_trace_drop(mid_trace_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    mid_heap *heap = snapshot->heap;
    mid_lock(heap);
    close_snapshot(snapshot);
    mid_unlock(heap);
}

void mid_trace_snapshots_close(mid_heap *heap)
{
    while (heap->trace.snapshots != NULL)
        close_snapshot(heap->trace.snapshots);
}

/* --- modules ---------------------------------------------------------------------------------------------------------------- */

typedef struct loading {
    mid_trace_snapshot *s;
    size_t modules, names; /* used */
} loading;

static const char *name_of(const struct dl_phdr_info *info)
{
    return info->dlpi_name != NULL && *info->dlpi_name != '\0' ? info->dlpi_name : program_invocation_name; /* itself has none */
}

/* What there is no room for is counted all the same. */
static int add_module(struct dl_phdr_info *info, size_t size, void *context)
{
    loading *l = context;
    mid_trace_module_entry m = {.low = UINTPTR_MAX, .base = info->dlpi_addr, .name = l->names};
    size_t length = strlen(name_of(info)) + 1;
    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t low = info->dlpi_addr + p->p_vaddr, high = low + p->p_memsz;
        if (p->p_type != PT_LOAD)
            continue;
        m.low = low < m.low ? low : m.low;
        m.high = high > m.high ? high : m.high;
    }
    if ((l->modules + 1) * sizeof m <= l->s->modules.bytes && l->names + length <= l->s->names.bytes) {
        ((mid_trace_module_entry *)l->s->modules.data)[l->modules] = m;
        memcpy((char *)l->s->names.data + l->names, name_of(info), length);
        l->s->module_count = (uint32_t)l->modules + 1;
    }
    l->modules++;
    l->names += length;
    return 0;
}

/* The loader's lock is held while it counts, and while it copies; ours is not taken with it. */
static mid_status take_modules(mid_trace_snapshot *s)
{
    loading l = {s, 0, 0};
    dl_iterate_phdr(add_module, &l);
    mid_lock(s->heap);
    mid_status status = mid_array_grow(&s->heap->alloc, &s->modules, l.modules * sizeof(mid_trace_module_entry));
    if (status == MID_OK)
        status = mid_array_grow(&s->heap->alloc, &s->names, l.names);
    mid_unlock(s->heap);
    l.modules = l.names = 0;
    if (status == MID_OK)
        dl_iterate_phdr(add_module, &l);
    return status;
}

static const mid_trace_module_entry *module_at(const mid_trace_snapshot *s, uintptr_t pc)
{
    const mid_trace_module_entry *m = s->modules.data;
    for (uint32_t i = 0; i < s->module_count; i++)
        if (pc >= m[i].low && pc < m[i].high)
            return &m[i];
    return NULL;
}

const char *mid_trace_module(const mid_trace_snapshot *snapshot, const void *address, uint64_t *offset)
{
    uintptr_t pc = (uintptr_t)address - 1; /* in the call, which is before where it returns to */
    const mid_trace_module_entry *m = snapshot == NULL ? NULL : module_at(snapshot, pc);
    if (m == NULL)
        return NULL;
    if (offset != NULL)
        *offset = pc - m->base;
    return (const char *)snapshot->names.data + m->name;
}

/* --- taking ------------------------------------------------------------------------------------------------------------------- */

static mid_status room(mid_trace_snapshot *s, uint64_t count, uint64_t words)
{
    mid_status status = mid_array_grow(&s->heap->alloc, &s->entries, (count + 1) * sizeof(mid_trace_entry));
    return status != MID_OK ? status : mid_array_grow(&s->heap->alloc, &s->words, (words + 1) * sizeof(void *));
}

static void add(mid_trace_snapshot *s, mid_trace_entry entry, void *const *frames)
{
    entry.at = s->word_count;
    if (entry.depth != 0)
        memcpy((void **)s->words.data + s->word_count, frames, entry.depth * sizeof *frames);
    s->word_count += entry.depth;
    mid_trace_entries(s)[s->count++] = entry;
}

static const mid_trace_group_sums *sums_of(const mid_tracer *t, uint32_t group)
{
    return (group + 1ull) * sizeof(mid_trace_group_sums) <= t->groups.bytes ? (const mid_trace_group_sums *)t->groups.data + group : NULL;
}

static mid_status copy_groups(mid_trace_snapshot *s)
{
    const mid_tracer *t = &s->heap->trace;
    mid_status status = room(s, t->stacks.count, t->stacks.used);
    for (uint32_t group = 1; status == MID_OK && group <= t->stacks.count; group++) {
        const mid_trace_group_sums *sums = sums_of(t, group);
        void *const *frames;
        if (sums == NULL || sums->records == 0)
            continue;
        unsigned depth = mid_stacks_frames(&t->stacks, group, &frames);
        uintptr_t tag = (uintptr_t)frames[0];
        add(s, (mid_trace_entry){.depth = depth - 1, .type = MID_TRACE_TAG_TYPE(tag), .domain = MID_TRACE_TAG_DOMAIN(tag), .sums = *sums}, frames + 1);
    }
    return status;
}

mid_status mid_trace_take(mid_heap *heap, mid_trace_snapshot **out)
{
    if (out != NULL)
        *out = NULL;
    if (heap == NULL || out == NULL)
        return MID_ENULL;
    if (mid_busy(heap))
        return MID_EBUSY;
    mid_status status;
    mid_lock(heap);
    mid_trace_snapshot *s = heap->trace.on ? open_snapshot(heap, &status) : NULL;
    if (!heap->trace.on)
        status = MID_EINVAL;
    mid_unlock(heap);
    if (s == NULL)
        return status;
    status = take_modules(s);
    mid_lock(heap);
    mid_trace_figures_fill(heap, &s->figures);
    if (status == MID_OK)
        status = heap->trace.on ? copy_groups(s) : MID_EINVAL;
    if (status != MID_OK)
        close_snapshot(s);
    mid_unlock(heap);
    if (status == MID_OK)
        *out = s;
    return status;
}

mid_status mid_trace_snapshot_figures(const mid_trace_snapshot *snapshot, mid_trace_figures *figures, size_t size)
{
    if (snapshot == NULL || figures == NULL)
        return MID_ENULL;
    memcpy(figures, &snapshot->figures, size < sizeof *figures ? size : sizeof *figures);
    return MID_OK;
}

/* --- filters ------------------------------------------------------------------------------------------------------------------- */

static bool frame_matches(const mid_trace_snapshot *s, const mid_trace_filter *f, uintptr_t address)
{
    if ((f->low != NULL || f->high != NULL) && (address - 1 < (uintptr_t)f->low || address - 1 >= (uintptr_t)f->high))
        return false;
    if (f->module == NULL)
        return true;
    const char *path = mid_trace_module(s, (void *)address, NULL);
    const char *last = path == NULL ? NULL : strrchr(path, '/');
    return path != NULL && fnmatch(f->module, last != NULL ? last + 1 : path, 0) == 0;
}

static bool matches(const mid_trace_snapshot *s, const mid_trace_filter *f, const mid_trace_entry *e)
{
    if (f->domains != 0 && !(f->domains >> e->domain & 1))
        return false;
    if (f->type != NULL && (e->type == 0 || fnmatch(f->type, mid_type_name(s->heap, e->type), 0) != 0))
        return false;
    if (f->module == NULL && f->low == NULL && f->high == NULL)
        return true;
    uint32_t depth = f->any_frame || e->depth == 0 ? e->depth : 1;
    for (uint32_t i = 0; i < depth; i++)
        if (frame_matches(s, f, (uintptr_t)mid_trace_entry_frames(s, e)[i]))
            return true;
    return false;
}

static bool selected(const mid_trace_snapshot *s, const mid_trace_filter *filters, size_t count, const mid_trace_entry *e)
{
    bool includes = false, in = false;
    for (size_t i = 0; i < count; i++) {
        bool match = matches(s, &filters[i], e);
        if (filters[i].exclude && match)
            return false;
        includes |= !filters[i].exclude;
        in |= !filters[i].exclude && match;
    }
    return in || !includes;
}

static mid_status fill_selected(const mid_trace_snapshot *s, const mid_trace_filter *filters, size_t count, mid_trace_snapshot *into)
{
    mid_trace_figures *f = &into->figures;
    mid_status status = room(into, s->count, s->word_count);
    if (status == MID_OK)
        status = mid_array_grow(&s->heap->alloc, &into->modules, s->modules.bytes);
    if (status == MID_OK)
        status = mid_array_grow(&s->heap->alloc, &into->names, s->names.bytes);
    if (status != MID_OK)
        return status;
    memcpy(into->modules.data, s->modules.data, s->modules.bytes);
    memcpy(into->names.data, s->names.data, s->names.bytes);
    into->module_count = s->module_count;
    uint64_t objects = 0;
    *f = s->figures;
    f->bytes = f->records = 0;
    memset(f->domain_bytes, 0, sizeof f->domain_bytes);
    for (uint64_t i = 0; i < s->count; i++) {
        const mid_trace_entry *e = &mid_trace_entries(s)[i];
        if (!selected(s, filters, count, e))
            continue;
        add(into, *e, mid_trace_entry_frames(s, e));
        f->bytes += e->sums.bytes;
        f->records += e->sums.records;
        f->domain_bytes[e->domain] += e->sums.bytes;
        objects += e->sums.objects;
    }
    f->objects = (objects + MID_TRACE_PARTS / 2) / MID_TRACE_PARTS;
    return MID_OK;
}

mid_status mid_trace_select(const mid_trace_snapshot *snapshot, const mid_trace_filter *filters, size_t count, mid_trace_snapshot **out)
{
    if (out != NULL)
        *out = NULL;
    if (snapshot == NULL || out == NULL || (filters == NULL && count != 0))
        return MID_ENULL;
    for (size_t i = 0; i < count; i++)
        if (filters[i].struct_size != sizeof *filters || ((filters[i].low != NULL || filters[i].high != NULL) && filters[i].low > filters[i].high))
            return MID_EINVAL;
    mid_heap *heap = snapshot->heap;
    mid_status status;
    mid_lock(heap);
    mid_trace_snapshot *into = open_snapshot(heap, &status);
    if (into != NULL) {
        status = fill_selected(snapshot, filters, count, into);
        if (status != MID_OK)
            close_snapshot(into);
        else
            *out = into;
    }
    mid_unlock(heap);
    return status;
}
