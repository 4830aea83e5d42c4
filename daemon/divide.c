/* daemon/divide.c: shares in proportion to weights, none below its least. */
#include "daemon/divide.h"

#include "daemon/balance.h"

#define MOST (UINT64_C(1) << 48)  /* of a figure: what is larger is a mistake, and must not overflow */
#define LITTLE_LEAST (1u << 20)
#define LITTLE_PART 8u

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t base(const mid_need *n)
{
    return least(most(n->held, n->live), MOST);
}

static uint64_t little(const mid_need *n)
{
    return most(base(n) / LITTLE_PART, LITTLE_LEAST);
}

uint64_t mid_need_least(const mid_need *n)
{
    return base(n) + little(n);
}

/* Below 2^56: sixteen bits more than the root has, so that small heaps' weights differ too. */
static uint64_t weigh(const mid_need *n)
{
    unsigned __int128 square = (unsigned __int128)least(n->live, MOST) * least(n->rate, MOST) / n->speed;
    return mid_root(square << 16);
}

static bool unknown(const mid_need *n)
{
    return n->rate != 0 && n->speed == 0;
}

static void weigh_all(mid_portion *p, size_t count)
{
    unsigned __int128 sum = 0;
    size_t known = 0, any = 0;
    for (size_t i = 0; i < count; i++) {
        bool counts = p[i].need.rate != 0 && p[i].need.speed != 0;
        p[i].weight = counts ? weigh(&p[i].need) : 0;
        sum += p[i].weight;
        known += counts;
    }
    for (size_t i = 0; i < count; i++) {
        if (unknown(&p[i].need))
            p[i].weight = known == 0 ? 1 : (uint64_t)(sum / known);
        any += p[i].weight != 0;
    }
    for (size_t i = 0; i < count && any == 0; i++)
        p[i].weight = 1;
}

/* Who would get less than his least gets that; the others share what is left then, which is less for each: again. */
static void settle(mid_portion *p, size_t count, uint64_t *left, unsigned __int128 *weights)
{
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < count; i++) {
            if (p[i].least || (unsigned __int128)*left * p[i].weight >= *weights * little(&p[i].need))
                continue;
            p[i].least = again = true;
            *left -= least(*left, little(&p[i].need));
            *weights -= p[i].weight;
        }
    }
}

void mid_divide(uint64_t budget, mid_portion *p, size_t count)
{
    uint64_t left = least(budget, MOST << 8);
    unsigned __int128 weights = 0;
    weigh_all(p, count);
    for (size_t i = 0; i < count; i++) {
        p[i].least = p[i].weight == 0;
        left -= least(left, base(&p[i].need) + (p[i].least ? little(&p[i].need) : 0));
        weights += p[i].weight;
    }
    settle(p, count, &left, &weights);
    for (size_t i = 0; i < count; i++) {
        uint64_t extra = p[i].least ? little(&p[i].need) : (uint64_t)((unsigned __int128)left * p[i].weight / weights);
        p[i].limit = base(&p[i].need) + extra;
        if (p[i].least)
            continue;
        left -= extra; /* to the byte: what rounding leaves goes to the last */
        weights -= p[i].weight;
    }
}

static bool differs(uint64_t now, uint64_t then)
{
    return (now == 0) != (then == 0) || most(now, then) - least(now, then) > then / 10;
}

bool mid_need_changed(const mid_need *now, const mid_need *then)
{
    return differs(now->live, then->live) || differs(now->held, then->held) || differs(now->rate, then->rate) ||
           differs(now->speed, then->speed);
}
