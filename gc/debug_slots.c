/* gc/debug_slots.c: what the slots of an object hold, as far as checked calls have stored it.
 *
 * Of each object a sum is kept over its slots, of f(number, value): an exchange adds f(new) - f(old). If the sum over the slots
 * that its type declares and visits is another, somebody wrote a slot by himself, or the trace function visits others than
 * before. f mixes number and value into 64 bits and can be inverted (the finalizer of splitmix64: Steele, Lea, Flood 2014), so
 * of a single difference the sum alone tells which slot it is and what it held. A slot that holds nothing adds nothing: a trace
 * function may begin and cease to visit it.
 *
 * Beside it, of each object, how many slots hold it. Who releases what has no count beyond those releases what is not his. */
#include <stdio.h>

#include "gc/count.h"
#include "gc/debug.h"
#include "gc/refs.h"

#define OUTWARD_1 0xBF58476D1CE4E5B9u
#define OUTWARD_2 0x94D049BB133111EBu
#define BACK_1 0x96DE1B173F119089u
#define BACK_2 0x319642B2D24D8EC3u

static uint64_t mix(uint32_t slot, mid_handle value)
{
    if (value == 0)
        return 0;
    uint64_t z = ((uint64_t)slot + 1) << 32 | value;
    z = (z ^ z >> 30) * OUTWARD_1;
    z = (z ^ z >> 27) * OUTWARD_2;
    return z ^ z >> 31;
}

/* The slot and the value of which this is the mixture; false: of none that an object of so many words has. */
static bool unmix(uint64_t z, size_t words, uint32_t *slot, mid_handle *value)
{
    z = (z ^ z >> 31 ^ z >> 62) * BACK_2;
    z = (z ^ z >> 27 ^ z >> 54) * BACK_1;
    z = z ^ z >> 30 ^ z >> 60;
    *slot = (uint32_t)(z >> 32) - 1;
    *value = (mid_handle)z;
    return z >> 32 != 0 && *slot < words && *value != 0;
}

typedef struct tally {
    char *object;
    size_t size;
    uint64_t sum;
    bool outside;
} tally;

static void add(void *context, mid_slot *slot)
{
    tally *t = context;
    size_t at = (size_t)((char *)slot - t->object);
    if (at >= t->size || at % sizeof(mid_slot) != 0)
        t->outside = true;
    else
        t->sum += mix((uint32_t)(at / sizeof(mid_slot)), MID_READ_(slot->bits_));
}

static tally take_tally(mid_heap *heap, const mid_type_info *type, char *object)
{
    tally t = {.object = object, .size = mid_object_size(type, object)};
    mid_refs(heap, type, object, add, &t);
    return t;
}

unsigned mid_debug_slot_count(const mid_type_info *type, const void *object)
{
    size_t traced = type->trace != NULL ? type->size / sizeof(mid_slot) : 0;
    if (type->trace != NULL && type->item_size != 0)
        traced += (size_t)mid_items(type, object) * type->item_size / sizeof(mid_slot);
    size_t all = type->slot_count + traced + (type->items_are_refs ? mid_items(type, object) : 0);
    return all > UINT32_MAX ? UINT32_MAX : (unsigned)all;
}

/* --- how many slots hold it ---------------------------------------------------------------------------------------- */

static bool counted(const mid_heap *heap, mid_handle value)
{
    return mid_is_object_(value) && mid_in_table(heap, value);
}

void mid_debug_dropped(mid_heap *heap, mid_handle value)
{
    if (!counted(heap, value))
        return;
    uint32_t *held = &mid_site_of(heap, value)->held, was = __atomic_load_n(held, __ATOMIC_RELAXED);
    while (was != 0 && !__atomic_compare_exchange_n(held, &was, was - 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ; /* 0: the number is another's since */
}

static void drop_one(void *context, mid_slot *slot)
{
    mid_debug_dropped(context, slot->bits_);
}

void mid_debug_stored(mid_heap *heap, mid_handle holder, unsigned slot, mid_handle old, mid_handle value)
{
    if (!mid_type_of_entry(heap, mid_entry_at(heap, holder))->shadowed)
        return;
    mid_site_of(heap, holder)->sum += mix(slot, value) - mix(slot, old);
    mid_debug_dropped(heap, old);
    if (counted(heap, value))
        __atomic_fetch_add(&mid_site_of(heap, value)->held, 1, __ATOMIC_RELAXED);
}

static void count_one(void *context, mid_slot *slot)
{
    mid_heap *heap = context;
    if (counted(heap, slot->bits_))
        mid_site_of(heap, slot->bits_)->held++;
}

/* What dies, and was not yet let go of, still holds. */
void mid_debug_recount(mid_heap *heap)
{
    for (uint32_t i = heap->first_index; i < heap->next_index; i++)
        mid_site_of(heap, i * 2)->held = 0;
    for (uint32_t i = heap->first_index; i < heap->next_index; i++) {
        const mid_entry *entry = heap->table + i;
        if (entry->count == 0 || mid_address(entry) == NULL || mid_site_of(heap, i * 2)->state != MID_SITE_LIVE)
            continue;
        if (mid_type_of_entry(heap, entry)->shadowed)
            mid_refs(heap, mid_type_of_entry(heap, entry), mid_address(entry), count_one, heap);
    }
    heap->watch->doubtful = false;
}

typedef struct search {
    mid_handle value;
    bool found;
} search;

static void compare(void *context, mid_slot *slot)
{
    search *s = context;
    s->found |= MID_READ_(slot->bits_) == s->value;
}

mid_handle mid_debug_holder(mid_heap *heap, mid_handle value)
{
    search s = {.value = value};
    for (uint32_t i = heap->first_index; i < heap->next_index; i++) {
        const mid_entry *entry = heap->table + i;
        if (!mid_entry_live(entry))
            continue;
        mid_refs(heap, mid_type_of_entry(heap, entry), mid_address(entry), compare, &s);
        if (s.found)
            return i * 2;
    }
    return 0;
}

/* --- a difference ---------------------------------------------------------------------------------------------------- */

/* One slot that explains it: written (visited, `old` is what it held) or no longer visited. */
typedef struct finding {
    char *object;
    size_t words;
    uint64_t difference;
    unsigned explained;
    mid_slot *slot;
    mid_handle old;
    const mid_slot *asked; /* how often is this one visited? */
    unsigned visits;
} finding;

static void explain(void *context, mid_slot *slot)
{
    finding *f = context;
    uint32_t number = (uint32_t)(((char *)slot - f->object) / (ptrdiff_t)sizeof(mid_slot)), was;
    mid_handle old = 0;
    if (f->slot == slot || (size_t)((char *)slot - f->object) >= f->words * sizeof(mid_slot))
        return;
    uint64_t before = mix(number, slot->bits_) - f->difference;
    if (before != 0 && (!unmix(before, f->words, &was, &old) || was != number))
        return;
    f->explained++;
    f->slot = slot;
    f->old = old;
}

static void visits_of(void *context, mid_slot *slot)
{
    finding *f = context;
    f->visits += slot == f->asked;
}

static bool is_declared(const mid_type_info *type, uint32_t number)
{
    if (type->items_are_refs && number >= type->size / sizeof(mid_slot))
        return true;
    if (type->slots == NULL)
        return number - type->first_slot < type->slot_count;
    for (uint32_t i = 0; i < type->slot_count; i++)
        if (type->slots[i] == number)
            return true;
    return false;
}

/* Of what cannot be told apart: numbers that name nothing must not be followed. */
static void clear_wild(void *context, mid_slot *slot)
{
    mid_heap *heap = context;
    mid_handle value = slot->bits_;
    if (mid_is_object_(value) && (!mid_in_table(heap, value) || !mid_entry_live(mid_entry_at(heap, value))))
        MID_WRITE_(slot->bits_, 0);
}

static void tell_written(mid_heap *heap, mid_handle handle, const char *call, const mid_type_info *type, const finding *f)
{
    char names[3][128];
    uint32_t number = (uint32_t)(f->slot - (mid_slot *)f->object);
    const char *name = mid_fault_name(heap, handle, names[0], sizeof names[0]);
    if (f->visits > 1) {
        MID_FAULT(heap, MID_MISUSE_EDGE, call, handle, f->slot->bits_, "the trace function of %s visits slot %u %u times", name, number,
                  f->visits);
    } else if (f->old == 0 && !is_declared(type, number)) {
        MID_FAULT(heap, MID_MISUSE_EDGE, call, handle, 0,
                  "slot %u of %s holds %u, which no call stored: its trace function visits what is no reference, or it was written "
                  "without mid_store",
                  number, name, f->slot->bits_);
    } else {
        mid_handle now = f->slot->bits_;
        MID_WRITE_(f->slot->bits_, f->old); /* before it is told: whoever looks at the heap then finds it whole */
        MID_FAULT(heap, MID_MISUSE_SLOT_WRITTEN, call, handle, counted(heap, now) ? now : 0,
                  "slot %u of %s was written without mid_store: it held %s, and %s was found", number, name,
                  mid_fault_name(heap, f->old, names[1], sizeof names[1]), mid_fault_name(heap, now, names[2], sizeof names[2]));
    }
}

static void tell(mid_heap *heap, mid_handle handle, const char *call, const mid_type_info *type, const tally *now)
{
    mid_site *site = mid_site_of(heap, handle);
    char names[2][128];
    uint32_t number;
    mid_handle value;
    finding f = {.object = now->object, .words = now->size / sizeof(mid_slot), .difference = now->sum - site->sum};
    const char *name = mid_fault_name(heap, handle, names[0], sizeof names[0]);
    mid_refs(heap, type, now->object, explain, &f);
    if (f.explained == 1) {
        f.asked = f.slot;
        f.visits = 0;
        mid_refs(heap, type, now->object, visits_of, &f);
        tell_written(heap, handle, call, type, &f);
        site->told = f.slot->bits_ != f.old;
    } else if (unmix(0 - f.difference, f.words, &number, &value)) {
        MID_FAULT(heap, MID_MISUSE_EDGE, call, handle, counted(heap, value) ? value : 0,
                  "the trace function of %s no longer visits slot %u, which holds %s", name, number,
                  mid_fault_name(heap, value, names[1], sizeof names[1]));
        site->sum = now->sum;
        heap->watch->doubtful = true;
    } else {
        mid_refs(heap, type, now->object, clear_wild, heap);
        site->sum = take_tally(heap, type, now->object).sum;
        heap->watch->doubtful = true;
        MID_FAULT(heap, MID_MISUSE_SLOT_WRITTEN, call, handle, 0,
                  "several slots of %s were written without mid_store, or its trace function visits others than before", name);
    }
}

bool mid_debug_slots_whole(mid_heap *heap, mid_handle handle, const char *call)
{
    const mid_entry *entry = mid_entry_at(heap, handle);
    const mid_type_info *type = mid_type_of_entry(heap, entry);
    mid_site *site = mid_site_of(heap, handle);
    char name[128];
    if (!type->shadowed || site->told)
        return true;
    tally now = take_tally(heap, type, mid_address(entry));
    if (now.outside) {
        site->told = true;
        MID_FAULT(heap, MID_MISUSE_EDGE, call, handle, 0, "the trace function of %s visits what is no slot of it",
                  mid_fault_name(heap, handle, name, sizeof name));
        return false;
    }
    if (now.sum == site->sum)
        return true;
    tell(heap, handle, call, type, &now);
    return false;
}

void mid_debug_resum(mid_heap *heap, mid_handle handle)
{
    const mid_entry *entry = mid_entry_at(heap, handle);
    const mid_type_info *type = mid_type_of_entry(heap, entry);
    if (type->shadowed && !mid_site_of(heap, handle)->told)
        mid_site_of(heap, handle)->sum = take_tally(heap, type, mid_address(entry)).sum;
}

/* Its slots are let go of next: what no call stored is not to be counted down. */
void mid_debug_dies(mid_impl *me, mid_handle handle)
{
    mid_heap *heap = me->heap;
    mid_site *site = mid_site_of(heap, handle);
    const mid_entry *entry = mid_entry_at(heap, handle);
    const mid_type_info *type = mid_type_of_entry(heap, entry);
    if (site->state != MID_SITE_LIVE)
        return;
    mid_lock(heap);
    mid_debug_fence_whole(heap, handle, "a free");
    mid_unlock(heap);
    mid_debug_slots_whole(heap, handle, "a free");
    if (site->told)
        mid_refs(heap, type, mid_address(entry), clear_wild, heap);
    if (type->shadowed)
        mid_refs(heap, type, mid_address(entry), drop_one, heap);
    site->state = MID_SITE_SETTLED;
    site->gone = mid_debug_stack(heap, me->called_from);
    site->gone_by = (uint16_t)me->id;
}
