/* gc/inspect_snapshot.c: the graph in the format of V8's heap snapshots, as heap-snapshot-generator.cc writes it and the memory panel
 * of Chrome's developer tools reads it. The panel's reader goes by the order of the members: nodes, edges, the empty ones, strings.
 *
 * Node 0 is the root, node 1 "(GC roots)", node 2 "(not held)" under it, which has all garbage; the objects follow. What is held
 * hangs on the root itself, where the panel counts distances from. What garbage refers to that is no garbage it does not keep: such
 * an edge is weak, and the panel's retained sizes are those of mid_inspect_retained. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gc/inspect.h"
#include "gc/writer.h"

enum { FIELDS = 7, SYNTHETIC = 9, OBJECT = 3, ELEMENT = 1, PROPERTY = 2, WEAK = 6, EXTRA_NODES = 3, EXTRA_STRINGS = 4 };

static const char meta[] =
    "{\"snapshot\":{\"meta\":{"
    "\"node_fields\":[\"type\",\"name\",\"id\",\"self_size\",\"edge_count\",\"trace_node_id\",\"detachedness\"],"
    "\"node_types\":[[\"hidden\",\"array\",\"string\",\"object\",\"code\",\"closure\",\"regexp\",\"number\",\"native\",\"synthetic\","
    "\"concatenated string\",\"sliced string\",\"symbol\",\"bigint\"],\"string\",\"number\",\"number\",\"number\",\"number\",\"number\"],"
    "\"edge_fields\":[\"type\",\"name_or_index\",\"to_node\"],"
    "\"edge_types\":[[\"context\",\"element\",\"property\",\"internal\",\"hidden\",\"shortcut\",\"weak\"],\"string_or_number\",\"node\"],"
    "\"trace_function_info_fields\":[\"function_id\",\"name\",\"script_name\",\"script_id\",\"line\",\"column\"],"
    "\"trace_node_fields\":[\"id\",\"function_info_index\",\"count\",\"size\",\"children\"],"
    "\"sample_fields\":[\"timestamp_us\",\"last_assigned_id\"],"
    "\"location_fields\":[\"object_index\",\"script_id\",\"line\",\"column\"]},";

static char *decimal(char *end, uint64_t number)
{
    do
        *--end = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    return end;
}

/* A line of an array of numbers; only before the first there is no comma. */
static void put_row(mid_writer *w, bool first, const uint64_t *numbers, unsigned count)
{
    char line[FIELDS * 21 + 1], *end = line + sizeof line, *at = end;
    *--at = '\n';
    for (unsigned i = count; i-- != 0;) {
        at = decimal(at, numbers[i]);
        if (i != 0 || !first)
            *--at = ',';
    }
    mid_put(w, at, (size_t)(end - at));
}

static void put_node(mid_writer *w, unsigned type, uint64_t name, uint64_t id, uint64_t size, uint64_t edges)
{
    put_row(w, type == SYNTHETIC && id == 1, (const uint64_t[]){type, name, id, size, edges, 0, 0}, FIELDS);
}

static void put_edge(mid_writer *w, bool first, unsigned type, uint64_t name, uint64_t to)
{
    put_row(w, first, (const uint64_t[]){type, name, to * FIELDS}, 3);
}

static bool is_garbage(const mid_graph *g, uint32_t n)
{
    return ((const uint32_t *)g->parents.data)[n] == 0;
}

static void put_nodes(mid_writer *w, const mid_graph *g, uint64_t held, uint64_t garbage)
{
    put_node(w, SYNTHETIC, 0, 1, 0, 1 + held);
    put_node(w, SYNTHETIC, 1, 3, 0, 1);
    put_node(w, SYNTHETIC, 2, 5, 0, garbage);
    for (uint32_t n = 1; n <= g->node_count; n++) {
        const mid_node *node = mid_node_at(g, n);
        put_node(w, OBJECT, EXTRA_STRINGS + node->type - 1, node->handle, node->bytes, node[1].first - node->first);
    }
}

/* A field of its own goes by its name; elements, items, and slots that no field names by the number of the slot. */
static void put_reference(mid_writer *w, const mid_graph *g, mid_type type, const mid_edge *edge)
{
    const mid_type_info *info = mid_type_at(g->heap, type);
    uint64_t element, to = edge->to + EXTRA_NODES - 1ull;
    const mid_field *field = mid_field_of_slot(info, edge->slot, &element);
    if (field == NULL || field->count > 1 || mid_field_is_items(info, field))
        put_edge(w, false, ELEMENT, edge->slot, to);
    else
        put_edge(w, false, PROPERTY, EXTRA_STRINGS + g->type_count + (uint64_t)info->fields_before + (uint64_t)(field - mid_fields_of(info)), to);
}

static void put_references(mid_writer *w, const mid_graph *g)
{
    for (uint32_t n = 1; n <= g->node_count; n++)
        for (uint32_t e = mid_node_at(g, n)->first; e < mid_node_at(g, n + 1)->first; e++) {
            const mid_edge *edge = mid_edge_at(g, e);
            if (is_garbage(g, n) && !is_garbage(g, edge->to))
                put_edge(w, false, WEAK, 3, edge->to + EXTRA_NODES - 1ull);
            else
                put_reference(w, g, mid_node_at(g, n)->type, edge);
        }
}

static void put_edges(mid_writer *w, const mid_graph *g)
{
    uint64_t index = 1;
    put_edge(w, true, ELEMENT, index++, 1);
    for (uint32_t n = 1; n <= g->node_count; n++)
        if (mid_node_held(mid_node_at(g, n)))
            put_edge(w, false, ELEMENT, index++, n + EXTRA_NODES - 1ull);
    put_edge(w, false, ELEMENT, 1, 2);
    index = 1;
    for (uint32_t n = 1; n <= g->node_count; n++)
        if (is_garbage(g, n))
            put_edge(w, false, ELEMENT, index++, n + EXTRA_NODES - 1ull);
    put_references(w, g);
}

/* A type's name is what the program gave, cut to 63 bytes: it may be anything. */
static void put_string(mid_writer *w, const char *text)
{
    char escape[8];
    mid_put_text(w, ",\n\"");
    for (const unsigned char *s = (const unsigned char *)text; *s != 0;) {
        unsigned length = mid_utf8(s, SIZE_MAX);
        if (length == 0)
            mid_put_text(w, "\\ufffd");
        else if (*s < 0x20 || *s == '"' || *s == '\\') {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*s);
            mid_put_text(w, escape);
        } else
            mid_put(w, (const char *)s, length);
        s += length == 0 ? 1 : length;
    }
    mid_put_text(w, "\"");
}

static void put_all(mid_writer *w, const void *graph)
{
    const mid_graph *g = graph;
    uint64_t held = 0, garbage = 0;
    char counts[160];
    for (uint32_t n = 1; n <= g->node_count; n++) {
        held += mid_node_held(mid_node_at(g, n));
        garbage += is_garbage(g, n);
    }
    mid_put_text(w, meta);
    snprintf(counts, sizeof counts, "\"node_count\":%llu,\"edge_count\":%llu,\"trace_function_count\":0},\n\"nodes\":[",
             g->node_count + (unsigned long long)EXTRA_NODES, g->edge_count + 2 + (unsigned long long)(held + garbage));
    mid_put_text(w, counts);
    put_nodes(w, g, held, garbage);
    mid_put_text(w, "],\n\"edges\":[");
    put_edges(w, g);
    mid_put_text(w, "],\n\"trace_function_infos\":[],\n\"trace_tree\":[],\n\"samples\":[],\n\"locations\":[],\n\"strings\":[\"\",\n\"(GC roots)\",\n\"(not held)\",\n\"(garbage)\"");
    for (mid_type type = 1; type <= g->type_count; type++)
        put_string(w, mid_type_at(g->heap, type)->name);
    for (mid_type type = 1; type <= g->type_count; type++)
        for (uint32_t i = 0; i < mid_type_at(g->heap, type)->field_count; i++)
            put_string(w, mid_fields_of(mid_type_at(g->heap, type))[i].name);
    mid_put_text(w, "]}\n");
}

/* With what is not whole nobody is served. A device, or a pipe, is not ours to remove. */
static void remove_file(int fd, const char *path)
{
    struct stat file, there;
    if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && lstat(path, &there) == 0 && there.st_ino == file.st_ino &&
        there.st_dev == file.st_dev)
        unlink(path);
}

static int write_file(const mid_graph *g, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600); /* a pipe is not waited for */
    if (fd < 0)
        return errno;
    int error = mid_write_quietly(fd, put_all, g);
    if (error != 0)
        remove_file(fd, path);
    return close(fd) != 0 && error == 0 ? errno : error;
}

/* To the file, or to the descriptor if there is none. */
static mid_status write_heap(mid_thread *thread, const char *path, int fd)
{
    mid_graph g;
    int error = 0;
    mid_status status = mid_graph_take(&g, thread, NULL);
    if (status != MID_OK)
        return status;
    status = mid_graph_reach(&g, 0);
    if (status == MID_OK)
        error = path != NULL ? write_file(&g, path) : mid_write_quietly(fd, put_all, &g);
    mid_graph_resume(&g, thread);
    mid_graph_done(&g);
    if (error == 0)
        return status;
    errno = error;
    return MID_ESYSTEM;
}

mid_status mid_inspect_snapshot(mid_thread *thread, const char *path)
{
    return path == NULL ? MID_ENULL : *path == '\0' ? MID_EINVAL : write_heap(thread, path, -1);
}

mid_status mid_inspect_snapshot_fd(mid_thread *thread, int fd)
{
    return fd < 0 ? MID_EINVAL : write_heap(thread, NULL, fd);
}
