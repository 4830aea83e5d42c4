/* gc/kinds/compare.c: hash, equality and order of any values, with a list of what is left to do in the place of recursion.
 *
 * Two containers that may contain themselves (a list, cell or record is always on the way round) are compared once: met again, the pair is
 * taken for equal, as no difference has been found yet and any other would be. So the walk ends. */
#include <string.h>

#include "gc/kinds/string.h"

/* The order of two values of which at least one has nothing in it: as far as there is one. */
typedef enum { LESS = -1, EQUAL = 0, GREATER = 1, DIFFERENT = 2, INSIDE = 3 } verdict; /* INSIDE: look at what is in them */

static verdict order_of(int64_t a, int64_t b)
{
    return a < b ? LESS : a > b ? GREATER : EQUAL;
}

static int64_t whole(mid_thread *thread, mid_handle value)
{
    return mid_is_int(value) ? mid_to_int(value) : *(const int64_t *)mid_get(thread, value);
}

/* Exact, also where an int64_t has no double: the double is what is cut. */
static verdict whole_and_real(int64_t a, double b)
{
    if (b != b)
        return DIFFERENT;
    if (b >= 9223372036854775808.0)
        return LESS;
    if (b < -9223372036854775808.0)
        return GREATER;
    int64_t cut = (int64_t)b;
    double rest = b - (double)cut;
    return a != cut ? order_of(a, cut) : rest > 0 ? LESS : rest < 0 ? GREATER : EQUAL;
}

static verdict numbers(mid_thread *thread, mid_handle a, mid_kind kind_a, mid_handle b, mid_kind kind_b)
{
    if (kind_a == MID_KIND_INT && kind_b == MID_KIND_INT)
        return order_of(whole(thread, a), whole(thread, b));
    if (kind_a == MID_KIND_INT)
        return whole_and_real(whole(thread, a), *(const double *)mid_get(thread, b));
    double x = *(const double *)mid_get(thread, a);
    if (kind_b == MID_KIND_INT) {
        verdict other = whole_and_real(whole(thread, b), x);
        return other == DIFFERENT ? DIFFERENT : (verdict)-(int)other;
    }
    double y = *(const double *)mid_get(thread, b);
    return x < y ? LESS : x > y ? GREATER : x == y ? EQUAL : DIFFERENT;
}

static verdict strings(mid_thread *thread, mid_handle a, mid_handle b)
{
    const struct mid_string_object *x = kind_string_at(thread, a), *y = kind_string_at(thread, b);
    size_t least = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->content, y->content, least); /* the order of UTF-8 is that of its characters */
    return order < 0 ? LESS : order > 0 ? GREATER : order_of(x->length, y->length);
}

static inline bool number(mid_kind kind)
{
    return kind == MID_KIND_INT || kind == MID_KIND_FLOAT;
}

static inline bool string(mid_kind kind)
{
    return kind == MID_KIND_BYTES || kind == MID_KIND_TEXT;
}

static verdict judge(kind_walk *walk, mid_handle a, mid_handle b, bool ordered)
{
    if (a == b)
        return EQUAL;
    mid_kind kind_a = kind_of(walk->kinds, a), kind_b = kind_of(walk->kinds, b);
    if (number(kind_a) && number(kind_b))
        return numbers(walk->thread, a, kind_a, b, kind_b);
    if (ordered && (kind_a == MID_KIND_NOTHING || kind_b == MID_KIND_NOTHING))
        return kind_a == MID_KIND_NOTHING ? LESS : GREATER;
    if (kind_a != kind_b)
        return DIFFERENT;
    if (string(kind_a))
        return strings(walk->thread, a, b);
    if (kind_a == MID_KIND_TUPLE || kind_a == MID_KIND_LIST)
        return INSIDE;
    if (kind_a == MID_KIND_RECORD && !ordered) /* of one shape */
        return mid_peek(walk->thread, a, 1) == mid_peek(walk->thread, b, 1) ? INSIDE : DIFFERENT;
    return kind_a == MID_KIND_CELL && !ordered ? INSIDE : DIFFERENT;
}

/* Two containers, to be looked into; *again: they are being looked into already, or were. */
static mid_status enter(kind_walk *walk, mid_handle a, mid_handle b, bool *again)
{
    *again = false;
    if (kind_of(walk->kinds, a) != MID_KIND_TUPLE) {
        mid_status status = kind_note(walk, (uint64_t)a << 32 | b, again);
        if (status != MID_OK || *again)
            return status;
    }
    return kind_push(walk, (kind_frame){a, b, 0});
}

static mid_status walk_pair(kind_walk *walk, mid_handle a, mid_handle b, bool ordered, verdict *out)
{
    bool again;
    verdict found = judge(walk, a, b, ordered);
    mid_status status = found == INSIDE ? enter(walk, a, b, &again) : MID_OK;
    while (status == MID_OK && walk->height != 0 && (found == EQUAL || found == INSIDE)) {
        kind_frame *top = kind_top(walk);
        size_t of_a, of_b;
        unsigned first_a = kind_items(walk->kinds, walk->thread, top->a, &of_a), first_b = kind_items(walk->kinds, walk->thread, top->b, &of_b);
        found = EQUAL;
        if (!ordered && of_a != of_b) {
            found = DIFFERENT;
        } else if (top->at >= of_a || top->at >= of_b) {
            found = order_of((int64_t)of_a, (int64_t)of_b);
            walk->height--;
        } else {
            mid_handle x = mid_peek(walk->thread, top->a, first_a + top->at), y = mid_peek(walk->thread, top->b, first_b + top->at);
            top->at++;
            found = judge(walk, x, y, ordered);
            if (found == INSIDE)
                status = enter(walk, x, y, &again);
        }
    }
    *out = found;
    return status;
}

static mid_status compare(mid_thread *thread, const mid_kinds *kinds, mid_handle a, mid_handle b, bool ordered, verdict *out)
{
    mid_status status = kind_ready(thread, kinds);
    if (status != MID_OK)
        return status;
    if (!kind_value(kinds, a) || !kind_value(kinds, b))
        return MID_EHANDLE;
    kind_walk walk = {.thread = thread, .kinds = kinds};
    status = walk_pair(&walk, a, b, ordered, out);
    kind_walk_end(&walk);
    return status;
}

mid_status mid_kind_equal(mid_thread *thread, const mid_kinds *kinds, mid_handle a, mid_handle b, int *equal)
{
    if (equal == NULL)
        return MID_ENULL;
    *equal = 0;
    verdict found;
    mid_status status = compare(thread, kinds, a, b, false, &found);
    if (status == MID_OK)
        *equal = found == EQUAL;
    return status;
}

mid_status mid_kind_compare(mid_thread *thread, const mid_kinds *kinds, mid_handle a, mid_handle b, int *order)
{
    if (order == NULL)
        return MID_ENULL;
    *order = 0;
    verdict found;
    mid_status status = compare(thread, kinds, a, b, true, &found);
    if (status == MID_OK && found == DIFFERENT)
        return MID_ETYPE;
    if (status == MID_OK)
        *order = found;
    return status;
}

/* --- hash ------------------------------------------------------------------------------------------------------------------- */

static uint64_t real_hash(double value)
{
    if (value >= -9223372036854775808.0 && value < 9223372036854775808.0 && (double)(int64_t)value == value)
        return (uint64_t)(int64_t)value; /* as the integer that equals it */
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Of what has nothing in it. */
static mid_status leaf_hash(kind_walk *walk, mid_handle value, mid_kind kind, uint64_t *out)
{
    switch (kind) {
    case MID_KIND_NOTHING:
    case MID_KIND_NONE:
        *out = value;
        return MID_OK;
    case MID_KIND_INT:
        *out = (uint64_t)whole(walk->thread, value);
        return MID_OK;
    case MID_KIND_FLOAT:
        *out = real_hash(*(const double *)mid_get(walk->thread, value));
        return MID_OK;
    case MID_KIND_BYTES:
    case MID_KIND_TEXT:
        *out = kind_string_hash(walk->kinds, mid_get(walk->thread, value)) | (uint64_t)kind << 32;
        return MID_OK;
    default:
        return MID_ETYPE;
    }
}

/* Of nested tuples, what is met on the way in order, each tuple with its length first: equal ones give the same. */
static mid_status walk_hash(kind_walk *walk, mid_handle value, uint64_t *hash)
{
    mid_status status = MID_OK;
    for (bool first = true; status == MID_OK && (first || walk->height != 0); first = false) {
        mid_handle next = value;
        size_t count;
        if (!first) {
            kind_frame *top = kind_top(walk);
            unsigned slot = kind_items(walk->kinds, walk->thread, top->a, &count);
            if (top->at >= count) {
                walk->height--;
                continue;
            }
            next = mid_peek(walk->thread, top->a, slot + top->at++);
        }
        mid_kind kind = kind_of(walk->kinds, next);
        uint64_t part;
        if (kind == MID_KIND_TUPLE) {
            kind_items(walk->kinds, walk->thread, next, &count);
            *hash = kind_mix(*hash ^ (uint64_t)kind << 56, count);
            status = kind_push(walk, (kind_frame){next, 0, 0});
        } else if ((status = leaf_hash(walk, next, kind, &part)) == MID_OK) {
            *hash = kind_mix(*hash, part);
        }
    }
    return status;
}

mid_status mid_kind_hash(mid_thread *thread, const mid_kinds *kinds, mid_handle value, uint32_t *hash)
{
    if (hash == NULL)
        return MID_ENULL;
    *hash = 0;
    mid_status status = kind_ready(thread, kinds);
    if (status != MID_OK)
        return status;
    if (!kind_value(kinds, value))
        return MID_EHANDLE;
    mid_kind kind = kind_of(kinds, value);
    if (string(kind)) {
        *hash = kind_string_hash(kinds, mid_get(thread, value));
        return MID_OK;
    }
    kind_walk walk = {.thread = thread, .kinds = kinds};
    uint64_t found = kinds->seed;
    status = walk_hash(&walk, value, &found);
    kind_walk_end(&walk);
    if (status == MID_OK)
        *hash = (uint32_t)(found ^ found >> 32);
    return status;
}
