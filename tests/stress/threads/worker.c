/* tests/stress/threads/worker.c: a thread's life: operations by weight, safepoints between them, and one of several ends. */
#include <stddef.h>

#include "threads.h"

static const struct op {
    void (*run)(struct mutator *);
    const char *name;
    unsigned weight;
} ops[] = {
    {op_make, "make", 140},       {op_drop, "drop", 110},        {op_look, "look", 40},       {op_burst, "burst", 40},
    {op_load, "load", 100},       {op_walk, "walk", 60},         {op_store, "store", 100},    {op_give, "give", 50},
    {op_swap, "swap", 50},        {op_swap_if, "swap_if", 60},   {op_take, "take", 50},       {op_link, "link", 80},
    {op_first_load, "init", 40},  {op_push, "push", 30},         {op_pop, "pop", 25},         {op_post, "post", 40},
    {op_fetch, "fetch", 50},      {op_scope, "scope", 40},       {op_pin, "pin", 20},         {op_cycle, "cycle", 25},
    {op_message, "message", 20},  {op_private, "private", 80},   {op_weak_new, "weak", 20},   {op_weak_get, "upgrade", 60},
    {op_weak_drop, "unweak", 5},  {op_replace_root, "root", 14}, {op_blocked, "block", 4},    {op_detach, "detach", 2},
    {op_ask, "ask", 2},           {op_register, "type", 1},      {op_check, "check", 1},
    {op_web, "web", 4},           {op_mem, "mem", 40},           {op_switch, "switch", 1},
};
enum { FLOOD_ONE_IN = 60000, LIFE_LEAST = 300, LIFE_MOST = 20000 };

static const struct op *any_op(void)
{
    unsigned total = 0;
    for (unsigned n = 0; n < sizeof ops / sizeof ops[0]; n++)
        total += ops[n].weight;
    unsigned at = pick(total);
    const struct op *op = ops;
    for (; at >= op->weight; op++)
        at -= op->weight;
    return op;
}

static void doing(const char *what)
{
    atomic_store_explicit(&self->doing, what, memory_order_relaxed);
}

/* One operation on one of the heaps, and safepoints. */
static void step(uint64_t op_number)
{
    unsigned which = one_in(4);
    if (self->on[which].blocked && !one_in(3))
        which ^= 1;
    struct mutator *m = &self->on[which];
    if (m->thread == NULL) {
        doing("attach");
        attach(m);
    } else if (m->blocked) {
        doing("leave");
        op_leave(m);
    } else if (one_in(FLOOD_ONE_IN)) {
        doing("flood");
        op_flood(m);
    } else {
        const struct op *op = any_op();
        doing(op->name);
        op->run(m);
        if (op_number % 256 == 0 && m->thread != NULL && !m->blocked)
            keep_small(m);
    }
    doing("safepoint");
    poll(&self->on[0]);
    if (one_in(3))
        poll(&self->on[1]);
}

static bool wanted(uint64_t op)
{
    return !atomic_load_explicit(&many.stop, memory_order_relaxed) && (many.ops == 0 || op < many.ops);
}

static void end_in_order(struct mutator *m)
{
    if (m->blocked)
        op_leave(m);
    if (one_in(2)) {
        unpin_all(m);
        let_go_of_all(m);
    }
    detach(m);
}

/* What the thread holds outside scopes goes to others, or to the next thread of its number. */
static void end_anyhow(struct mutator *m)
{
    while (!m->blocked && m->held_count != 0 && one_in(2))
        op_post(m);
    if (!m->blocked && one_in(4))
        op_blocked(m);
    abandon(m);
}

static void end(void)
{
    doing("end");
    for (unsigned n = 0; n < WORLDS; n++) {
        if (self->on[n].thread == NULL)
            continue;
        if (one_in(3))
            end_in_order(&self->on[n]);
        else
            end_anyhow(&self->on[n]);
    }
    pthread_mutex_lock(&many.lock);
    atomic_store_explicit(&self->over, true, memory_order_relaxed);
    pthread_cond_signal(&many.ended);
    pthread_mutex_unlock(&many.lock);
}

void *worker_main(void *worker)
{
    self = worker;
    uint64_t op = atomic_load_explicit(&self->op, memory_order_relaxed);
    uint64_t life_ends = op + LIFE_LEAST + pick(one_in(2) ? LIFE_MOST / 10 : LIFE_MOST);
    while (wanted(op) && op < life_ends) {
        atomic_store_explicit(&self->op, ++op, memory_order_relaxed);
        step(op);
    }
    end();
    if (one_in(2))
        pthread_exit(NULL);
    return NULL;
}
