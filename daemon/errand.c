/* daemon/errand.c: what other threads want done on the loop's thread (errand.h). The base of an own thread has no locks, so that
 * nothing of it may be touched from elsewhere. */
#include "daemon/errand.h"

#include <errno.h>
#include <string.h>

mid_status mid_errand_open(mid_errand *errand)
{
    memset(errand, 0, sizeof *errand);
    if (pthread_mutex_init(&errand->lock, NULL) != 0)
        return MID_ESYSTEM;
    if (pthread_cond_init(&errand->changed, NULL) != 0) {
        pthread_mutex_destroy(&errand->lock);
        return MID_ESYSTEM;
    }
    return MID_OK;
}

void mid_errand_close(mid_errand *errand)
{
    pthread_cond_destroy(&errand->changed);
    pthread_mutex_destroy(&errand->lock);
}

void mid_errand_forked(mid_errand *errand)
{
    mid_errand_open(errand);
}

mid_status mid_errand_send(mid_errand *errand, mid_errand_fn *run, void *context, void (*wake)(void *), void *whom)
{
    pthread_mutex_lock(&errand->lock);
    while (errand->taken)
        pthread_cond_wait(&errand->changed, &errand->lock);
    errand->taken = true;
    errand->context = context;
    errand->run = run;
    wake(whom);
    while (errand->run != NULL)
        pthread_cond_wait(&errand->changed, &errand->lock);
    mid_status status = errand->status;
    int error = errand->error;
    errand->taken = false;
    pthread_cond_broadcast(&errand->changed);
    pthread_mutex_unlock(&errand->lock);
    errno = error;
    return status;
}

void mid_errand_do(mid_errand *errand)
{
    pthread_mutex_lock(&errand->lock);
    if (errand->run != NULL) {
        errand->status = errand->run(errand->context);
        errand->error = errno;
        errand->run = NULL;
        pthread_cond_broadcast(&errand->changed);
    }
    pthread_mutex_unlock(&errand->lock);
}
