/* wl_actors.c: actors that come and go. An actor has a mailbox, a list of messages, and a behaviour that refers back to it: a
 * cycle, which is garbage as soon as the program lets go of the actor, with the messages that it has not read. A behaviour knows
 * an elder, one of a few actors that live as long as the program; a message says which elder is to have the answer. Each thread
 * has actors of its own, of which a few stay; the elders are everybody's. An operation is a message sent, a mailbox read, and
 * now and then an actor that takes another's place. */
#include <stdatomic.h>

#include "crew.h"
#include "litter.h"

struct actor {
    be_slot mailbox, behaviour;
    uint32_t number, unread;
};
struct behaviour {
    be_slot actor, elder;
    uint32_t step;
};
struct message {
    be_slot next, answer_to;
    uint32_t value;
};
#define MAILBOX BE_SLOT(struct actor, mailbox)
#define BEHAVIOUR BE_SLOT(struct actor, behaviour)
#define ACTOR BE_SLOT(struct behaviour, actor)
#define ELDER BE_SLOT(struct behaviour, elder)
#define NEXT BE_SLOT(struct message, next)
#define ANSWER_TO BE_SLOT(struct message, answer_to)

enum { POLL_EVERY = 64, ELDERS = 4, STAY = 4, OBJECTS = 2 /* of an actor without messages */ };

static be_ref *places, elders; /* all threads' actors; an array of the elders */
static uint32_t actors;
static uint64_t turnover;
static be_type actor_type, behaviour_type, message_type;

static struct {
    _Alignas(64) atomic_ullong objects; /* that the thread's actors reach */
} reachable[CREW_MAX];

static void prepare(struct run *run)
{
    uint64_t threads = run_param(run, "threads"), slack = 64 * threads;
    actors = (uint32_t)run_param(run, "actors");
    turnover = run_param(run, "turnover");
    places = driver_array(threads * actors, sizeof *places);
    litter_prepare(run, run_param(run, "operations") / turnover + slack);
}

static struct actor *actor_at(be_heap *h, be_ref actor)
{
    return be_at(h, actor);
}

static be_ref actor_make(be_heap *h, uint32_t number, be_ref elder)
{
    be_ref actor = be_new(h, actor_type), behaviour = be_new(h, behaviour_type);
    be_init_none(h, actor, MAILBOX);
    be_init_none(h, behaviour, ELDER);
    be_init(h, behaviour, ACTOR, be_share(h, actor));
    if (elder)
        be_init(h, behaviour, ELDER, be_share(h, elder));
    be_init(h, actor, BEHAVIOUR, behaviour);
    actor_at(h, actor)->number = number;
    actor_at(h, actor)->unread = 0;
    return actor;
}

static void send(be_heap *h, be_ref to, be_ref elder, uint32_t value)
{
    be_ref message = be_new(h, message_type), before = be_peek(h, to, MAILBOX);
    be_init_none(h, message, NEXT);
    if (before)
        be_init(h, message, NEXT, be_share(h, before));
    be_init(h, message, ANSWER_TO, be_share(h, elder));
    ((struct message *)be_at(h, message))->value = value;
    be_put(h, to, MAILBOX, message);
    actor_at(h, to)->unread++;
}

/* The mailbox is emptied; what the messages said. */
static uint64_t receive(be_heap *h, be_ref actor)
{
    uint64_t sum = 0;
    be_ref mail = be_swap(h, actor, MAILBOX, 0);
    for (be_ref message = mail, next; message; message = next) {
        next = be_peek(h, message, NEXT);
        sum += ((struct message *)be_at(h, message))->value +
               (uint64_t)actor_at(h, be_peek(h, message, ANSWER_TO))->number * actor_at(h, actor)->number;
        if (BE_EXPLICIT)
            be_discard(h, message);
    }
    if (!BE_EXPLICIT && mail)
        be_discard(h, mail);
    actor_at(h, actor)->unread = 0;
    return sum;
}

static void discard(be_heap *h, be_ref actor)
{
    if (BE_EXPLICIT) {
        receive(h, actor);
        be_discard(h, be_peek(h, actor, BEHAVIOUR));
    }
    be_discard(h, actor);
}

static uint64_t all_reachable(unsigned threads)
{
    uint64_t objects = 1 + ELDERS * OBJECTS;
    for (unsigned i = 0; i < threads; i++)
        objects += atomic_load_explicit(&reachable[i].objects, memory_order_relaxed);
    return objects;
}

/* One operation. Returns by how many objects what is reachable has grown. */
static int64_t act(struct member *m, be_ref *own, const be_ref *elder, uint64_t i)
{
    be_heap *h = m->heap;
    uint32_t to = random_below(&m->random, actors), reads = random_below(&m->random, actors);
    send(h, own[to], elder[i % ELDERS], (uint32_t)i);
    int64_t grown = 1 - (int64_t)actor_at(h, own[reads])->unread;
    m->checksum += checksum_of(receive(h, own[reads]));
    if (i % turnover == 0 && actors > STAY) {
        be_ref *place = &own[STAY + random_below(&m->random, actors - STAY)];
        uint32_t unread = actor_at(h, *place)->unread;
        litter_drop(h, *place, OBJECTS + unread, i / turnover);
        discard(h, *place);
        *place = 0;
        *place = actor_make(h, (uint32_t)i, elder[i / turnover % ELDERS]);
        grown -= unread;
    }
    return grown;
}

static void work(struct member *m)
{
    be_heap *h = m->heap;
    be_ref *own = places + (size_t)m->id * actors, elder[ELDERS];
    uint64_t operations = run_param(m->run, "operations") / m->count;
    for (unsigned i = 0; i < ELDERS; i++)
        elder[i] = be_load(h, elders, BE_ARRAY_SLOT(i));
    for (uint32_t i = 0; i < actors; i++)
        own[i] = actor_make(h, i, elder[i % ELDERS]);
    uint64_t objects = (uint64_t)actors * OBJECTS;
    atomic_store(&reachable[m->id].objects, objects);
    crew_barrier(m);
    for (uint64_t i = 1; i <= operations; i++) {
        objects += (uint64_t)act(m, own, elder, i);
        atomic_store_explicit(&reachable[m->id].objects, objects, memory_order_relaxed);
        if (i % POLL_EVERY == 0)
            be_poll(h);
        if (m->id == 0 && i * m->count >= litter_next)
            litter_look_now(h, i * m->count, all_reachable(m->count));
    }
    for (unsigned i = 0; i < ELDERS; i++)
        be_unload(h, elder[i]);
    m->operations = operations;
}

static void drop_all(struct run *run, unsigned threads)
{
    be_heap *h = run->heap;
    for (size_t i = 0; i < (size_t)threads * actors; i++) {
        run_checksum(run, actor_at(h, places[i])->number);
        discard(h, places[i]);
        places[i] = 0;
        be_poll(h);
    }
    for (unsigned i = 0; i < ELDERS && BE_EXPLICIT; i++)
        discard(h, be_peek(h, elders, BE_ARRAY_SLOT(i)));
    for (unsigned i = 0; i < ELDERS && !BE_EXPLICIT; i++)
        be_replace(h, elders, BE_ARRAY_SLOT(i), 0);
    be_discard(h, elders);
    elders = 0;
}

static void run_actors(struct run *run)
{
    be_heap *h = run->heap;
    unsigned threads = (unsigned)run_param(run, "threads");
    actor_type = be_node_type(h, "actor", sizeof(struct actor), 2);
    behaviour_type = be_node_type(h, "behaviour", sizeof(struct behaviour), 2);
    message_type = be_node_type(h, "message", sizeof(struct message), 2);
    be_roots(h, places, (size_t)threads * actors);
    elders = be_array(h, be_array_type(h), ELDERS);
    for (unsigned i = 0; i < ELDERS; i++)
        be_init(h, elders, BE_ARRAY_SLOT(i), actor_make(h, i, 0));
    phase_begin(run);
    litter_begin(run_param(run, "operations"));
    uint64_t operations = crew_run(run, threads, work);
    phase_end(run, "run", operations, (uint64_t)threads * actors * (sizeof(struct actor) + sizeof(struct behaviour)));
    litter_end(run, operations, all_reachable(threads));
    drop_all(run, threads);
    be_collect(h);
    be_check_empty(h);
}

const struct workload wl_actors = {"actors", prepare, run_actors};
