/* gc/deep.h: deep compaction: handles are given anew, so that the table can shrink, and objects and entries lie as they are walked.
 *
 *   links.c   who refers to what, by what can be read while mutators run
 *   order.c   the order in which they are to lie, likewise
 *   place.c   in stops: one object after another comes to its number, and its slot
 *   renumber.c  whether it can have it; the slots that refer to it
 *   rename.c  everybody else who keeps numbers
 *   deep.c    the whole, in slices
 *
 * An object can have another number if all of its counted references are known to be in slots. What was read is only a
 * proposal: in the stop each link is looked at again, and if as many of them hold as the object has counts, there are no others
 * (invariant 1), and all are rewritten before anybody runs. So two names never coexist. docs/design/deep.md has the whole. */
#ifndef MID_GC_DEEP_H
#define MID_GC_DEEP_H

#include "gc/heap.h"

typedef enum mid_deep_step {
    MID_DEEP_NONE,
    MID_DEEP_LINK,  /* of all objects the slots are read, ... */
    MID_DEEP_ORDER, /* ... and then in the order in which they are walked */
    MID_DEEP_STILL, /* stop: slots that can be read only now */
    MID_DEEP_UNBIND, /* stop: empty pools keep no entries */
    MID_DEEP_PLACE, /* stop: one after another comes to its place */
    MID_DEEP_FREE,  /* stop: the entries of free slots go to the lowest, ... */
    MID_DEEP_TRIM,  /* stop: ... and the end of the table to the system */
    MID_DEEP_CLOSE
} mid_deep_step;

/* A reference as it was read: by which object, in which of its words; and the next to the same. */
typedef struct mid_link {
    uint32_t holder, slot, next;
} mid_link;
#define MID_LINK_NEVER UINT32_MAX /* a slot that must not change */

#define MID_LINKS_AHEAD 16u /* prefetched */

/* All slots that refer to an object. One with more keeps its number: what is done at once is bounded. */
#define MID_REFERRERS_MOST 1024u
typedef struct mid_referrers {
    mid_slot *slots[MID_REFERRERS_MOST];
    uint32_t count;
} mid_referrers;

typedef struct mid_deep {
    mid_heap *heap;
    mid_deep_step step;
    mid_deep_order order;
    mid_status status;    /* why it has to be given up */
    uint32_t end;         /* indices from here on are none of its business */
    uint32_t at, item;    /* where the step is */

    mid_array first;      /* uint32_t[end]: an object's first link, 0: none */
    mid_array links;      /* mid_link[], the first is none */
    uint32_t link_count;
    const mid_type_info *type; /* of the holder in hand, as it was read */
    uint32_t last;        /* of its slots that are links: none is read twice */
    mid_link late[MID_LINKS_AHEAD]; /* .next is the referent; their first links are on their way */
    uint32_t late_in;
    mid_list later;       /* holders that can be read only while the world stands */

    bool roots_done;
    mid_array seen;       /* a bit for each index */
    mid_list stack;       /* pairs: an index, and its item to go on with */
    mid_list sequence;    /* indices as they were when the links were read */
    uint32_t head;        /* of the sequence: walked up to here */

    mid_array now, was;   /* uint32_t[end]: where what had this index is, and the reverse; 0: still there */
    uint32_t next;        /* in the sequence; */
    bool laid;            /* ... it lies where it should, but has no number yet */
    uint32_t to, from;    /* the index to be given next; that to be taken from the end of the table */
    uint32_t claimed;     /* past the block whose free entries are ours; 0: none is; */
    uint32_t claimed_used; /* ... how far it had been used */
    struct mid_deep_cursor {
        uint32_t arena, unit, slot;
    } cursors[MID_CLASSES]; /* the slot to be filled next */
    mid_referrers one, other; /* of the two that change numbers */
    uint64_t renamed;     /* objects, in this slice */
} mid_deep;

static inline uint32_t *mid_deep_cell(const mid_array *array, uint32_t index)
{
    return (uint32_t *)array->data + index;
}
static inline mid_link *mid_link_at(const mid_deep *d, uint32_t n)
{
    return (mid_link *)d->links.data + n;
}

static inline uint32_t mid_deep_now(const mid_deep *d, uint32_t index)
{
    uint32_t at = *mid_deep_cell(&d->now, index);
    return at == 0 ? index : at;
}
static inline uint32_t mid_deep_was(const mid_deep *d, uint32_t index)
{
    uint32_t at = *mid_deep_cell(&d->was, index);
    return at == 0 ? index : at;
}
/* A free entry of a block that is claimed. */
static inline bool mid_vacant(const mid_entry *entry)
{
    return entry->count == 0 && entry->word == 0;
}

/* With `proposing` held, whatever runs, or while the world stands (`still`). False: the clock says stop. */
bool mid_links_read(mid_deep *d, bool still, uint64_t deadline);
bool mid_links_read_still(mid_deep *d, uint64_t deadline);
bool mid_order_find(mid_deep *d, bool still, uint64_t deadline);
void mid_link_flush(mid_deep *d);
/* An array of so many words or bytes, zero; what was in it is gone. False: there is no memory, and d->status says so. */
bool mid_deep_room(mid_deep *d, mid_array *array, size_t bytes);

/* --- place.c: the world stands. False: the clock says stop */
bool mid_place_unbind(mid_heap *heap, uint64_t deadline);       /* empty pools keep no entries */
bool mid_place_packed(mid_deep *d, uint64_t deadline);          /* in the order of the table, or ... */
bool mid_place_in_order(mid_deep *d, uint64_t deadline);        /* ... of the sequence */
bool mid_place_free(mid_deep *d, uint64_t deadline);            /* the entries of free slots */
void mid_deep_settle(mid_deep *d);                              /* of the block that is claimed what is left is free */

/* --- renumber.c */
/* What has the index `from` gets `to`, whose own goes there. False: it stays, or (`taken`) who has `to` does. */
bool mid_rename_to(mid_deep *d, uint32_t from, uint32_t to, bool *taken);
/* What will be asked about an index soon is fetched in stages, each of which needs what the one before has brought: its first link's
 * place, the link, who holds, the slot. */
#define MID_FETCH_STAGES 4u
void mid_deep_fetch(const mid_deep *d, uint32_t index, unsigned stage);

/* --- rename.c */
void mid_exchange(mid_heap *heap, mid_handle a, mid_handle b); /* but for slots */

#endif
