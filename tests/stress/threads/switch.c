/* tests/stress/threads/switch.c: what changes for all threads at once, while they run: tracing on and off, objects frozen and thawed;
 * and blocks of the domain mem, which any thread frees. */
#include <inttypes.h>
#include <string.h>

#include "threads.h"

#include "midden/domain.h"
#include "midden/freeze.h"
#include "midden/trace.h"

static mid_status trace(struct mutator *m)
{
    if (mid_trace_is_on(m->world->heap))
        return mid_trace_stop(m->world->heap);
    const mid_trace_options options = {sizeof options, 1 + pick(8), one_in(2) ? 0 : 64u << pick(14)};
    return mid_trace_start(m->world->heap, &options);
}

/* Another thread may do the same: then there is nothing to do any more. */
void op_switch(struct mutator *m)
{
    struct mutator *first = step_aside(m);
    mid_status status = one_in(2) ? trace(m) : one_in(2) ? mid_freeze(m->thread) : mid_unfreeze(m->thread);
    step_back(first);
    if (status != MID_OK && status != MID_EINVAL && status != MID_EPOSTPONED && status != MID_ENOMEM && status != MID_ELIMIT)
        fail("a switch for all threads: %s", mid_status_name(status));
}

static struct block exchange(struct world *world, unsigned n, struct block block)
{
    pthread_mutex_lock(&world->lock);
    struct block old = world->blocks[n];
    world->blocks[n] = block;
    pthread_mutex_unlock(&world->lock);
    return old;
}

static void verify_block(struct block block)
{
    for (size_t i = 0; block.at != NULL && i < block.size; i++)
        if (block.at[i] != (uint8_t)block.size)
            fail("a block of %zu bytes has another byte at %zu", block.size, i);
}

void op_mem(struct mutator *m)
{
    struct block made = {0};
    void *at = NULL;
    if (!one_in(3)) {
        made.size = one_in(30) ? pick(50000) : pick(600);
        if (mid_mem_malloc(m->thread, made.size, &at) == MID_OK)
            memset(at, (int)(uint8_t)made.size, made.size);
        made.at = at;
    }
    made = exchange(m->world, pick(BLOCKS), made);
    verify_block(made);
    mid_status status = mid_mem_free(m->thread, made.at);
    if (status != MID_OK)
        fail("mid_mem_free returned %s", mid_status_name(status));
}

/* Everything is as if none of it had been. */
void switch_back(struct mutator *m)
{
    mid_domain_stats stats;
    if (mid_trace_is_on(m->world->heap) && trace(m) != MID_OK)
        fail("mid_trace_stop is refused");
    if (mid_unfreeze(m->thread) != MID_OK)
        fail("mid_unfreeze is refused");
    for (unsigned n = 0; n < BLOCKS; n++) {
        struct block block = exchange(m->world, n, (struct block){0});
        verify_block(block);
        if (mid_mem_free(m->thread, block.at) != MID_OK)
            fail("mid_mem_free is refused");
    }
    if (mid_stats_domain(m->world->heap, MID_DOMAIN_MEM, &stats, sizeof stats) != MID_OK || stats.live_blocks != 0 || stats.asked_bytes != 0)
        fail("%" PRIu64 " blocks are left, expected none", stats.live_blocks);
}
