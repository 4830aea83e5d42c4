/* gc/dump_dot.c: a graph for Graphviz. Breadth first, so that a limit cuts off what is far. */
#include "gc/dump.h"

/* Name what is left out, once. */
static void leave_out(mid_dump *d, mid_handle object)
{
    mid_dump_mark(d, object, MID_DUMP_NAMED);
    mid_dump_add(d, "  h%u [label=\"%u ", object, object);
    d->dot = true;
    if (mid_dump_there(d, object))
        mid_dump_quote(d, mid_type_of_entry(d->heap, mid_entry_at(d->heap, object))->name, MID_NAME_ROOM);
    else
        mid_dump_add(d, "(being freed)");
    d->dot = false;
    mid_dump_add(d, "\", style=dotted];\n");
}

static void enqueue(mid_dump *d, mid_handle object, uint32_t depth)
{
    if (mid_map_get(&d->seen, object / 2) != 0)
        return;
    if (!mid_dump_there(d, object) || d->shown == d->limits.objects_most || depth > d->limits.depth_most) {
        d->cut_objects += d->shown == d->limits.objects_most;
        d->cut_depth += depth > d->limits.depth_most;
        leave_out(d, object);
        return;
    }
    d->shown++;
    mid_dump_mark(d, object, MID_DUMPED);
    mid_dump_push(d, &d->todo, (const uint32_t[]){object, depth}, 2);
}

static void box(mid_dump *d, mid_handle object)
{
    mid_dump_add(d, "  h%u [label=\"", object);
    d->dot = true;
    const mid_dump_hold hold = mid_dump_figures(d, object);
    mid_dump_line(d);
    mid_dump_fields(d, "", 0);
    for (uint32_t i = 0; i < mid_dump_ref_count(d); i++) {
        const mid_dump_ref *ref = mid_dump_ref_at(d, i);
        if (mid_is_object_(ref->value))
            continue;
        mid_dump_name(d, d->type, ref->slot);
        mid_dump_add(d, " = ");
        mid_dump_immediate(d, ref->value);
        mid_dump_line(d);
    }
    if (d->more != 0)
        mid_dump_add(d, "... %llu more\\l", (unsigned long long)d->more);
    d->dot = false;
    mid_dump_add(d, "\"%s];\n", hold == MID_DUMP_HELD ? ", style=bold" : hold == MID_DUMP_GARBAGE ? ", style=dashed" : "");
}

static void arrows(mid_dump *d, mid_handle object, uint32_t depth)
{
    for (uint32_t i = 0; i < mid_dump_ref_count(d) && d->status == MID_OK; i++) {
        const mid_dump_ref *ref = mid_dump_ref_at(d, i);
        if (!mid_is_object_(ref->value))
            continue;
        enqueue(d, ref->value, depth + 1);
        mid_dump_add(d, "  h%u -> h%u [label=\"", object, ref->value);
        d->dot = true;
        mid_dump_name(d, d->type, ref->slot);
        d->dot = false;
        mid_dump_add(d, "\"];\n");
    }
}

static bool take_root(mid_dump *d, mid_handle root)
{
    enqueue(d, root, 0);
    return d->status == MID_OK && (d->limits.roots != NULL || d->cut_objects == 0);
}

static void show_queue(mid_dump *d, uint32_t *out)
{
    for (; *out < d->todo.count && d->status == MID_OK; *out += 2) {
        const mid_handle object = *mid_list_at(&d->todo, *out);
        const uint32_t depth = *mid_list_at(&d->todo, *out + 1);
        mid_dump_gather(d, object);
        box(d, object);
        arrows(d, object, depth);
    }
}

void mid_dump_as_dot(mid_dump *d)
{
    uint32_t out = 0;
    mid_dump_add(d, "digraph midden {\n  node [shape=box, fontname=\"monospace\", fontsize=10];\n  edge [fontname=\"monospace\", fontsize=9];\n");
    mid_dump_roots(d, take_root);
    show_queue(d, &out);
    if (d->cut_objects != 0)
        mid_dump_add(d, "  // the limit of %llu objects was reached\n", (unsigned long long)d->limits.objects_most);
    if (d->cut_depth != 0)
        mid_dump_add(d, "  // %llu objects were further than %u references away\n", (unsigned long long)d->cut_depth, d->limits.depth_most);
    mid_dump_add(d, "}\n");
}
