/* wl_map.c: shared-map: a hash map that all threads read and change, half full: an array of chains of nodes, each with a key
 * and a blob.
 *
 * Writers take the lock of a stripe of buckets. Readers take none where a node outlives its removal while somebody looks at it
 * (midden: the reader counts it; Boehm: the collector sees it on the reader's stack); with malloc they take the writers' lock.
 * A chain is walked from a removed node as from any: its reference to the next stays, and nodes are put in at the head.
 *
 * In each epoch a key is one thread's to put in and remove, in the next another's, so what is in the map in the end does not
 * depend on how the threads interleave, and nodes are removed by others than those that made them. */
#include "blob.h"
#include "crew.h"

struct node {
    be_slot next, value;
    uint32_t key;
};
#define NEXT BE_SLOT(struct node, next)
#define VALUE BE_SLOT(struct node, value)

enum { POLL_EVERY = 64, STRIPES = 1024, VALUE_SIZE = 32 };

static struct stripe {
    pthread_mutex_t lock;
} __attribute__((aligned(64))) stripes[STRIPES];

static be_ref map;
static be_type node_type, bytes_type;
static uint32_t keys, buckets;

static void prepare(struct run *run)
{
    keys = (uint32_t)run_param(run, "keys");
    if (keys < run_param(run, "threads"))
        be_die("shared-map", "fewer keys than threads");
    if (run_param(run, "inserts") + run_param(run, "removes") > 100)
        be_die("shared-map", "more than 100 % of inserts and removes");
    for (buckets = 1; buckets < keys; buckets *= 2)
        ;
    for (unsigned i = 0; i < STRIPES; i++)
        pthread_mutex_init(&stripes[i].lock, NULL);
}

static uint32_t bucket_of(uint32_t key)
{
    return key * 0x9E3779B1u >> 7 & (buckets - 1);
}

static pthread_mutex_t *lock_of(uint32_t bucket)
{
    return &stripes[bucket % STRIPES].lock;
}

static uint32_t stamp_of(uint32_t key)
{
    return key * 0x85EBCA6Bu ^ 0x5BD1E995u;
}

static uint32_t key_of(be_heap *h, be_ref node)
{
    return ((const struct node *)be_at(h, node))->key;
}

/* The value's slot never changes: who has the node may look at it. */
static void check_value(be_heap *h, be_ref node, uint32_t key)
{
    const struct blob *value = be_at(h, be_peek(h, node, VALUE));
    if (value->stamp != stamp_of(key))
        be_die("shared-map", "a value is not what was stored");
}

/* Whether the key is in the map. */
static int lookup(be_heap *h, uint32_t key)
{
    uint32_t bucket = bucket_of(key);
    if (BE_EXPLICIT)
        pthread_mutex_lock(lock_of(bucket));
    be_ref node = be_load(h, map, BE_ARRAY_SLOT(bucket));
    while (node && key_of(h, node) != key) {
        be_ref next = be_load(h, node, NEXT);
        be_unload(h, node);
        node = next;
    }
    if (node)
        check_value(h, node, key);
    be_unload(h, node);
    if (BE_EXPLICIT)
        pthread_mutex_unlock(lock_of(bucket));
    return node != 0;
}

/* Under the lock no slot of the chain changes, and what is in it stays. *holder and *slot: where the reference to it is. */
static be_ref find(be_heap *h, uint32_t key, uint32_t bucket, be_ref *holder, unsigned *slot)
{
    *holder = map;
    *slot = BE_ARRAY_SLOT(bucket);
    be_ref node = be_peek(h, *holder, *slot);
    while (node && key_of(h, node) != key) {
        *holder = node;
        *slot = NEXT;
        node = be_peek(h, node, NEXT);
    }
    return node;
}

static be_ref make_node(be_heap *h, uint32_t key)
{
    be_ref node = be_new(h, node_type);
    be_init_none(h, node, NEXT);
    be_init_none(h, node, VALUE);
    ((struct node *)be_at(h, node))->key = key;
    be_init(h, node, VALUE, blob_make(h, bytes_type, VALUE_SIZE, stamp_of(key)));
    return node;
}

static void discard_node(be_heap *h, be_ref node)
{
    if (BE_EXPLICIT)
        be_discard(h, be_peek(h, node, VALUE));
    be_discard(h, node);
}

/* Whether it was not there. */
static int insert(be_heap *h, uint32_t key)
{
    uint32_t bucket = bucket_of(key);
    unsigned slot;
    be_ref holder, node = make_node(h, key);
    pthread_mutex_lock(lock_of(bucket));
    int absent = !find(h, key, bucket, &holder, &slot);
    if (absent) {
        be_ref head = be_peek(h, map, BE_ARRAY_SLOT(bucket));
        if (head)
            be_init(h, node, NEXT, be_share(h, head));
        be_put(h, map, BE_ARRAY_SLOT(bucket), node);
    }
    pthread_mutex_unlock(lock_of(bucket));
    if (!absent)
        discard_node(h, node);
    return absent;
}

/* Whether it was there. Where nodes are freed by hand nobody looks at this one any more once the lock is free. */
static int take_out(be_heap *h, uint32_t key)
{
    uint32_t bucket = bucket_of(key);
    unsigned slot;
    be_ref holder;
    pthread_mutex_lock(lock_of(bucket));
    be_ref node = find(h, key, bucket, &holder, &slot);
    if (node) {
        be_ref next = be_peek(h, node, NEXT);
        be_put(h, holder, slot, next ? be_share(h, next) : 0);
    }
    pthread_mutex_unlock(lock_of(bucket));
    if (BE_EXPLICIT && node)
        discard_node(h, node);
    return node != 0;
}

/* A random key that this thread may change in this epoch. */
static uint32_t own_key(struct member *m, uint64_t epoch)
{
    uint32_t any = random_below(&m->random, keys / m->count) * m->count;
    return any + (uint32_t)((m->id + epoch) % m->count);
}

static void one_epoch(struct member *m, uint64_t epoch, uint64_t operations)
{
    uint32_t inserts = (uint32_t)run_param(m->run, "inserts"), removes = (uint32_t)run_param(m->run, "removes");
    uint64_t changed = 0;
    for (uint64_t i = 0; i < operations; i++) {
        uint32_t percent = random_below(&m->random, 100);
        if (percent < inserts)
            changed += (uint64_t)insert(m->heap, own_key(m, epoch));
        else if (percent < inserts + removes)
            changed += (uint64_t)take_out(m->heap, own_key(m, epoch));
        else
            lookup(m->heap, random_below(&m->random, keys));
        if (i % POLL_EVERY == 0)
            be_poll(m->heap);
    }
    m->operations += operations;
    m->checksum += checksum_of(changed);
}

static void fill(struct member *m)
{
    for (uint32_t key = m->id; key < keys; key += 2 * m->count) {
        insert(m->heap, key);
        be_poll(m->heap);
    }
}

static void work(struct member *m)
{
    uint64_t epochs = run_param(m->run, "epochs"), operations = run_param(m->run, "operations") / m->count / epochs;
    for (uint64_t epoch = 0; epoch < epochs; epoch++) {
        one_epoch(m, epoch, operations);
        crew_barrier(m);
    }
}

static void check_and_empty(struct run *run)
{
    be_heap *h = run->heap;
    for (uint32_t key = 0; key < keys; key++) {
        be_poll(h);
        if (!lookup(h, key))
            continue;
        run_checksum(run, key);
        take_out(h, key);
    }
    for (uint32_t bucket = 0; bucket < buckets; bucket++)
        if (be_peek(h, map, BE_ARRAY_SLOT(bucket)))
            be_die("shared-map", "a key is in the map twice");
}

static void run_map(struct run *run)
{
    be_heap *h = run->heap;
    unsigned threads = (unsigned)run_param(run, "threads");
    node_type = be_node_type(h, "node", sizeof(struct node), 2);
    bytes_type = be_bytes_type(h);
    map = be_array(h, be_array_type(h), buckets);
    crew_run(run, threads, fill);
    phase_begin(run);
    uint64_t operations = crew_run(run, threads, work);
    phase_end(run, "run", operations, (uint64_t)keys / 2 * (sizeof(struct node) + VALUE_SIZE));
    check_and_empty(run);
    be_discard(h, map);
    map = 0;
    be_check_empty(h);
}

const struct workload wl_shared_map = {"shared-map", prepare, run_map};
