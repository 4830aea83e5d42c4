/* blob.h: leaf objects whose bytes are all written, and can be told to be intact. */
#ifndef BENCH_BLOB_H
#define BENCH_BLOB_H

#include <string.h>

#include "worker.h"

/* `size` bytes in all, filled with a byte that follows from the stamp. */
static inline be_ref blob_make(be_heap *h, be_type type, size_t size, uint32_t stamp)
{
    be_ref made = be_bytes(h, type, size);
    struct blob *blob = be_at(h, made);
    blob->stamp = stamp;
    memset(blob->data, (int)(stamp & 127), size - sizeof(struct blob));
    return made;
}

/* Takes in length, stamp and the ends of the data. */
static inline uint64_t blob_checksum(be_heap *h, be_ref ref)
{
    const struct blob *blob = be_at(h, ref);
    size_t size = BLOB_HEAD + blob->length;
    const unsigned char *end = (const unsigned char *)blob + size;
    unsigned first = size > sizeof *blob ? blob->data[0] : 0, last = size > sizeof *blob ? end[-1] : 0;
    return checksum_of((uint64_t)blob->stamp << 32 | (uint64_t)blob->length << 16 | first << 8 | last);
}

/* Bytes asked for. */
static inline uint64_t blob_check(struct run *run, be_heap *h, be_ref ref)
{
    run->checksum += blob_checksum(h, ref);
    return BLOB_HEAD + ((const struct blob *)be_at(h, ref))->length;
}

/* Every live blob of an array; returns their bytes. Null references are skipped. */
static inline uint64_t blob_check_all(struct run *run, be_heap *h, const be_ref *refs, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        if (refs[i])
            bytes += blob_check(run, h, refs[i]);
    return bytes;
}

#endif
