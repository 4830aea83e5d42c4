/* Random graphs: ways, dominators and retained bytes against what taking each object away and marking says; and the snapshot of the
 * same graphs, read by a program that shares nothing with the one that wrote it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "unit.h"

enum { NODES = 24, ITEMS = 5 };

struct model {
    struct unit u;
    uint64_t seed;
    int count;
    mid_handle object[NODES];
    int to[NODES][ITEMS]; /* -1: nothing */
    int held[NODES], live[NODES], seen[NODES];
    uint64_t bytes[NODES];
    int told;
};

static uint64_t pick(struct model *m, uint64_t n)
{
    return unit_random(&m->seed) % n;
}

/* What nothing refers to dies, and so on; cycles stay. */
static void let_die(struct model *m)
{
    for (int died = 1; died;) {
        died = 0;
        for (int n = 0; n < m->count; n++) {
            int referred = m->held[n];
            for (int from = 0; from < m->count; from++)
                for (int i = 0; i < ITEMS; i++)
                    referred |= m->live[from] && m->to[from][i] == n;
            died |= m->live[n] && !referred;
            m->live[n] &= referred;
        }
    }
}

static void make_graph(struct model *m)
{
    struct unit *u = &m->u;
    m->count = 1 + (int)pick(m, NODES);
    const uint64_t density = 1 + pick(m, 6), held = 1 + pick(m, 8);
    for (int n = 0; n < m->count; n++) {
        size_t items = ITEMS + pick(m, 40);
        m->object[n] = unit_array(u, u->vec, items);
        m->bytes[n] = sizeof(struct vec) + items * 4;
        m->live[n] = 1;
        m->held[n] = pick(m, held) == 0;
    }
    for (int n = 0; n < m->count; n++)
        for (int i = 0; i < ITEMS; i++) {
            m->to[n][i] = pick(m, 6) < density && i < 3 ? (int)pick(m, (uint64_t)m->count) : -1;
            if (m->to[n][i] >= 0)
                mid_store(u->thread, m->object[n], ITEM(i), m->object[m->to[n][i]]);
        }
    for (int n = 0; n < m->count; n++)
        if (!m->held[n])
            mid_release(u->thread, m->object[n]);
    unit_drain(u);
    let_die(m);
}

static void drop_graph(struct model *m)
{
    for (int n = 0; n < m->count; n++)
        if (m->held[n])
            mid_release(m->u.thread, m->object[n]);
    unit_drain(&m->u);
    ok(mid_collect(m->u.thread, NULL));
    assert_int_equal(unit_live(&m->u), 0);
}

/* seen[n]: 1 + references on the way from outside to it, 0: not reached, if `without` were not there. */
static void mark(struct model *m, int without)
{
    for (int n = 0; n < m->count; n++)
        m->seen[n] = m->live[n] && m->held[n] && n != without;
    for (int far = 1; far <= m->count; far++)
        for (int n = 0; n < m->count; n++)
            for (int i = 0; i < ITEMS && m->seen[n] == far; i++) {
                int to = m->to[n][i];
                if (to >= 0 && to != without && m->seen[to] == 0)
                    m->seen[to] = far + 1;
            }
}

static int find(const struct model *m, mid_handle object)
{
    for (int n = 0; n < m->count; n++)
        if (m->live[n] && m->object[n] == object)
            return n;
    fail_msg("handle %u is no live object", object);
    return -1;
}

/* The dominator that has most dominators itself. */
static mid_handle nearest(struct model *m, int of)
{
    int above[NODES][NODES] = {{0}}, best = -1, most = -1;
    for (int d = 0; d < m->count; d++) {
        mark(m, d);
        for (int n = 0; n < m->count; n++)
            above[n][d] = n != d && m->seen[n] == 0;
    }
    mark(m, -1);
    for (int d = 0; d < m->count; d++) {
        int height = 0;
        for (int e = 0; e < m->count; e++)
            height += above[d][e] && m->seen[e] != 0;
        if (above[of][d] && m->seen[d] != 0 && height > most) {
            most = height;
            best = d;
        }
    }
    return best < 0 ? 0 : m->object[best];
}

static int check_one(void *context, const mid_retention *r)
{
    struct model *m = context;
    int n = find(m, r->object), whole[NODES];
    uint64_t retained = 0;
    mark(m, -1);
    memcpy(whole, m->seen, sizeof whole);
    mark(m, n);
    for (int other = 0; other < m->count; other++)
        retained += whole[other] && !m->seen[other] ? m->bytes[other] : 0;
    assert_int_equal(r->bytes, m->bytes[n]);
    assert_int_equal(r->held, m->held[n]);
    assert_int_equal(r->retained, retained);
    assert_int_equal(r->dominator, whole[n] ? nearest(m, n) : 0);
    m->told++;
    return 0;
}

static int live_count(const struct model *m)
{
    int live = 0;
    for (int n = 0; n < m->count; n++)
        live += m->live[n];
    return live;
}

static void check_ways(struct model *m)
{
    mid_reference path[NODES];
    for (int n = 0; n < m->count; n++) {
        size_t length = 0;
        if (!m->live[n])
            continue;
        mark(m, -1);
        mid_status status = mid_inspect_why(m->u.thread, m->object[n], path, NODES, &length);
        expect(m->seen[n] ? MID_OK : MID_EUNHELD, status);
        if (status != MID_OK)
            continue;
        assert_int_equal(length, m->seen[n] - 1);
        for (size_t i = 0; i < length; i++) {
            assert_int_equal(mid_peek(m->u.thread, path[i].holder, path[i].slot), path[i].target);
            assert_true(i == 0 ? m->held[find(m, path[i].holder)] : path[i].holder == path[i - 1].target);
        }
        assert_true(length == 0 ? m->held[n] : path[length - 1].target == m->object[n]);
    }
}

TEST(random_graphs_agree_with_brute_force)
{
    struct model m = {.seed = 11};
    int garbage = 0, shared = 0;
    unit_open(&m.u, "");
    const size_t rounds = unit_scale(1500);
    for (size_t round = 0; round < rounds; round++) {
        make_graph(&m);
        m.told = 0;
        ok(mid_inspect_retained(m.u.thread, check_one, &m));
        assert_int_equal(m.told, live_count(&m));
        check_ways(&m);
        mark(&m, -1);
        for (int n = 0; n < m.count; n++) {
            garbage += m.live[n] && !m.seen[n];
            shared += m.live[n] && m.seen[n] > 3;
        }
        drop_graph(&m);
    }
    assert_true(garbage > (int)rounds / 30 && shared > (int)rounds / 30); /* the graphs have what there is to tell */
    unit_close(&m.u);
}

/* --- snapshots ------------------------------------------------------------------------------------------------------- */

static char path[64];

static void path_new(void)
{
    snprintf(path, sizeof path, "%s/midden-XXXXXX", P_tmpdir);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

struct line {
    unsigned id;
    char name[256];
    unsigned long long self, retained;
};

/* What snapshot.py says of the file; how many objects there are. */
static int read_back(struct line *lines, int most, unsigned long long *edges, unsigned long long *bytes)
{
    char command[200];
    unsigned long long nodes = 0;
    int count = 0;
    struct line one;
    snprintf(command, sizeof command, "python3 tests/unit/snapshot.py %s", path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    int got = fscanf(pipe, "nodes %llu edges %llu bytes %llu", &nodes, edges, bytes);
    while (fscanf(pipe, "%u %255s %llu %llu", &one.id, one.name, &one.self, &one.retained) == 4) {
        if (count < most)
            lines[count] = one;
        count++;
    }
    assert_int_equal(pclose(pipe), 0); /* the snapshot is valid */
    assert_int_equal(got, 3);
    assert_int_equal(nodes, (unsigned)count + 3);
    return count;
}

struct compared {
    const struct line *lines;
    int count, at;
};

static int compare_one(void *context, const mid_retention *r)
{
    struct compared *c = context;
    assert_true(c->at < c->count);
    const struct line *line = &c->lines[c->at++];
    assert_int_equal(line->id, r->object);
    assert_int_equal(line->self, r->bytes);
    if (r->retained != 0)
        assert_int_equal(line->retained, r->retained);
    return 0;
}

TEST(snapshots_of_random_graphs_are_valid)
{
    struct model m = {.seed = 5};
    unit_open(&m.u, "");
    path_new();
    for (size_t round = 0; round < unit_scale(25); round++) {
        struct line lines[NODES];
        unsigned long long edges, bytes;
        make_graph(&m);
        ok(mid_inspect_snapshot(m.u.thread, path));
        struct compared c = {lines, read_back(lines, NODES, &edges, &bytes), 0};
        assert_int_equal(c.count, live_count(&m));
        ok(mid_inspect_retained(m.u.thread, compare_one, &c));
        assert_int_equal(c.at, c.count);
        drop_graph(&m);
    }
    unlink(path);
    unit_close(&m.u);
}

/* A cache that only grows: who looks at the snapshot sees what keeps how much. */
TEST(a_known_leak_is_seen)
{
    struct unit u;
    struct line lines[300];
    unsigned long long edges, bytes;
    unit_open(&u, "");
    mid_type cache_type = unit_type(u.heap, (mid_type_desc){.name = "session \"cache\"\\\n\xff\xc3\xa9\xed\xa0\x80", .size = sizeof(struct vec), .item_size = 4,
                                                            .length_offset = offsetof(struct vec, length), .items_are_refs = 1});
    mid_handle root = unit_new(&u, u.node), cache = unit_array(&u, cache_type, 100);
    for (unsigned i = 0; i < 100; i++) {
        mid_handle session = unit_new(&u, u.node);
        mid_give(u.thread, session, LEFT, unit_array(&u, u.bytes, 1000));
        mid_give(u.thread, cache, ITEM(i), session);
    }
    mid_give(u.thread, root, LEFT, cache);
    path_new();
    ok(mid_inspect_snapshot(u.thread, path));
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(read_back(lines, 300, &edges, &bytes), 202);
    assert_int_equal(edges, 1 + 100 + 100 + 1 + 2);
    const uint64_t leak = sizeof(struct vec) + 400 + 100 * (sizeof(struct node) + sizeof(struct bytes) + 1000);
    assert_int_equal(bytes, leak + sizeof(struct node));
    int found = 0;
    for (int i = 0; i < 202; i++)
        if (lines[i].id == cache) {
            assert_string_equal(lines[i].name, "session_\"cache\"\\\\\\n\\ufffd\\xe9\\ufffd\\ufffd\\ufffd");
            assert_int_equal(lines[i].retained, leak);
            found++;
        }
    assert_int_equal(found, 1);
    unlink(path);
    ok(mid_inspect_snapshot(u.thread, path)); /* a new file is for its owner alone */
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    unlink(path);
    mid_release(u.thread, root);
    unit_drain(&u);
    unit_close(&u);
}

TEST(an_empty_heap_and_a_descriptor)
{
    struct unit u;
    struct line line;
    unsigned long long edges, bytes;
    unit_open(&u, "");
    path_new();
    int fd = open(path, O_WRONLY | O_TRUNC);
    ok(mid_inspect_snapshot_fd(u.thread, fd));
    assert_int_equal(read_back(&line, 1, &edges, &bytes), 0);
    assert_true(edges == 2 && bytes == 0);
    assert_int_equal(write(fd, "\n", 1), 1); /* it is open still */
    close(fd);
    unlink(path);
    unit_close(&u);
}

static void refused(int error, mid_status status)
{
    assert_int_equal(errno, error);
    expect(MID_ESYSTEM, status);
}

TEST(what_cannot_be_written)
{
    struct unit u;
    struct stat file;
    int ends[2];
    unit_open(&u, "");
    mid_handle ring = unit_ring(&u, u.node, 20000); /* more than a pipe holds */
    mid_status status;
    expect(MID_ENULL, mid_inspect_snapshot(u.thread, NULL));
    expect(MID_EINVAL, mid_inspect_snapshot(u.thread, ""));
    expect(MID_EINVAL, mid_inspect_snapshot_fd(u.thread, -1));
    status = mid_inspect_snapshot(u.thread, "/nowhere/at/all");
    refused(ENOENT, status);
    status = mid_inspect_snapshot(u.thread, "/");
    refused(EISDIR, status);
    status = mid_inspect_snapshot(u.thread, "/dev/full");
    refused(ENOSPC, status);
    assert_int_equal(stat("/dev/full", &file), 0); /* a device is not removed */
    status = mid_inspect_snapshot_fd(u.thread, 9999);
    refused(EBADF, status);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    status = mid_inspect_snapshot_fd(u.thread, ends[1]);
    refused(EAGAIN, status);
    close(ends[0]);
    status = mid_inspect_snapshot_fd(u.thread, ends[1]); /* SIGPIPE would end the test */
    refused(EPIPE, status);
    close(ends[1]);
    sigset_t pending;
    sigpending(&pending);
    assert_int_equal(sigismember(&pending, SIGPIPE), 0);
    path_new();
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    status = mid_inspect_snapshot(u.thread, path); /* nobody reads: not waited for */
    refused(ENXIO, status);
    unlink(path);
    mid_release(u.thread, ring);
    ok(mid_collect(u.thread, NULL));
    unit_close(&u);
}

/* A file may be as long as 100,000 bytes: what is not whole does not stay. */
TEST(half_a_file_is_removed)
{
    struct unit u;
    struct rlimit before, less = {100000, 100000};
    unit_open(&u, "");
    mid_handle ring = unit_ring(&u, u.node, 20000);
    path_new();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    less.rlim_max = before.rlim_max;
    void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
    mid_status status = mid_inspect_snapshot(u.thread, path);
    int error = errno;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, old);
    expect(MID_ESYSTEM, status);
    assert_int_equal(error, EFBIG);
    assert_int_equal(access(path, F_OK), -1);
    ok(mid_inspect_snapshot(u.thread, path));
    unlink(path);
    mid_release(u.thread, ring);
    ok(mid_collect(u.thread, NULL));
    unit_close(&u);
}

struct ends {
    mid_handle first, tail;
    uint64_t retained, retained_tail;
};

static int look_at_ends(void *context, const mid_retention *r)
{
    struct ends *ends = context;
    if (r->object == ends->first)
        ends->retained = r->retained;
    if (r->object == ends->tail)
        ends->retained_tail = r->retained;
    return 0;
}

/* A long list, and behind it nodes that both its ends refer to: nothing recurs, and the time does not grow with the square. */
TEST(long_lists_with_shared_ends)
{
    struct unit u;
    const size_t length = unit_scale(200000);
    size_t way = 0;
    unit_open(&u, "");
    mid_handle tail = unit_array(&u, u.vec, length), head = mid_retain(u.thread, tail), first = unit_array(&u, u.vec, length + 1);
    for (unsigned i = 0; i < length; i++) {
        mid_handle leaf = unit_new(&u, u.node), made = unit_new(&u, u.node);
        mid_store(u.thread, tail, ITEM(i), leaf);
        mid_give(u.thread, first, ITEM(i), leaf);
        mid_give(u.thread, made, LEFT, head);
        head = made;
    }
    mid_give(u.thread, first, ITEM(length), head);
    mid_release(u.thread, tail);
    ok(mid_inspect_why(u.thread, tail, NULL, 0, &way));
    assert_int_equal(way, length + 1);
    struct ends ends = {first, tail, 0, 0};
    ok(mid_inspect_retained(u.thread, look_at_ends, &ends));
    assert_int_equal(ends.retained, 2 * sizeof(struct vec) + (2 * length + 1) * 4 + 2 * length * sizeof(struct node));
    assert_int_equal(ends.retained_tail, sizeof(struct vec) + length * 4); /* the leaves go only if both do */
    mid_release(u.thread, first);
    unit_drain(&u);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs_agree_with_brute_force),
        cmocka_unit_test(snapshots_of_random_graphs_are_valid),
        cmocka_unit_test(a_known_leak_is_seen),
        cmocka_unit_test(an_empty_heap_and_a_descriptor),
        cmocka_unit_test(what_cannot_be_written),
        cmocka_unit_test(half_a_file_is_removed),
        cmocka_unit_test(long_lists_with_shared_ends),
    };
    return UNIT_RUN(tests);
}
