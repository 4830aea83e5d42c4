/* wl_messages.c: pairs of threads. One builds messages, each a root with a list of parts and a blob, and sends them through a
 * bounded queue; the other walks and drops them. The sender gives the receiver everything that a message reaches. */
#include "blob.h"
#include "crew.h"

struct message {
    be_slot parts, blob;
    uint32_t number;
};
struct part {
    be_slot next;
    uint32_t value;
};
#define PARTS BE_SLOT(struct message, parts)
#define BLOB BE_SLOT(struct message, blob)
#define NEXT BE_SLOT(struct part, next)

enum { POLL_EVERY = 16 };

static struct queue queues[(CREW_MAX + 1) / 2];
static be_type message_type, part_type, bytes_type;
static uint32_t parts;
static size_t blob_size;

static void prepare(struct run *run)
{
    uint64_t threads = run_param(run, "threads");
    parts = (uint32_t)run_param(run, "parts");
    blob_size = run_param(run, "blob");
    for (uint64_t i = 0; i < (threads + 1) / 2; i++)
        queue_prepare(&queues[i], run_param(run, "queue"));
}

static be_ref build(be_heap *h, uint32_t number)
{
    be_ref message = be_new(h, message_type), list = 0;
    be_init_none(h, message, PARTS);
    be_init_none(h, message, BLOB);
    for (uint32_t i = 0; i < parts; i++) {
        be_ref part = be_new(h, part_type);
        be_init_none(h, part, NEXT);
        if (list)
            be_init(h, part, NEXT, list);
        ((struct part *)be_at(h, part))->value = number + i;
        list = part;
    }
    be_init(h, message, PARTS, list);
    be_init(h, message, BLOB, blob_make(h, bytes_type, blob_size, number));
    ((struct message *)be_at(h, message))->number = number;
    return message;
}

static uint64_t walk(be_heap *h, be_ref message, uint32_t number)
{
    uint32_t left = parts;
    uint64_t sum = blob_checksum(h, be_peek(h, message, BLOB));
    for (be_ref part = be_peek(h, message, PARTS); part; part = be_peek(h, part, NEXT))
        if (((struct part *)be_at(h, part))->value != number + --left)
            be_die("messages", "a part is not what was sent");
    if (left != 0 || ((struct message *)be_at(h, message))->number != number)
        be_die("messages", "a message is not what was sent");
    return sum;
}

static void drop(be_heap *h, be_ref message)
{
    if (BE_EXPLICIT) {
        for (be_ref part = be_peek(h, message, PARTS), next; part; part = next) {
            next = be_peek(h, part, NEXT);
            be_discard(h, part);
        }
        be_discard(h, be_peek(h, message, BLOB));
    }
    be_discard(h, message);
}

static void work(struct member *m)
{
    be_heap *h = m->heap;
    enum crew_part part = crew_part(m);
    uint64_t messages = crew_share(m, run_param(m->run, "messages"));
    struct queue *queue = &queues[m->id / 2];
    for (uint64_t i = 0; i < messages; i++) {
        if (part != CREW_TAKES) {
            be_ref message = build(h, (uint32_t)i);
            if (part == CREW_GIVES)
                be_transfer(h, crew_member(m->id + 1)->heap, message);
            queue_put(h, queue, (uintptr_t)message);
        }
        if (part != CREW_GIVES) {
            be_ref message = (be_ref)queue_take(h, queue);
            m->checksum += walk(h, message, (uint32_t)i);
            drop(h, message);
            m->operations++;
        }
        if (i % POLL_EVERY == 0)
            be_poll(h);
    }
}

static void run_messages(struct run *run)
{
    be_heap *h = run->heap;
    unsigned threads = (unsigned)run_param(run, "threads");
    message_type = be_node_type(h, "message", sizeof(struct message), 2);
    part_type = be_node_type(h, "part", sizeof(struct part), 1);
    bytes_type = be_bytes_type(h);
    for (unsigned i = 0; i < (threads + 1) / 2; i++)
        queue_roots(h, &queues[i]);
    phase_begin(run);
    uint64_t operations = crew_run(run, threads, work);
    phase_end(run, "run", operations, 0);
    be_check_empty(h);
}

const struct workload wl_messages = {"messages", prepare, run_messages};
