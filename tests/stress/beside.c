/* tests/stress/beside.c: see beside.h. */
#include "beside.h"

#include <string.h>

#include "act.h"
#include "midden/domain.h"
#include "midden/policy.h"
#include "midden/trace.h"

#define WORDS 64u
#define CACHED 20u
#define BLOCKS 40u

static struct {
    mid_handle handle;
    uint32_t held;
} words[WORDS];
static mid_type word_type;

static struct {
    unsigned char *at;
    size_t size;
    unsigned char pattern;
    bool pages; /* it has been large, and may keep a page */
} blocks[BLOCKS];

static bool full; /* everything is traced, since the session began */
static uint32_t session;

/* --- interned words ------------------------------------------------------------------------------------------------------------- */

static uint32_t word_hash(const void *object, void *context)
{
    (void)context;
    return *(const uint32_t *)object % 13;
}

static int word_equal(const void *a, const void *b, void *context)
{
    (void)context;
    return *(const uint32_t *)a == *(const uint32_t *)b;
}

void beside_begin(void)
{
    mid_type_desc desc = {.struct_size = sizeof desc, .name = "word", .size = 8, .flags = MID_INTERNED, .cached = CACHED, .keep = 4,
                          .hash = word_hash, .equal = word_equal};
    mid_status status = mid_type_register(run.heap, &desc, &word_type);
    if (status != MID_OK)
        fail("mid_type_register(word) returned %s", mid_status_name(status));
}

void op_word(void)
{
    uint32_t n = pick(WORDS);
    mid_handle made, one;
    if (words[n].held != 0 && one_in(2)) {
        words[n].held--;
        release(words[n].handle);
        return;
    }
    if (refused(mid_new(run.thread, word_type, &made), "mid_new"))
        return;
    uint32_t *at = mid_get(run.thread, made);
    if (at[0] != 0 || at[1] != 0)
        fail("a new word is not empty");
    at[0] = n;
    at[1] = ~n;
    struct guard guard = guard_begin();
    mid_status status = mid_intern(run.thread, made, &one);
    guard_end(guard);
    if (refused(status, "mid_intern")) {
        release(made);
        return;
    }
    if ((words[n].held != 0 && one != words[n].handle) || ((uint32_t *)mid_get(run.thread, one))[1] != ~n)
        fail("word %u is %u, expected %u", n, one, words[n].handle);
    words[n].handle = one;
    words[n].held++;
}

static void words_live(bool certain, uint64_t *objects, uint64_t *bytes)
{
    mid_policy_stats stats;
    uint64_t held = 0;
    if (mid_policy_stats_get(run.heap, word_type, &stats, sizeof stats) != MID_OK)
        fail("mid_policy_stats_get is refused");
    for (unsigned n = 0; n < WORDS; n++)
        held += words[n].held != 0;
    if (stats.interned < held || stats.interned > held + CACHED)
        fail("%llu words are interned, and %llu held", (unsigned long long)stats.interned, (unsigned long long)held);
    if (run.mode < MODE_DAEMON || !certain)
        held = stats.interned + stats.kept;
    *objects += held;
    *bytes += 8 * held;
}

/* --- what types keep -------------------------------------------------------------------------------------------------------------- */

static mid_policy_stats policy_of(unsigned kind)
{
    mid_policy_stats stats = {0};
    if (kinds[kind].keep != 0 && mid_policy_stats_get(run.heap, run.types[kind], &stats, sizeof stats) != MID_OK)
        fail("mid_policy_stats_get is refused");
    return stats;
}

uint64_t kept_of(unsigned kind)
{
    return policy_of(kind).kept;
}

uint64_t reused_ever(void)
{
    uint64_t reused = 0;
    for (unsigned n = 0; n < kind_count; n++)
        reused += policy_of(n).reused;
    return reused;
}

static void add_live(bool certain, uint64_t *objects, uint64_t *bytes)
{
    *objects = *bytes = 0;
    words_live(certain, objects, bytes);
    pairs_live(objects, bytes);
    for (unsigned n = 0; n < kind_count && (run.mode < MODE_DAEMON || !certain); n++) {
        *objects += kept_of(n);
        *bytes += kept_of(n) * kinds[n].size;
    }
}

void beside_live(uint64_t *objects, uint64_t *bytes)
{
    add_live(false, objects, bytes);
}

void beside_certain(uint64_t *objects, uint64_t *bytes)
{
    add_live(true, objects, bytes);
}

bool beside_has(mid_handle handle)
{
    mid_type type;
    if (mid_type_of(run.thread, handle, &type) != MID_OK)
        return false;
    for (unsigned n = 0; n < kind_count; n++)
        if (run.types[n] == type)
            return kinds[n].keep != 0;
    return true;
}

/* --- blocks ---------------------------------------------------------------------------------------------------------------------- */

static void verify_block(unsigned n, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (blocks[n].at[i] != blocks[n].pattern)
            fail("a block of %zu bytes has another byte at %zu", blocks[n].size, i);
}

void op_mem(void)
{
    unsigned n = pick(BLOCKS);
    size_t size = one_in(20) ? pick(60000) : pick(700);
    void *at = blocks[n].at;
    mid_status status;
    verify_block(n, blocks[n].size);
    if (at != NULL && one_in(2)) {
        if (mid_mem_free(run.thread, at) != MID_OK)
            fail("mid_mem_free is refused");
        blocks[n].at = NULL;
        blocks[n].size = 0;
        blocks[n].pages = false;
        return;
    }
    status = at == NULL ? mid_mem_malloc(run.thread, size, &at) : mid_mem_realloc(run.thread, &at, size);
    if (refused(status, "mid_mem_malloc"))
        return;
    size_t kept = blocks[n].at == NULL ? 0 : size < blocks[n].size ? size : blocks[n].size;
    blocks[n].at = at;
    blocks[n].size = size;
    blocks[n].pages |= size >= 4096;
    verify_block(n, kept);
    blocks[n].pattern = (unsigned char)random64();
    memset(at, blocks[n].pattern, size);
}

size_t mem_pages(void)
{
    size_t bytes = 0;
    for (unsigned n = 0; n < BLOCKS; n++)
        bytes += blocks[n].pages ? (blocks[n].size + FENCE + 8191) / 4096 * 4096 + 16384 : 0;
    return bytes;
}

static uint64_t audit_mem(void)
{
    mid_domain_stats stats;
    uint64_t count = 0, asked = 0;
    for (unsigned n = 0; n < BLOCKS; n++) {
        verify_block(n, blocks[n].size);
        count += blocks[n].at != NULL;
        asked += blocks[n].size;
    }
    if (mid_stats_domain(run.heap, MID_DOMAIN_MEM, &stats, sizeof stats) != MID_OK)
        fail("mid_stats_domain is refused");
    if (stats.live_blocks != count || stats.asked_bytes != asked)
        fail("%llu blocks of %llu bytes, expected %llu of %llu", (unsigned long long)stats.live_blocks, (unsigned long long)stats.asked_bytes,
             (unsigned long long)count, (unsigned long long)asked);
    return count;
}

/* --- tracing ---------------------------------------------------------------------------------------------------------------------- */

static mid_trace_figures figures(void)
{
    mid_trace_figures f;
    if (mid_trace_figures_get(run.heap, &f, sizeof f) != MID_OK)
        fail("mid_trace_figures_get is refused");
    return f;
}

static void take(void)
{
    mid_trace_snapshot *snapshot;
    mid_trace_figures then, now = figures();
    if (refused(mid_trace_take(run.heap, &snapshot), "mid_trace_take"))
        return;
    if (mid_trace_snapshot_figures(snapshot, &then, sizeof then) != MID_OK || then.records != now.records || then.bytes != now.bytes)
        fail("a snapshot has %llu records, expected %llu", (unsigned long long)then.records, (unsigned long long)now.records);
    mid_trace_drop(snapshot);
}

void op_trace(void)
{
    run.epoch++;
    if (mid_trace_is_on(run.heap)) {
        if (one_in(2)) {
            if (run.mode < MODE_DAEMON)
                take();
        } else if (mid_trace_stop(run.heap) != MID_OK) {
            fail("mid_trace_stop is refused");
        }
        full = full && mid_trace_is_on(run.heap);
        return;
    }
    const mid_trace_options options = {sizeof options, 1 + pick(6), one_in(2) ? 0 : 64 << pick(14)};
    if (refused(mid_trace_start(run.heap, &options), "mid_trace_start"))
        return;
    session++;
    full = options.sample == 0;
    for (size_t n = 0; n < model.live.count; n++)
        model.live.at[n]->traced = 0;
}

void trace_forget(struct obj *o)
{
    if (o->traced != session)
        o->traced = UINT32_MAX; /* if its memory is new, it was traced then */
}

void trace_made(struct obj *o)
{
    o->traced = full ? session : 0;
}

void trace_audit(struct obj *o)
{
    mid_trace_record record;
    if (!full || o->traced == UINT32_MAX || figures().missed != 0)
        return;
    mid_status status = mid_trace_where(run.thread, o->handle, &record);
    if (status != (o->traced == session ? MID_OK : MID_EUNTRACED))
        fail("mid_trace_where of object %llu (%s) is %s", (unsigned long long)o->id, o->kind->name, mid_status_name(status));
    if (status == MID_OK && (record.bytes != kind_bytes(o->kind, o->items) || record.type != run.types[o->kind - kinds] || record.depth == 0))
        fail("object %llu (%s) is traced with %llu bytes", (unsigned long long)o->id, o->kind->name, (unsigned long long)record.bytes);
}

/* --- all of it ---------------------------------------------------------------------------------------------------------------------- */

void beside_audit(bool exact)
{
    pairs_audit(exact);
    if (!exact)
        return;
    uint64_t objects, bytes, most = audit_mem();
    beside_live(&objects, &bytes);
    most += model.live.count + objects;
    if (full && figures().records > most)
        fail("%llu objects and blocks are traced, of %llu", (unsigned long long)figures().records, (unsigned long long)most);
}

void beside_end(void)
{
    pairs_end();
    for (unsigned n = 0; n < WORDS; n++)
        for (; words[n].held != 0; words[n].held--)
            release(words[n].handle);
    for (unsigned n = 0; n < BLOCKS; n++) {
        if (mid_mem_free(run.thread, blocks[n].at) != MID_OK)
            fail("mid_mem_free is refused");
        blocks[n].at = NULL;
        blocks[n].size = 0;
        blocks[n].pages = false;
    }
}
