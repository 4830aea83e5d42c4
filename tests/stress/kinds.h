/* tests/stress/kinds.h: the types of the random graph: where their slots are and what their other bytes must hold.
 *
 * Every byte of an object that is not a slot, a length, a payload pointer or a trace mask holds a pattern that follows
 * from the object's `pattern` number and the byte's place; a new object and new items are zero until painted. */
#ifndef STRESS_KINDS_H
#define STRESS_KINDS_H

#include "model.h"

enum {
    K_CYCLIC = 1u << 0,     /* a candidate of the cycle collector */
    K_LOW = 1u << 1,        /* declared acyclic: refers to leaves and to older objects of its own sort */
    K_TOP = 1u << 2,        /* declared acyclic: refers to anything but its own sort, held from outside only */
    K_VARIABLE = 1u << 3,
    K_ITEM_SLOTS = 1u << 4, /* items are slots */
    K_PAIRS = 1u << 5,      /* items are {slot, data}, found by a trace function */
    K_MASK = 1u << 6,       /* a mask word says which words are slots, found by a trace function */
    K_FINAL = 1u << 7,
    K_PAYLOAD = 1u << 8,
    K_HUGE = 1u << 9,       /* made rarely */
};

#define MAX_REFS 4u

struct kind {
    const char *name;
    uint32_t flags, size, align;
    uint32_t refs[MAX_REFS], ref_count; /* byte offsets */
    uint32_t item_size, length_offset, payload_offset;
    uint32_t keep; /* so many that have died wait to be new; not where the heap collects when it likes */
    uint32_t mask_word, mask_first, mask_last; /* K_MASK: bit n of the mask is for word mask_first + n */
};

extern const struct kind kinds[];
extern const unsigned kind_count;

static inline size_t kind_bytes(const struct kind *k, uint32_t items)
{
    return k->size + (size_t)items * k->item_size;
}

/* The model's slots of an object, and the slot number that the heap knows one by. */
uint32_t kind_slots(const struct kind *k, uint32_t items);
unsigned kind_slot_number(const struct kind *k, uint32_t slot);
/* Whether the slot is one now: words of K_MASK objects are slots while their bit is set. */
bool slot_active(const struct obj *o, uint32_t slot);

void kinds_register(mid_heap *heap, mid_type *types);

/* Fill bytes [from, to) with the pattern; verify them against it, or against zero. The verifiers return the offset of
 * the first wrong byte, or SIZE_MAX. */
void paint(const struct obj *o, void *at, size_t from, size_t to);
size_t verify(const struct obj *o, const void *at, size_t from, size_t to);
size_t verify_zero(const struct obj *o, const void *at, size_t from, size_t to);

/* What the heap calls back. */
void on_finalize(mid_thread *thread, mid_handle object);
void on_payload_free(void *payload, void *context);

#endif
