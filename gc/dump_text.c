/* gc/dump_text.c: a graph as indented text. Depth first, by a stack of references to be shown; no function recurs.
 *
 * What is on the way from the root to the line in hand is marked with its depth: a reference back to it closes a cycle. */
#include "gc/count.h"
#include "gc/dump.h"

#define INDENTED_MOST 40u /* deeper lines are told by a number: a long list's text is not the square of its length */

static void indent(mid_dump *d, uint32_t depth)
{
    mid_dump_add(d, "%*s", (int)(2 * (depth < INDENTED_MOST ? depth : INDENTED_MOST)), "");
    if (depth > INDENTED_MOST)
        mid_dump_add(d, "[%u] ", depth);
}

static void leave_path(mid_dump *d, uint32_t depth)
{
    while (d->path.count > depth)
        mid_dump_mark(d, *mid_list_at(&d->path, --d->path.count), MID_DUMPED);
}

/* In reverse, so that the first is on top. Integers and empty slots wait with the rest, to stay in order. */
static void push_refs(mid_dump *d, uint32_t depth)
{
    if (d->more != 0)
        mid_dump_push(d, &d->todo, (const uint32_t[]){0, (uint32_t)(d->more < UINT32_MAX ? d->more : UINT32_MAX), 0, depth}, 4);
    for (uint32_t i = mid_dump_ref_count(d); i-- != 0;) {
        const mid_dump_ref *ref = mid_dump_ref_at(d, i);
        mid_dump_push(d, &d->todo, (const uint32_t[]){ref->holder, ref->slot, ref->value, depth}, 4);
    }
}

static void name_only(mid_dump *d, mid_handle object, const char *why)
{
    mid_dump_add(d, "%u ", object);
    mid_dump_quote(d, mid_type_of_entry(d->heap, mid_entry_at(d->heap, object))->name, MID_NAME_ROOM);
    mid_dump_add(d, "%s\n", why);
}

static void show(mid_dump *d, mid_handle object, uint32_t depth)
{
    const uint32_t mark = mid_map_get(&d->seen, object / 2);
    if (mark != 0) {
        name_only(d, object, mark == MID_DUMPED ? " (above)" : " (cycle)");
        return;
    }
    if (d->shown == d->limits.objects_most || depth > d->limits.depth_most) {
        d->cut_objects += d->shown == d->limits.objects_most;
        d->cut_depth += d->shown != d->limits.objects_most;
        name_only(d, object, " ...");
        return;
    }
    d->shown++;
    mid_dump_mark(d, object, depth + 1);
    mid_dump_push(d, &d->path, &object, 1);
    mid_dump_figures(d, object);
    mid_dump_line(d);
    mid_dump_gather(d, object);
    mid_dump_fields(d, "", 2 * ((depth < INDENTED_MOST ? depth : INDENTED_MOST) + 1));
    push_refs(d, depth + 1);
}

static void show_ref(mid_dump *d, const mid_dump_ref *ref, uint32_t depth)
{
    leave_path(d, depth);
    indent(d, depth);
    if (ref->holder == 0) {
        mid_dump_add(d, "... %u more\n", ref->slot);
        return;
    }
    mid_dump_name(d, mid_type_of_entry(d->heap, mid_entry_at(d->heap, ref->holder)), ref->slot);
    mid_dump_add(d, mid_is_object_(ref->value) ? " -> " : " = ");
    if (!mid_is_object_(ref->value)) {
        mid_dump_immediate(d, ref->value);
        mid_dump_line(d);
    } else if (mid_dump_there(d, ref->value))
        show(d, ref->value, depth);
    else
        mid_dump_add(d, "%u (being freed)\n", ref->value);
}

/* Of the whole heap, what other roots have shown is not named again. */
static bool show_root(mid_dump *d, mid_handle root)
{
    leave_path(d, 0);
    if (d->limits.roots == NULL && d->shown == d->limits.objects_most) {
        d->cut_objects++;
        return false;
    }
    if (d->limits.roots != NULL || mid_map_get(&d->seen, root / 2) == 0)
        show(d, root, 0);
    while (d->todo.count != 0 && d->status == MID_OK) {
        const uint32_t *words = mid_list_at(&d->todo, d->todo.count -= 4);
        const mid_dump_ref ref = {words[0], words[1], words[2]};
        show_ref(d, &ref, words[3]);
    }
    return d->status == MID_OK;
}

void mid_dump_as_text(mid_dump *d)
{
    mid_dump_roots(d, show_root);
    if (d->cut_objects != 0)
        mid_dump_add(d, "(the limit of %llu objects was reached)\n", (unsigned long long)d->limits.objects_most);
    if (d->cut_depth != 0)
        mid_dump_add(d, "(%llu references led deeper than %u)\n", (unsigned long long)d->cut_depth, d->limits.depth_most);
}

void mid_dump_one(mid_dump *d, mid_handle object)
{
    const mid_entry *entry = mid_entry_at(d->heap, object);
    const uint32_t owner = mid_owner(MID_READ_(entry->count));
    mid_dump_figures(d, object);
    mid_dump_add(d, "\n  at %p, ", mid_address(entry));
    if (mid_immortal(entry) || owner == MID_UNOWNED_ >> MID_OWNER_SHIFT_)
        mid_dump_add(d, "no owner\n");
    else
        mid_dump_add(d, "owner: thread %u\n", owner);
    mid_dump_gather(d, object);
    mid_dump_fields(d, "", 2);
    for (uint32_t i = 0; i < mid_dump_ref_count(d); i++) {
        const mid_dump_ref *ref = mid_dump_ref_at(d, i);
        mid_dump_add(d, "  ");
        mid_dump_name(d, d->type, ref->slot);
        mid_dump_add(d, mid_is_object_(ref->value) ? " -> " : " = ");
        if (!mid_is_object_(ref->value)) {
            mid_dump_immediate(d, ref->value);
            mid_dump_line(d);
        } else if (mid_dump_there(d, ref->value))
            name_only(d, ref->value, ref->value == object ? " (itself)" : "");
        else
            mid_dump_add(d, "%u (being freed)\n", ref->value);
    }
    if (d->more != 0)
        mid_dump_add(d, "  ... %llu more\n", (unsigned long long)d->more);
}
