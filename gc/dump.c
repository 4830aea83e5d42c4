/* gc/dump.c: the calls of midden/dump.h, and what both formats share. */
#include "gc/dump.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gc/count.h"
#include "gc/refs.h"
#include "gc/writer.h"

static void add(mid_dump *d, const char *text, size_t length)
{
    if (d->status == MID_OK && d->used + length > d->text.bytes)
        d->status = mid_graph_room(d->graph, &d->text, d->used + length);
    if (d->status != MID_OK)
        return;
    memcpy((char *)d->text.data + d->used, text, length);
    d->used += length;
}

void mid_dump_add(mid_dump *d, const char *format, ...)
{
    char line[256]; /* no piece is longer: names go by mid_dump_quote */
    va_list more;
    if (strchr(format, '%') == NULL) { /* most pieces */
        add(d, format, strlen(format));
        return;
    }
    va_start(more, format);
    int length = vsnprintf(line, sizeof line, format, more);
    va_end(more);
    add(d, line, length < 0 ? 0 : (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
}

/* In a label a backslash begins an escape of Graphviz's own. */
void mid_dump_quote(mid_dump *d, const char *text, size_t room)
{
    const unsigned char *s = (const unsigned char *)text, *end = s + room;
    const char *back = d->dot ? "\\\\" : "\\";
    while (s != end && *s != 0) {
        const unsigned length = mid_utf8(s, (size_t)(end - s));
        if (length == 0 || *s < 0x20 || *s == 0x7F)
            mid_dump_add(d, "%sx%02x", back, (unsigned)*s);
        else if (*s == '\\')
            mid_dump_add(d, "%s%s", back, back);
        else if (*s == '"')
            mid_dump_add(d, d->dot ? "\\\"" : "\"");
        else
            add(d, (const char *)s, length);
        s += length == 0 ? 1 : length;
    }
}

void mid_dump_line(mid_dump *d)
{
    mid_dump_add(d, d->dot ? "\\l" : "\n");
}

bool mid_dump_there(const mid_dump *d, mid_handle object)
{
    return mid_is_object_(object) && mid_in_table(d->heap, object) && mid_inspectable(d->heap, mid_entry_at(d->heap, object));
}

/* Of the whole heap it is known what holds an object from outside. Nodes are in the order of handles. */
static const mid_node *node_of(const mid_dump *d, mid_handle object, bool *garbage)
{
    uint32_t low = 1, high = d->graph->node_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (mid_node_at(d->graph, middle)->handle < object)
            low = middle + 1;
        else
            high = middle;
    }
    *garbage = ((const uint32_t *)d->graph->parents.data)[low] == 0;
    return mid_node_at(d->graph, low);
}

mid_dump_hold mid_dump_figures(mid_dump *d, mid_handle object)
{
    const mid_entry *entry = mid_entry_at(d->heap, object);
    const mid_type_info *type = mid_type_of_entry(d->heap, entry);
    const void *at = mid_address(entry);
    bool garbage;
    mid_dump_add(d, "%u ", object);
    mid_dump_quote(d, type->name, sizeof type->name);
    mid_dump_add(d, ": %llu bytes", (unsigned long long)mid_object_size(type, at));
    if (type->item_size != 0)
        mid_dump_add(d, ", %u items", mid_items(type, at));
    if (mid_immortal(entry))
        mid_dump_add(d, ", immortal");
    else
        mid_dump_add(d, ", count %lld", (long long)mid_total(entry));
    mid_dump_add(d, "%s%s%s", entry->word & MID_F_PINNED ? ", pinned" : "", entry->word & MID_F_WEAK ? ", weakly known" : "",
                 entry->word & MID_F_FINALIZED ? ", finalized" : "");
    if (d->graph->parents.data == NULL)
        return MID_DUMP_REACHED;
    const mid_node *node = node_of(d, object, &garbage);
    if (mid_node_held(node) && node->outside != MID_EVER)
        mid_dump_add(d, ", held by %d", node->outside);
    else if (garbage)
        mid_dump_add(d, ", garbage");
    return mid_node_held(node) ? MID_DUMP_HELD : garbage ? MID_DUMP_GARBAGE : MID_DUMP_REACHED;
}

void mid_dump_name(mid_dump *d, const mid_type_info *type, uint32_t slot)
{
    uint64_t element = 0;
    const mid_field *field = mid_field_of_slot(type, slot, &element);
    const bool item = type->items_are_refs && (uint64_t)slot * sizeof(mid_slot) >= type->size;
    if (field != NULL)
        mid_dump_quote(d, field->name, MID_NAME_ROOM);
    else if (!item)
        mid_dump_add(d, "slot %u", slot);
    if (item || (field != NULL && field->count > 1))
        mid_dump_add(d, "[%llu]", (unsigned long long)(field != NULL ? element : slot - type->size / sizeof(mid_slot)));
}

void mid_dump_push(mid_dump *d, mid_list *list, const uint32_t *words, uint32_t count)
{
    if (d->status == MID_OK && list->count > UINT32_MAX - count)
        d->status = MID_ELIMIT;
    if (d->status == MID_OK)
        d->status = mid_list_room(d->heap, list, count);
    if (d->status != MID_OK)
        return;
    memcpy(mid_list_at(list, list->count), words, count * sizeof *words);
    list->count += count;
}

void mid_dump_mark(mid_dump *d, mid_handle object, uint32_t mark)
{
    if (d->status != MID_OK)
        return;
    mid_lock(d->heap); /* threads in blocked regions may want memory for a look of their own */
    d->status = mid_map_set(d->heap, &d->seen, object / 2, mark);
    mid_unlock(d->heap);
}

/* Nothing is asked of the heap in here: it may be inside a trace function's call. */
static void gather_slot(void *context, mid_slot *slot)
{
    mid_dump *d = context;
    uint64_t element = 0;
    const uint32_t number = mid_slot_number(d->object, slot);
    const mid_field *field = mid_field_of_slot(d->type, number, &element);
    const uint64_t nth = field != NULL ? element : d->unnamed++;
    if (nth >= d->limits.items_most)
        d->more++;
    else
        mid_dump_push(d, &d->refs, (const uint32_t[]){d->holder, number, slot->bits_}, 3);
}

void mid_dump_gather(mid_dump *d, mid_handle object)
{
    void *at = mid_address(mid_entry_at(d->heap, object));
    d->holder = object;
    d->object = at;
    d->type = mid_type_of_entry(d->heap, mid_entry_at(d->heap, object));
    d->refs.count = 0;
    d->unnamed = d->more = 0;
    mid_refs_fixed(d->heap, d->type, at, gather_slot, d);
    if (d->type->items_are_refs) {
        const uint32_t items = mid_items(d->type, at), some = items < d->limits.items_most ? items : d->limits.items_most;
        d->unnamed = 0;
        for (uint32_t i = 0; i < some; i++)
            gather_slot(d, mid_item_slots(d->type, at) + i);
        d->more += items - some;
    }
}

void mid_dump_roots(mid_dump *d, bool (*show)(mid_dump *, mid_handle))
{
    const mid_graph *g = d->graph;
    bool on = true;
    if (d->limits.roots != NULL) {
        for (size_t i = 0; i < d->limits.root_count && on; i++)
            on = !mid_is_object_(d->limits.roots[i]) || show(d, d->limits.roots[i]);
        return;
    }
    for (uint32_t n = 1; n <= g->node_count && on; n++)
        if (mid_node_held(mid_node_at(g, n)))
            on = show(d, mid_node_at(g, n)->handle);
    for (uint32_t n = 1; n <= g->node_count && on; n++)
        if (((const uint32_t *)g->parents.data)[n] == 0 && mid_map_get(&d->seen, mid_node_at(g, n)->handle / 2) == 0)
            on = show(d, mid_node_at(g, n)->handle);
}

/* --- the calls ------------------------------------------------------------------------------------------------------------ */

static mid_status begin(mid_dump *d, mid_graph *g)
{
    d->graph = g;
    d->heap = g->heap;
    for (size_t i = 0; i < d->limits.root_count; i++)
        if (mid_is_object_(d->limits.roots[i]) && !mid_dump_there(d, d->limits.roots[i]))
            return MID_EHANDLE;
    return d->limits.roots == NULL ? mid_graph_reach(g, 0) : MID_OK;
}

static mid_status make_graph(mid_graph *g, void *context)
{
    mid_dump *d = context;
    d->status = begin(d, g);
    if (d->status == MID_OK && d->limits.format == MID_DUMP_DOT)
        mid_dump_as_dot(d);
    else if (d->status == MID_OK)
        mid_dump_as_text(d);
    return d->status;
}

static mid_status make_one(mid_graph *g, void *context)
{
    mid_dump *d = context;
    d->status = mid_is_object_(*d->limits.roots) ? begin(d, g) : MID_EHANDLE;
    if (d->status == MID_OK)
        mid_dump_one(d, *d->limits.roots);
    return d->status;
}

static void put_all(mid_writer *w, const void *context)
{
    const mid_dump *d = context;
    mid_put(w, d->text.data, d->used);
}

static mid_status dump(mid_thread *thread, mid_dump *d, mid_status (*make)(mid_graph *, void *), int fd)
{
    mid_graph g;
    int error = 0;
    mid_status status = mid_graph_take_with(&g, thread, NULL, d->limits.roots == NULL, make, d);
    if (status == MID_OK) {
        error = mid_write_quietly(fd, put_all, d);
        mid_graph_resume(&g, thread);
    }
    mid_array *all[] = {&d->text, &d->seen.cells, &d->todo.memory, &d->path.memory, &d->refs.memory};
    for (unsigned i = 0; d->heap != NULL && i < sizeof all / sizeof *all; i++)
        mid_array_drop(d->heap, all[i]);
    if (status == MID_OK)
        mid_graph_done(&g);
    if (error == 0)
        return status;
    errno = error;
    return MID_ESYSTEM;
}

static void defaults(mid_dump_options *limits)
{
    limits->objects_most = limits->objects_most == 0 ? 1000 : limits->objects_most;
    limits->depth_most = limits->depth_most == 0 ? 64 : limits->depth_most;
    limits->items_most = limits->items_most == 0 ? 16 : limits->items_most;
    limits->text_most = limits->text_most == 0 ? 64 : limits->text_most;
}

mid_status mid_dump_object(mid_thread *thread, mid_handle object, int fd)
{
    mid_dump d = {.limits = {.roots = &object, .root_count = 1}};
    defaults(&d.limits);
    return fd < 0 ? MID_EINVAL : dump(thread, &d, make_one, fd);
}

mid_status mid_dump_graph(mid_thread *thread, const mid_dump_options *options, int fd)
{
    mid_dump d = {.heap = NULL};
    if (options != NULL) {
        if (options->struct_size != sizeof *options || (unsigned)options->format >= MID_DUMP_FORMATS_)
            return MID_EINVAL;
        d.limits = *options;
    }
    if (d.limits.roots == NULL && d.limits.root_count != 0)
        return MID_ENULL;
    defaults(&d.limits);
    return fd < 0 ? MID_EINVAL : dump(thread, &d, make_graph, fd);
}
