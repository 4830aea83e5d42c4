/* alloc/sizeclass.h: which slot size serves a request.
 *
 * 8, 16, ... 128; then eight classes to each doubling up to 32 KiB, so that rounding wastes less than 12.5 %
 * (the spacing of jemalloc, SIZE_CLASS_GROUP 8). */
#ifndef MID_SIZECLASS_H
#define MID_SIZECLASS_H

#include <stddef.h>
#include <stdint.h>

#define MID_CLASSES 80u
#define MID_POOLED_MAX 32768u /* at most: mid_alloc.pooled_max */

/* The classes of small requests, by words: sizes come at random, and a branch between the two rules would be guessed. */
#define MID_CLASS_TABLE_MAX 1024u
extern const uint8_t mid_class_table[MID_CLASS_TABLE_MAX / 8 + 1];

/* The class for 0 to MID_POOLED_MAX bytes; 0 bytes take 8. */
static inline unsigned mid_size_class(size_t size)
{
    if (__builtin_expect(size <= MID_CLASS_TABLE_MAX, 1))
        return mid_class_table[(size + 7) / 8];
    unsigned top = 63 - (unsigned)__builtin_clzll(size - 1); /* 2^top < size <= 2^(top+1), top >= 7 */
    return 16 + (top - 7) * 8 + (unsigned)(((size - 1) >> (top - 3)) & 7);
}

static inline uint32_t mid_class_size(unsigned size_class)
{
    if (size_class < 16)
        return (size_class + 1) * 8;
    unsigned group = (size_class - 16) / 8, step = (size_class - 16) % 8;
    return (128u << group) + (step + 1) * (16u << group);
}

#endif
