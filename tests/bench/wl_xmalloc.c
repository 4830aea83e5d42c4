/* wl_xmalloc.c: xmalloc-test (Lever and Boreham, USENIX 2000): half of the threads fill batches with objects, the others look at
 * each object and free it. What is timed is freeing on another thread than the one that allocated. The batches are the
 * driver's own arrays; as many as --batches are on their way at most. */
#include "blob.h"
#include "crew.h"

enum { POLL_EVERY = 256 };

static struct queue filled, empty;
static be_ref *arrays;
static be_type bytes_type;
static size_t size, batch;

static void prepare(struct run *run)
{
    size_t batches = run_param(run, "batches");
    batch = run_param(run, "batch");
    size = run_param(run, "size");
    arrays = driver_array(batches * batch, sizeof *arrays);
    queue_prepare(&filled, batches);
    queue_prepare(&empty, batches);
}

static void fill(be_heap *h, be_ref *into)
{
    for (size_t i = 0; i < batch; i++) {
        into[i] = blob_make(h, bytes_type, size, (uint32_t)i);
        if (i % POLL_EVERY == 0)
            be_poll(h);
    }
}

static void release(struct member *m, be_ref *from)
{
    for (size_t i = 0; i < batch; i++) {
        m->checksum += blob_checksum(m->heap, from[i]);
        be_discard(m->heap, from[i]);
        from[i] = 0;
        if (i % POLL_EVERY == 0)
            be_poll(m->heap);
    }
    m->operations += batch;
}

static void work(struct member *m)
{
    be_heap *h = m->heap;
    enum crew_part part = crew_part(m);
    uint64_t batches = crew_share(m, run_param(m->run, "operations") / batch);
    for (uint64_t i = 0; i < batches; i++) {
        be_ref *array = (be_ref *)queue_take(h, part == CREW_TAKES ? &filled : &empty);
        if (part != CREW_TAKES)
            fill(h, array);
        if (part != CREW_GIVES)
            release(m, array);
        queue_put(h, part == CREW_GIVES ? &filled : &empty, (uintptr_t)array);
    }
}

static void run_xmalloc(struct run *run)
{
    be_heap *h = run->heap;
    size_t batches = run_param(run, "batches");
    bytes_type = be_bytes_type(h);
    be_roots(h, arrays, batches * batch);
    for (size_t i = 0; i < batches; i++)
        queue_put(h, &empty, (uintptr_t)(arrays + i * batch));
    phase_begin(run);
    uint64_t operations = crew_run(run, (unsigned)run_param(run, "threads"), work);
    phase_end(run, "run", operations, 0);
    be_check_empty(h);
}

const struct workload wl_xmalloc = {"xmalloc-test", prepare, run_xmalloc};
