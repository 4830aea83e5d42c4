/* tests/stress/threads/kinds.c: the types, and the stamp by which an object is known.
 *
 * Words that are no slot are the stamp (number, check word), or follow from them. All but the slots is written while the object
 * is its maker's alone, with plain stores, and read with plain loads by whoever has a handle: the heap orders them. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "threads.h"

struct stamp {
    uint32_t id, check;
};

enum { F_ITEM_SLOTS = 1, F_PAYLOAD = 2, F_FINAL = 4, F_MASK = 8, F_ACYCLIC = 16, F_RACES = 32, DATA_WORDS = 48, MASK_WORD = 2, MASK_FIRST = 3,
       MASK_BITS = 7, PAYLOAD_AT = 8 };

struct object_kind {
    const char *name;
    uint32_t size, item_size, length_offset, flags, ref_count, refs[4], keep;
};

static const struct object_kind kinds[] = {
    {.name = "leaf", .size = 24, .keep = 40},
    {.name = "node", .size = 16, .ref_count = 2, .refs = {8, 12}},
    {.name = "fan", .size = 60, .ref_count = 4, .refs = {8, 28, 44, 56}, .keep = 100},
    {.name = "wide", .size = 264, .ref_count = 4, .refs = {8, 100, 200, 260}},
    {.name = "big", .size = 5000, .ref_count = 3, .refs = {8, 2500, 4996}},
    {.name = "low", .size = 24, .flags = F_ACYCLIC, .ref_count = 2, .refs = {16, 20}},
    {.name = "array", .size = 12, .item_size = 4, .length_offset = 8, .flags = F_ITEM_SLOTS},
    {.name = "bytes", .size = 12, .item_size = 1, .length_offset = 8},
    {.name = "masked", .size = 44, .flags = F_MASK},
    {.name = "payleaf", .size = 24, .flags = F_PAYLOAD},
    {.name = "paynode", .size = 24, .flags = F_PAYLOAD, .ref_count = 2, .refs = {16, 20}},
    {.name = "final", .size = 32, .flags = F_PAYLOAD | F_FINAL, .ref_count = 2, .refs = {16, 20}},
    {.name = "finalarray", .size = 24, .item_size = 4, .length_offset = 16, .flags = F_PAYLOAD | F_FINAL | F_ITEM_SLOTS},
    {.name = "racing", .size = 44, .flags = F_MASK | F_RACES},
};
const unsigned object_kinds = sizeof kinds / sizeof kinds[0];
_Static_assert(sizeof kinds / sizeof kinds[0] <= KINDS_MAX, "room for the types");

/* Which words of a kind bear its pattern: at most DATA_WORDS, spread over the object, the last one among them. */
static struct {
    unsigned count;
    uint16_t at[DATA_WORDS];
} data[KINDS_MAX];

static bool is_data(const struct object_kind *k, unsigned word)
{
    for (unsigned n = 0; n < k->ref_count; n++) {
        if (word == k->refs[n] / 4)
            return false;
    }
    return word >= 2 && !(k->item_size != 0 && word == k->length_offset / 4) && !((k->flags & F_MASK) != 0 && word < MASK_FIRST + MASK_BITS) &&
           !((k->flags & F_PAYLOAD) != 0 && (word == PAYLOAD_AT / 4 || word == PAYLOAD_AT / 4 + 1));
}

static void find_data(void)
{
    for (unsigned n = 0; n < object_kinds; n++) {
        unsigned words = kinds[n].size / 4, step = words / DATA_WORDS + 1;
        data[n].count = 0;
        for (unsigned word = words; word-- > 0;) {
            if (is_data(&kinds[n], word) && (words - 1 - word) % step == 0)
                data[n].at[data[n].count++] = (uint16_t)word;
        }
    }
}

static uint32_t mixed(uint32_t id, uint32_t salt)
{
    uint64_t x = (id + (uint64_t)salt * 0x9E3779B97F4A7C15ull) * 0xBF58476D1CE4E5B9ull;
    return (uint32_t)(x ^ x >> 32);
}
static uint32_t check_of(const struct world *world, unsigned kind, uint32_t id)
{
    return mixed(id, 0x10000 + kind * 2 + world->number);
}
static uint8_t byte_of(uint32_t id, uint32_t at)
{
    return (uint8_t)(mixed(id, 0x20000) + at * 7);
}

bool is_variable(unsigned kind)
{
    return kinds[kind].item_size != 0;
}
static bool has_slots(const struct object_kind *k)
{
    return k->ref_count != 0 || (k->flags & (F_ITEM_SLOTS | F_MASK)) != 0;
}
unsigned any_kind(void)
{
    return pick(object_kinds);
}
unsigned any_kind_with_slots(void)
{
    for (;;) {
        unsigned kind = any_kind();
        if (has_slots(&kinds[kind]) && (kinds[kind].flags & (F_ACYCLIC | F_FINAL)) == 0)
            return kind;
    }
}

/* Of what races, also while others write the object, or it is no more: what is read then is no matter. */
static __attribute__((no_sanitize("thread"))) void trace_masked(const void *object, mid_visitor *visitor)
{
    const mid_slot *slots = object;
    uint32_t mask = ((const uint32_t *)object)[MASK_WORD];
    for (unsigned n = 0; n < MASK_BITS; n++) {
        if ((mask >> n & 1u) != 0)
            mid_visit(visitor, slots + MASK_FIRST + n);
    }
}

static void on_payload_free(void *payload, void *context)
{
    struct life *life = payload;
    unsigned was = atomic_exchange_explicit(&life->state, LIFE_FREED, memory_order_relaxed);
    if (was != LIFE_ALIVE)
        fail("the payload of object %u is freed, and was %s", life->id, was == LIFE_FREED ? "freed before" : "never made");
    (void)context;
}

static mid_status register_kind(struct world *world, unsigned kind, const char *name, mid_type *type)
{
    const struct object_kind *k = &kinds[kind];
    mid_type_desc desc = {.struct_size = sizeof desc,
                          .name = name,
                          .size = k->size,
                          .flags = (k->flags & F_ACYCLIC) != 0 ? MID_ACYCLIC : (k->flags & F_RACES) != 0 ? MID_TRACE_RACES : 0,
                          .ref_offsets = k->refs,
                          .ref_count = k->ref_count,
                          .item_size = k->item_size,
                          .length_offset = k->length_offset,
                          .items_are_refs = (k->flags & F_ITEM_SLOTS) != 0,
                          .keep = k->keep};
    if ((k->flags & F_MASK) != 0)
        desc.trace = trace_masked;
    if ((k->flags & F_FINAL) != 0)
        desc.finalize = on_finalize;
    if ((k->flags & F_PAYLOAD) != 0) {
        desc.payload_free = on_payload_free;
        desc.payload_offset = PAYLOAD_AT;
        desc.payload_context = world;
    }
    return mid_type_register(world->heap, &desc, type);
}

static void publish_type(struct world *world, mid_type type, unsigned kind)
{
    unsigned n = atomic_load_explicit(&world->type_count, memory_order_relaxed);
    world->types[n].type = type;
    world->types[n].kind = kind;
    world->kind_of[type] = (uint8_t)kind;
    atomic_store_explicit(&world->type_count, n + 1, memory_order_release);
}

void kinds_open(struct world *world)
{
    if (data[0].count == 0)
        find_data();
    for (unsigned n = 0; n < object_kinds; n++) {
        mid_type type;
        mid_status status = register_kind(world, n, kinds[n].name, &type);
        if (status != MID_OK)
            fail("mid_type_register(%s) returned %s", kinds[n].name, mid_status_name(status));
        publish_type(world, type, n);
    }
}

bool kinds_register_one(struct mutator *m)
{
    struct world *world = m->world;
    unsigned kind = any_kind();
    mid_type type;
    char name[40];
    snprintf(name, sizeof name, "%s by %u", kinds[kind].name, self->number);
    if (atomic_load_explicit(&world->type_count, memory_order_relaxed) >= TYPES_AT_WILL)
        return false;
    mid_status status = register_kind(world, kind, name, &type);
    if (status == MID_ENOMEM || status == MID_ELIMIT)
        return false;
    if (status != MID_OK || strcmp(mid_type_name(world->heap, type), name) != 0)
        fail("a type registered beside others: %s", mid_status_name(status));
    pthread_mutex_lock(&world->lock);
    if (atomic_load_explicit(&world->type_count, memory_order_relaxed) < TYPES_AT_WILL + object_kinds)
        publish_type(world, type, kind);
    pthread_mutex_unlock(&world->lock);
    return true;
}

/* Of this kind, one of the types there are. */
static mid_type type_for(struct world *world, unsigned kind)
{
    unsigned count = atomic_load_explicit(&world->type_count, memory_order_acquire);
    for (unsigned tries = 0; tries < 4 && one_in(2); tries++) {
        unsigned n = pick(count);
        if (world->types[n].kind == kind)
            return world->types[n].type;
    }
    return world->types[kind].type;
}

static struct life *new_life(struct mutator *m, uint32_t id, bool has_finalizer)
{
    if (m->lives == NULL || m->lives->used == sizeof m->lives->life / sizeof m->lives->life[0]) {
        struct lives *fresh = must(calloc(1, sizeof *fresh));
        fresh->next = atomic_load_explicit(&m->world->lives, memory_order_relaxed);
        while (!atomic_compare_exchange_weak_explicit(&m->world->lives, &fresh->next, fresh, memory_order_release,
                                                      memory_order_relaxed))
            continue;
        m->lives = fresh;
    }
    struct life *life = &m->lives->life[m->lives->used++];
    life->id = id;
    life->has_finalizer = has_finalizer;
    atomic_store_explicit(&life->state, LIFE_ALIVE, memory_order_relaxed);
    return life;
}

static uint32_t new_id(struct mutator *m)
{
    if (m->next_id == m->end_id) {
        m->next_id = 1 + atomic_fetch_add_explicit(&m->world->next_id, 1024, memory_order_relaxed);
        m->end_id = m->next_id + 1024;
    }
    return m->next_id++;
}

bool make(struct mutator *m, unsigned kind, uint32_t items, struct item *out)
{
    const struct object_kind *k = &kinds[kind];
    mid_type type = type_for(m->world, kind);
    mid_status status = k->item_size != 0 ? mid_new_array(m->thread, type, items, &out->handle)
                                          : mid_new(m->thread, type, &out->handle);
    if (status == MID_ENOMEM || status == MID_ELIMIT) {
        self->tally[T_REFUSED]++;
        return false;
    }
    if (status != MID_OK)
        fail("a new %s: %s", k->name, mid_status_name(status));
    self->tally[T_MADE]++;
    out->id = new_id(m);
    out->mine = true;
    uint32_t *words = mid_get(m->thread, out->handle);
    struct stamp *stamp = (struct stamp *)words;
    if (stamp->id != 0 || stamp->check != 0)
        fail("a new %s is not clear", k->name);
    stamp->id = out->id;
    stamp->check = check_of(m->world, kind, out->id);
    for (unsigned n = 0; n < data[kind].count; n++) {
        if (words[data[kind].at[n]] != 0)
            fail("a new %s is not clear", k->name);
        words[data[kind].at[n]] = mixed(out->id, n);
    }
    if ((k->flags & F_MASK) != 0)
        words[MASK_WORD] = 1 + mixed(out->id, MASK_WORD) % ((1u << MASK_BITS) - 1);
    if ((k->flags & F_PAYLOAD) != 0)
        *(struct life **)(words + PAYLOAD_AT / 4) = new_life(m, out->id, (k->flags & F_FINAL) != 0);
    for (uint32_t n = 0; kind == KIND_BYTES && n < items; n++)
        ((uint8_t *)words)[k->size + n] = byte_of(out->id, n);
    return true;
}

unsigned kind_of(struct mutator *m, mid_handle object)
{
    mid_type type;
    mid_status status = mid_type_of(m->thread, object, &type);
    if (status != MID_OK)
        fail("handle %u, which is held: mid_type_of returned %s", object, mid_status_name(status));
    if (type == 0 || type > MID_TYPES_MAX)
        fail("handle %u has type %u", object, type);
    return m->world->kind_of[type];
}

static uint32_t items_in(const struct object_kind *k, const uint32_t *words)
{
    return k->item_size == 0 ? 0 : words[k->length_offset / 4];
}

static void verify_life(const struct life *life, uint32_t id, const char *name)
{
    if (life == NULL || life->id != id || atomic_load_explicit(&life->state, memory_order_relaxed) != LIFE_ALIVE)
        fail("%s %u is held, and its payload is %s", name, id,
             life == NULL ? "gone" : life->id != id ? "another's" : "freed");
}

uint32_t verify(struct mutator *m, mid_handle object, uint32_t id)
{
    unsigned kind = kind_of(m, object);
    const struct object_kind *k = &kinds[kind];
    const uint32_t *words = mid_get(m->thread, object);
    struct stamp stamp = *(const struct stamp *)words;
    if (stamp.check != check_of(m->world, kind, stamp.id))
        fail("handle %u, a %s: stamp %u, check %x, expected number %u", object, k->name, stamp.id, stamp.check, id);
    if (id != 0 && stamp.id != id)
        fail("handle %u names %s %u and named object %u", object, k->name, stamp.id, id);
    for (unsigned n = 0; n < data[kind].count; n++) {
        if (words[data[kind].at[n]] != mixed(stamp.id, n))
            fail("%s %u: word %u is %x", k->name, stamp.id, data[kind].at[n], words[data[kind].at[n]]);
    }
    if ((k->flags & F_PAYLOAD) != 0)
        verify_life(*(struct life *const *)(words + PAYLOAD_AT / 4), stamp.id, k->name);
    if (kind == KIND_BYTES) {
        uint32_t count = items_in(k, words);
        for (uint32_t n = 0; n < count; n += count / 64 + 1) {
            if (((const uint8_t *)words)[k->size + n] != byte_of(stamp.id, n))
                fail("%s %u: byte %u of %u is wrong", k->name, stamp.id, n, count);
        }
    }
    return stamp.id;
}

bool may_hold(struct mutator *m, unsigned kind, mid_handle object)
{
    return (kinds[kind].flags & F_ACYCLIC) == 0 || !has_slots(&kinds[kind_of(m, object)]);
}

unsigned slots_of(struct mutator *m, mid_handle object, unsigned n, unsigned *slot)
{
    const struct object_kind *k = &kinds[kind_of(m, object)];
    const uint32_t *words = mid_get(m->thread, object);
    if ((k->flags & F_ITEM_SLOTS) != 0) {
        *slot = k->size / 4 + n;
        return items_in(k, words);
    }
    if ((k->flags & F_MASK) == 0) {
        *slot = n < k->ref_count ? k->refs[n] / 4 : 0;
        return k->ref_count;
    }
    unsigned count = 0;
    for (unsigned bit = 0; bit < MASK_BITS; bit++) {
        if ((words[MASK_WORD] >> bit & 1u) != 0 && count++ == n)
            *slot = MASK_FIRST + bit;
    }
    return count;
}

bool any_slot(struct mutator *m, mid_handle object, unsigned *slot)
{
    unsigned count = slots_of(m, object, 0, slot);
    if (count == 0)
        return false;
    slots_of(m, object, one_in(2) ? pick(count < 4 ? count : 4) : pick(count), slot);
    return true;
}

void resize(struct mutator *m, struct item *item, uint32_t items)
{
    unsigned kind = kind_of(m, item->handle);
    const struct object_kind *k = &kinds[kind];
    verify(m, item->handle, item->id);
    uint32_t before = items_in(k, mid_get(m->thread, item->handle));
    mid_status status = mid_resize(m->thread, item->handle, items);
    if (status == MID_ENOMEM || status == MID_ELIMIT) {
        self->tally[T_REFUSED]++;
        items = before;
    } else if (status != MID_OK) {
        fail("mid_resize of %s %u from %u to %u: %s", k->name, item->id, before, items, mid_status_name(status));
    }
    uint32_t *words = mid_get(m->thread, item->handle);
    if (items_in(k, words) != items)
        fail("mid_resize of %s %u from %u to %u made it %u", k->name, item->id, before, items, items_in(k, words));
    uint8_t *bytes = (uint8_t *)words + k->size;
    for (uint32_t n = before; n < items; n++) {
        if (kind == KIND_BYTES ? bytes[n] != 0 : words[k->size / 4 + n] != 0)
            fail("%s %u: new item %u is not clear", k->name, item->id, n);
        if (kind == KIND_BYTES)
            bytes[n] = byte_of(item->id, n);
    }
    verify(m, item->handle, item->id);
}

struct life *life_of(struct mutator *m, mid_handle object)
{
    return *(struct life **)((char *)mid_get(m->thread, object) + PAYLOAD_AT);
}

void lives_check(struct world *world)
{
    for (struct lives *l = atomic_load(&world->lives), *next; l != NULL; l = next) {
        for (unsigned n = 0; n < l->used; n++) {
            struct life *life = &l->life[n];
            if (atomic_load(&life->state) != LIFE_FREED)
                fail("the payload of object %u was never freed", life->id);
            if (life->has_finalizer && !world->destroy && atomic_load(&life->finalized) != 1)
                fail("the finalizer of object %u ran %u times", life->id, atomic_load(&life->finalized));
        }
        next = l->next;
        free(l);
    }
    atomic_store(&world->lives, NULL);
}
