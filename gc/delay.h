/* gc/delay.h: the places where collection beside running threads can be overtaken, in builds that look for trouble.
 *
 * With MID_DELAYS the program brings mid_delay along (tests/stress/delay.c), which dawdles there, at random, and counts how
 * often the collector came by. In any other build there is nothing. */
#ifndef MID_GC_DELAY_H
#define MID_GC_DELAY_H

#define MID_PLACES(X)                                                                                                  \
    X(WALK, "walks")          /* between two objects of a walk */                                                      \
    X(PROPOSED, "proposals")  /* a set was found, and waits for its proof */                                           \
    X(PROOF, "proofs")        /* between the sets of a slice */                                                        \
    X(READ, "readings")       /* an entry was read, its slots are not */                                               \
    X(ITEM, "pieces")         /* between pieces of an array */                                                         \
    X(SWEEP, "sweeps")        /* all references are counted, no count was looked at */                                 \
    X(TAGGED, "trials")       /* all are watched, nothing is counted */                                                \
    X(ROUND, "rounds")        /* what was touched is noted, nothing is counted */                                      \
    X(JUDGE, "judgements")    /* between two members' */                                                               \
    X(DROP, "dropped")        /* a member is held, or was touched */                                                   \
    X(JUDGED, "judged")       /* all are judged, nothing is committed */                                               \
    X(AGAIN, "touched late")  /* something was touched after the judgement */                                          \
    X(COMMIT, "commits")      /* nothing is freed */                                                                   \
    X(ABANDON, "given up")                                                                                             \
    X(TOUCH, "touches")       /* about to be marked */                                                                 \
    X(TOUCHED, "touched")     /* marked, and not counted in mid_heap.touched */                                        \
    X(UPGRADE, "upgrades")    /* `committed` was looked at, the count was not changed */

enum mid_place {
#define MID_X(name, text) MID_AT_##name,
    MID_PLACES(MID_X)
#undef MID_X
        MID_AT_ALL
};

#ifdef MID_DELAYS
void mid_delay(enum mid_place place);
#define MID_DELAY(name) mid_delay(MID_AT_##name)
#else
#define MID_DELAY(name) ((void)0)
#endif

#endif
