/* gc/dump.h: the text of a dump while it is made, the world standing.
 *
 *   dump.c        the calls; text, figures of an object, references of an object
 *   dump_value.c  what is in fields
 *   dump_text.c   indented text, depth first
 *   dump_dot.c    for Graphviz, breadth first */
#ifndef MID_GC_DUMP_H
#define MID_GC_DUMP_H

#include "gc/inspect.h"

/* References, as found: three words in a list. */
typedef struct mid_dump_ref {
    mid_handle holder; /* 0: a root */
    uint32_t slot;
    mid_handle value;
} mid_dump_ref;

typedef struct mid_dump {
    mid_heap *heap;
    mid_graph *graph;     /* of the whole heap; null: from roots */
    mid_dump_options limits;
    mid_array text;
    size_t used;
    mid_status status;    /* why there is no room for more */
    mid_map seen;         /* entry index: 1 + depth while on the way to what is shown, or one of those below */
    mid_list todo;        /* stack, or queue: words */
    mid_list path;        /* handles by depth */
    mid_list refs;        /* of the object in hand: mid_dump_ref, by words */
    const void *object;   /* in hand, */
    const mid_type_info *type;
    mid_handle holder;
    uint64_t unnamed;     /* slots of it that no field names, so far; */
    uint64_t more;        /* ... and references left out */
    bool dot;             /* text is inside a label */
    uint64_t shown;
    uint64_t cut_objects, cut_depth;
} mid_dump;

#define MID_NAME_ROOM 64             /* of types and fields, with the zero byte */
#define MID_DUMPED UINT32_MAX         /* shown, */
#define MID_DUMP_NAMED (UINT32_MAX - 1) /* named only */

/* --- dump.c */
void mid_dump_add(mid_dump *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
void mid_dump_quote(mid_dump *d, const char *text, size_t room); /* to its end or that of the room, escaped as need be */
void mid_dump_line(mid_dump *d);                                 /* ends one */
bool mid_dump_there(const mid_dump *d, mid_handle object);
typedef enum { MID_DUMP_REACHED, MID_DUMP_HELD, MID_DUMP_GARBAGE } mid_dump_hold; /* from outside; known of the whole heap only */
mid_dump_hold mid_dump_figures(mid_dump *d, mid_handle object); /* "26 node: 24 bytes, count 2" */
void mid_dump_name(mid_dump *d, const mid_type_info *type, uint32_t slot);
void mid_dump_gather(mid_dump *d, mid_handle object);            /* into refs */
void mid_dump_push(mid_dump *d, mid_list *list, const uint32_t *words, uint32_t count);
void mid_dump_mark(mid_dump *d, mid_handle object, uint32_t mark);
static inline mid_dump_ref *mid_dump_ref_at(const mid_dump *d, uint32_t n)
{
    return (mid_dump_ref *)d->refs.memory.data + n;
}
static inline uint32_t mid_dump_ref_count(const mid_dump *d)
{
    return d->refs.count / 3;
}
/* Call `show` for each root, until it says no more. */
void mid_dump_roots(mid_dump *d, bool (*show)(mid_dump *, mid_handle));

/* --- dump_value.c: "name = value" of every field that is no reference; each after `before`, and ended as a line */
void mid_dump_fields(mid_dump *d, const char *before, unsigned indent);
/* What a slot holds that is no object. */
void mid_dump_immediate(mid_dump *d, mid_handle value);

/* --- dump_text.c, dump_dot.c */
void mid_dump_as_text(mid_dump *d);
void mid_dump_as_dot(mid_dump *d);
void mid_dump_one(mid_dump *d, mid_handle object);

#endif
