/* gc/kinds/stack.c: the memory of a walk over nested values: frames, the first few in the caller's own, and a set of numbers, in byte
 * strings of the heap. No safepoint is reached between, so nothing moves. */
#include <string.h>

#include "gc/kinds/own.h"

#define SEEN_LEAST 64u

kind_frame *kind_top(kind_walk *walk)
{
    size_t i = walk->height - 1;
    if (i < KIND_FRAMES)
        return &walk->few[i];
    struct mid_string_object *more = mid_get(walk->thread, walk->more);
    return (kind_frame *)(void *)more->content + (i - KIND_FRAMES);
}

mid_status kind_push(kind_walk *walk, kind_frame frame)
{
    if (walk->height >= KIND_FRAMES) {
        size_t have = walk->more == 0 ? 0 : ((struct mid_string_object *)mid_get(walk->thread, walk->more))->length / sizeof frame;
        size_t need = walk->height - KIND_FRAMES + 1;
        mid_status status = MID_OK;
        if (walk->more == 0)
            status = mid_bytes_new(walk->thread, walk->kinds, NULL, 4 * KIND_FRAMES * sizeof frame, &walk->more);
        else if (need > have)
            status = mid_resize(walk->thread, walk->more, 2 * have * sizeof frame);
        if (status != MID_OK)
            return status;
    }
    walk->height++;
    *kind_top(walk) = frame;
    return MID_OK;
}

/* --- a set: open addressing, deletion by moving back (Knuth, TAOCP 3, 6.4, algorithm R) -------------------------------------------- */

static char *keys_of(kind_walk *walk)
{
    return ((struct mid_string_object *)mid_get(walk->thread, walk->seen))->content;
}

/* The content of a string is aligned to 4. */
static uint64_t key_at(const char *keys, size_t i)
{
    uint64_t key;
    memcpy(&key, keys + i * sizeof key, sizeof key);
    return key;
}

static void set_key(char *keys, size_t i, uint64_t key)
{
    memcpy(keys + i * sizeof key, &key, sizeof key);
}

static size_t home(const kind_walk *walk, uint64_t key)
{
    return (size_t)kind_mix(key, walk->room) & (walk->room - 1);
}

static mid_status more_room(kind_walk *walk)
{
    kind_walk next = *walk;
    next.room = walk->room == 0 ? SEEN_LEAST : 2 * walk->room;
    mid_status status = mid_bytes_new(walk->thread, walk->kinds, NULL, next.room * sizeof(uint64_t), &next.seen);
    if (status != MID_OK)
        return status;
    char *to = keys_of(&next);
    memset(to, 0, next.room * sizeof(uint64_t));
    for (size_t i = 0; i < walk->room; i++) {
        uint64_t key = key_at(keys_of(walk), i);
        if (key == 0)
            continue;
        size_t at = home(&next, key);
        while (key_at(to, at) != 0)
            at = (at + 1) & (next.room - 1);
        set_key(to, at, key);
    }
    mid_release(walk->thread, walk->seen);
    walk->seen = next.seen;
    walk->room = next.room;
    return MID_OK;
}

mid_status kind_note(kind_walk *walk, uint64_t key, bool *known)
{
    *known = false;
    if ((walk->used + 1) * 2 > walk->room) {
        mid_status status = more_room(walk);
        if (status != MID_OK)
            return status;
    }
    char *keys = keys_of(walk);
    size_t at = home(walk, key);
    for (; key_at(keys, at) != 0; at = (at + 1) & (walk->room - 1))
        if (key_at(keys, at) == key) {
            *known = true;
            return MID_OK;
        }
    set_key(keys, at, key);
    walk->used++;
    return MID_OK;
}

void kind_forget(kind_walk *walk, uint64_t key)
{
    char *keys = keys_of(walk);
    size_t mask = walk->room - 1, hole = home(walk, key);
    while (key_at(keys, hole) != key)
        hole = (hole + 1) & mask;
    for (size_t i = (hole + 1) & mask; key_at(keys, i) != 0; i = (i + 1) & mask)
        if (((i - home(walk, key_at(keys, i))) & mask) >= ((i - hole) & mask)) {
            set_key(keys, hole, key_at(keys, i));
            hole = i;
        }
    set_key(keys, hole, 0);
    walk->used--;
}

void kind_walk_end(kind_walk *walk)
{
    mid_release(walk->thread, walk->more);
    mid_release(walk->thread, walk->seen);
}
