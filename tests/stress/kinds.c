/* tests/stress/kinds.c: see kinds.h. */
#include "kinds.h"

#include <string.h>

#include "run.h"

/* Offsets are in odd places on purpose: last words, words after odd-sized parts, every alignment of 4. */
const struct kind kinds[] = {
    {.name = "leaf8", .size = 8},
    {.name = "leaf24", .size = 24, .keep = 6},
    {.name = "leaf39", .size = 39},
    {.name = "leaf104", .size = 104},
    {.name = "leaf136", .size = 136},
    {.name = "leaf520", .size = 520},
    {.name = "leaf3001", .size = 3001},
    {.name = "leaf32768", .size = 32768, .flags = K_HUGE},
    {.name = "leaf40000", .size = 40000, .flags = K_HUGE, .keep = 2},
    {.name = "leaf1200000", .size = 1200000, .flags = K_HUGE},
    {.name = "node8", .size = 8, .flags = K_CYCLIC, .refs = {0, 4}, .ref_count = 2},
    {.name = "wide60", .size = 60, .flags = K_CYCLIC, .refs = {4, 28, 56}, .ref_count = 3, .keep = 30},
    {.name = "wide200", .size = 200, .flags = K_CYCLIC, .refs = {0, 100, 196}, .ref_count = 3},
    {.name = "wide2048", .size = 2048, .flags = K_CYCLIC, .refs = {2044, 1024, 4, 508}, .ref_count = 4},
    {.name = "wide5000", .size = 5000, .flags = K_CYCLIC, .refs = {0, 2500, 4996}, .ref_count = 3},
    {.name = "final4000", .size = 4000, .flags = K_CYCLIC | K_FINAL, .refs = {3992, 3996}, .ref_count = 2},
    {.name = "low16", .size = 16, .flags = K_LOW, .refs = {8, 12}, .ref_count = 2},
    {.name = "top24", .size = 24, .flags = K_TOP, .refs = {0, 20}, .ref_count = 2},
    {.name = "bytes", .size = 4, .flags = K_VARIABLE, .item_size = 1},
    {.name = "records", .size = 16, .flags = K_VARIABLE, .item_size = 24, .length_offset = 12},
    {.name = "array", .size = 4, .flags = K_VARIABLE | K_ITEM_SLOTS | K_CYCLIC, .item_size = 4},
    {.name = "fatarray", .size = 24, .flags = K_VARIABLE | K_ITEM_SLOTS | K_CYCLIC, .item_size = 4, .length_offset = 8,
     .refs = {4, 16}, .ref_count = 2},
    {.name = "mask64", .size = 64, .flags = K_MASK | K_CYCLIC, .mask_word = 0, .mask_first = 1, .mask_last = 15},
    {.name = "mask40", .size = 40, .flags = K_MASK | K_CYCLIC, .refs = {4, 36}, .ref_count = 2, .mask_word = 2,
     .mask_first = 3, .mask_last = 8},
    {.name = "pairs", .size = 8, .flags = K_VARIABLE | K_PAIRS | K_CYCLIC, .item_size = 8, .length_offset = 4},
    {.name = "finalleaf", .size = 16, .flags = K_FINAL},
    {.name = "finalnode", .size = 24, .flags = K_FINAL | K_CYCLIC, .refs = {0, 20}, .ref_count = 2, .keep = 8},
    {.name = "finalarray", .size = 8, .flags = K_FINAL | K_VARIABLE | K_ITEM_SLOTS | K_CYCLIC, .item_size = 4},
    {.name = "payleaf", .size = 16, .flags = K_PAYLOAD, .payload_offset = 8},
    {.name = "paynode", .size = 24, .flags = K_PAYLOAD | K_CYCLIC, .refs = {0, 4}, .ref_count = 2, .payload_offset = 16},
    {.name = "payfinal", .size = 32, .flags = K_PAYLOAD | K_FINAL | K_CYCLIC, .refs = {4, 28}, .ref_count = 2,
     .payload_offset = 8},
    {.name = "paybytes", .size = 24, .flags = K_PAYLOAD | K_VARIABLE, .item_size = 1, .length_offset = 4,
     .payload_offset = 16},
    {.name = "align16", .size = 48, .flags = K_CYCLIC, .align = 16, .refs = {0, 44}, .ref_count = 2},
    {.name = "align64", .size = 68, .flags = K_CYCLIC, .align = 64, .refs = {64}, .ref_count = 1},
    {.name = "align32", .size = 32, .flags = K_VARIABLE, .align = 32, .item_size = 4},
};
const unsigned kind_count = sizeof kinds / sizeof kinds[0];
_Static_assert(sizeof kinds / sizeof kinds[0] <= KINDS_MAX, "room for the types");

uint32_t kind_slots(const struct kind *k, uint32_t items)
{
    uint32_t n = k->ref_count;
    if ((k->flags & K_MASK) != 0)
        n += k->mask_last - k->mask_first + 1;
    if ((k->flags & (K_ITEM_SLOTS | K_PAIRS)) != 0)
        n += items;
    return n;
}

unsigned kind_slot_number(const struct kind *k, uint32_t slot)
{
    if (slot < k->ref_count)
        return k->refs[slot] / 4;
    slot -= k->ref_count;
    if ((k->flags & K_MASK) != 0)
        return k->mask_first + slot;
    return (k->size + slot * k->item_size) / 4;
}

bool slot_active(const struct obj *o, uint32_t slot)
{
    if ((o->kind->flags & K_MASK) == 0 || slot < o->kind->ref_count)
        return true;
    return (o->mask >> (slot - o->kind->ref_count) & 1u) != 0;
}

/* --- contents ---------------------------------------------------------------------------------------------------- */

enum place { DATA, SLOT, LENGTH, MASK, PAYLOAD };

static enum place place_of(const struct obj *o, size_t word)
{
    const struct kind *k = o->kind;
    if (word * 4 >= k->size && (k->flags & K_ITEM_SLOTS) != 0)
        return SLOT;
    if (word * 4 >= k->size && (k->flags & K_PAIRS) != 0)
        return (word - k->size / 4) % 2 == 0 ? SLOT : DATA;
    for (uint32_t i = 0; i < k->ref_count; i++) {
        if (word == k->refs[i] / 4)
            return SLOT;
    }
    if ((k->flags & K_VARIABLE) != 0 && word == k->length_offset / 4)
        return LENGTH;
    if ((k->flags & K_PAYLOAD) != 0 && (word == k->payload_offset / 4 || word == k->payload_offset / 4 + 1))
        return PAYLOAD;
    if ((k->flags & K_MASK) != 0 && word == k->mask_word)
        return MASK;
    if ((k->flags & K_MASK) != 0 && word >= k->mask_first && word <= k->mask_last)
        return (o->mask >> (word - k->mask_first) & 1u) != 0 ? SLOT : DATA;
    return DATA;
}

static uint32_t pattern_word(const struct obj *o, size_t word)
{
    uint64_t x = (o->pattern + word * 0x9E3779B97F4A7C15ull) * 0xBF58476D1CE4E5B9ull;
    return (uint32_t)(x ^ x >> 29 ^ x >> 40);
}

static unsigned char pattern_byte(const struct obj *o, size_t at)
{
    return (unsigned char)(pattern_word(o, at / 4) >> at % 4 * 8);
}

void paint(const struct obj *o, void *at, size_t from, size_t to)
{
    unsigned char *bytes = at;
    for (size_t i = from; i < to;) {
        size_t word = i / 4;
        bool data = place_of(o, word) == DATA;
        uint32_t value = data ? pattern_word(o, word) : 0;
        if (data && i % 4 == 0 && i + 4 <= to) {
            memcpy(bytes + i, &value, 4);
            i += 4;
        } else {
            for (; i < to && i / 4 == word; i++) {
                if (data)
                    bytes[i] = pattern_byte(o, i);
            }
        }
    }
}

size_t verify(const struct obj *o, const void *at, size_t from, size_t to)
{
    const unsigned char *bytes = at;
    for (size_t i = from; i < to;) {
        size_t word = i / 4;
        enum place place = place_of(o, word);
        uint32_t value;
        if (i % 4 == 0 && i + 4 <= to) {
            memcpy(&value, bytes + i, 4);
            if ((place == DATA && value != pattern_word(o, word)) || (place == LENGTH && value != o->items) ||
                (place == MASK && value != o->mask))
                return i;
            i += 4;
        } else {
            for (; i < to && i / 4 == word; i++) {
                if (place == DATA && bytes[i] != pattern_byte(o, i))
                    return i;
            }
        }
    }
    return SIZE_MAX;
}

size_t verify_zero(const struct obj *o, const void *at, size_t from, size_t to)
{
    const unsigned char *bytes = at;
    for (size_t i = from; i < to; i++) {
        if (bytes[i] != 0 && !((o->kind->flags & K_VARIABLE) != 0 && i / 4 == o->kind->length_offset / 4))
            return i;
    }
    return SIZE_MAX;
}

/* --- registration ------------------------------------------------------------------------------------------------- */

/* While others write the object, or it is no more: what is read then is no matter. */
static __attribute__((no_sanitize("thread"))) void trace_mask64(const void *object, mid_visitor *visitor)
{
    const mid_slot *words = object;
    const uint32_t *mask = object;
    for (unsigned n = 0; n < 15; n++) {
        if ((mask[0] >> n & 1u) != 0)
            mid_visit(visitor, words + 1 + n);
    }
}

static void trace_mask40(const void *object, mid_visitor *visitor)
{
    const mid_slot *words = object;
    const uint32_t *mask = object;
    for (unsigned n = 0; n < 6; n++) {
        if ((mask[2] >> n & 1u) != 0)
            mid_visit(visitor, words + 3 + n);
    }
}

static void trace_pairs(const void *object, mid_visitor *visitor)
{
    const mid_slot *words = object;
    const uint32_t *length = object;
    for (uint32_t n = 0; n < length[1]; n++)
        mid_visit(visitor, words + 2 + 2 * (size_t)n);
}

void kinds_register(mid_heap *heap, mid_type *types)
{
    for (unsigned n = 0; n < kind_count; n++) {
        const struct kind *k = &kinds[n];
        mid_type_desc desc = {.struct_size = sizeof desc,
                              .name = k->name,
                              .size = k->size,
                              .align = k->align,
                              .flags = (k->flags & (K_LOW | K_TOP)) != 0 ? MID_ACYCLIC : 0,
                              .ref_offsets = k->refs,
                              .ref_count = k->ref_count,
                              .item_size = k->item_size,
                              .length_offset = k->length_offset,
                              .items_are_refs = (k->flags & K_ITEM_SLOTS) != 0};
        if (run.mode < MODE_DAEMON)
            desc.keep = k->keep;
        if ((k->flags & K_MASK) != 0) {
            desc.trace = k->mask_word == 0 ? trace_mask64 : trace_mask40;
            desc.flags |= k->mask_word == 0 ? MID_TRACE_RACES : 0;
        }
        if ((k->flags & K_PAIRS) != 0)
            desc.trace = trace_pairs;
        if ((k->flags & K_FINAL) != 0)
            desc.finalize = on_finalize;
        if ((k->flags & K_PAYLOAD) != 0) {
            desc.payload_free = on_payload_free;
            desc.payload_offset = k->payload_offset;
            desc.payload_context = &model;
        }
        mid_status status = mid_type_register(heap, &desc, &types[n]);
        if (status != MID_OK)
            fail("mid_type_register(%s) returned %s", k->name, mid_status_name(status));
    }
}
