/* daemon/errand.h: something that has to be done on the loop's thread, for a thread that waits until it has been. */
#ifndef MIDDEN_DAEMON_ERRAND_H
#define MIDDEN_DAEMON_ERRAND_H

#include <pthread.h>
#include <stdbool.h>

#include "midden/status.h"

typedef mid_status mid_errand_fn(void *context);

typedef struct mid_errand {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool taken; /* somebody's: others wait */
    mid_errand_fn *run; /* not yet done */
    void *context;
    mid_status status;
    int error; /* errno */
} mid_errand;

mid_status mid_errand_open(mid_errand *errand);
void mid_errand_close(mid_errand *errand);
void mid_errand_forked(mid_errand *errand); /* in the child: whoever waited is not there */
/* Any thread but the loop's: `wake` makes the loop call mid_errand_do. */
mid_status mid_errand_send(mid_errand *errand, mid_errand_fn *run, void *context, void (*wake)(void *), void *whom);
/* On the loop's thread. */
void mid_errand_do(mid_errand *errand);

#endif
