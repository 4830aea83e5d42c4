/* backend_malloc.c: which malloc this is, and how it is asked for memory back.
 *
 * One object file for three heaps: what mimalloc and jemalloc offer beyond malloc is referred to weakly, so that the code
 * that is measured is the same to the byte. That the library linked really serves malloc is checked at the start. */
#include "backend.h"

#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

extern int mi_version(void) __attribute__((weak));
extern bool mi_is_in_heap_region(const void *p) __attribute__((weak));
extern void mi_collect(bool force) __attribute__((weak));
extern int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size) __attribute__((weak));

static const char *name, *version;
static char version_text[64];

static bool serves_jemalloc(void)
{
    uint64_t before = 0, after = 0;
    size_t size = sizeof before;
    mallctl("thread.allocated", &before, &size, NULL, 0);
    void *volatile probe = malloc(100000); /* volatile: or the pair is optimised away */
    mallctl("thread.allocated", &after, &size, NULL, 0);
    free(probe);
    return after - before >= 100000;
}

static void identify(void)
{
    void *probe = calloc(1, 64);
    if (mi_version != NULL) {
        if (!mi_is_in_heap_region(probe))
            be_die("mimalloc", "it is linked, but malloc is served by another library");
        snprintf(version_text, sizeof version_text, "%d", mi_version());
        name = "mimalloc", version = version_text;
    } else if (mallctl != NULL) {
        size_t size = sizeof version;
        if (!serves_jemalloc() || mallctl("version", &version, &size, NULL, 0) != 0)
            be_die("jemalloc", "it is linked, but malloc is served by another library");
        name = "jemalloc";
    } else {
        name = "malloc", version = gnu_get_libc_version();
    }
    free(probe);
}

be_heap *be_open(const char *variant)
{
    if (strcmp(variant, "default") != 0)
        be_die("no such variant", variant);
    identify();
    return NULL;
}

const char *be_name(void)
{
    return name;
}

const char *be_version(void)
{
    return version;
}

void be_shrink(be_heap *h)
{
    (void)h;
    if (mi_collect != NULL) {
        mi_collect(true);
    } else if (mallctl != NULL) {
        mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
        mallctl("arena.4096.purge", NULL, NULL, NULL, 0); /* 4096: MALLCTL_ARENAS_ALL */
    } else {
        malloc_trim(0);
    }
}

be_type be_node_type(be_heap *h, const char *type_name, size_t size, unsigned refs)
{
    (void)h, (void)type_name, (void)refs;
    return size;
}

be_type be_bytes_type(be_heap *h)
{
    (void)h;
    return 0;
}

be_type be_array_type(be_heap *h)
{
    (void)h;
    return 0;
}

struct histogram *be_pauses(be_heap *h)
{
    (void)h;
    return NULL;
}

/* A malloc knows no roots and no threads, does nothing in the background and frees at once: the rest of the interface is empty
 * here. */
void be_close(be_heap *h)
{
    (void)h;
}

void be_check(be_heap *h)
{
    (void)h;
}

void be_check_empty(be_heap *h)
{
    (void)h;
}

be_heap *be_thread_enter(void)
{
    return NULL;
}

void be_thread_leave(be_heap *h)
{
    (void)h;
}

void be_wait_enter(be_heap *h)
{
    (void)h;
}

void be_wait_leave(be_heap *h)
{
    (void)h;
}

void be_roots(be_heap *h, be_ref *array, size_t count)
{
    (void)h, (void)array, (void)count;
}

void be_idle_enter(be_heap *h)
{
    (void)h;
}

void be_idle_leave(be_heap *h)
{
    (void)h;
}

void be_finish_frees(be_heap *h)
{
    (void)h;
}

void be_compact(be_heap *h, bool deep)
{
    (void)h, (void)deep;
}

uint64_t be_objects(be_heap *h)
{
    (void)h;
    return 0;
}

void be_watch_begin(be_heap *h, be_ref ref, be_watch *watch)
{
    (void)h, (void)ref, (void)watch;
}

bool be_watch_over(be_heap *h, be_watch *watch)
{
    (void)h, (void)watch;
    return true;
}

uint64_t be_epoch(void)
{
    return 0;
}

void be_collect(be_heap *h)
{
    (void)h;
}

int be_account(be_heap *h, struct be_account *account)
{
    (void)h, (void)account;
    return 0;
}

bool be_world(be_heap *h, struct be_world *world)
{
    (void)h, (void)world;
    return false;
}
