/* Objects and graphs as text and for Graphviz: what is shown, marks, limits, and what is refused. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

#include "fault_os.h"
#include "peer.h"

#define PART(FIELD)                \
    FIELD(REF, left)               \
    FIELD(REF, right)              \
    FIELD(VALUE, int64_t, number)  \
    FIELD(ARRAY, char, name, 8)    \
    FIELD(VALUE, double, weight)   \
    FIELD(ARRAY, unsigned short, few, 3)
MID_DECLARE(part, PART);
#define LIST(FIELD)        \
    FIELD(REF, owner)      \
    FIELD(LENGTH, length)  \
    FIELD(REF_ITEMS, parts)
MID_DECLARE(list, LIST);
#define WORDS(FIELD)       \
    FIELD(LENGTH, length)  \
    FIELD(ITEMS, char, bytes)
MID_DECLARE(words, WORDS);

struct scene {
    struct unit u;
    mid_type part, list, words;
    char text[1 << 20];
};

static void scene_open(struct scene *s)
{
    unit_open(&s->u, "");
    ok(part_register(s->u.heap, &s->part));
    ok(list_register(s->u.heap, &s->list));
    ok(words_register(s->u.heap, &s->words));
}

static mid_handle part(struct scene *s, int64_t number, const char *name)
{
    mid_handle made = unit_new(&s->u, s->part);
    struct part *at = MID_GET(s->u.thread, struct part, made);
    at->number = number;
    memcpy(at->name, name, strnlen(name, sizeof at->name));
    return made;
}

static mid_handle words(struct scene *s, const char *text, size_t length)
{
    mid_handle made = unit_array(&s->u, s->words, length);
    memcpy(MID_GET(s->u.thread, struct words, made)->bytes, text, length);
    return made;
}

/* What a dump writes, into s->text. Object 0: a graph. */
static mid_status taken(struct scene *s, mid_handle object, const mid_dump_options *options)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    mid_status status = object != 0 ? mid_dump_object(s->u.thread, object, fileno(file)) : mid_dump_graph(s->u.thread, options, fileno(file));
    rewind(file);
    size_t length = fread(s->text, 1, sizeof s->text - 1, file);
    assert_true(length < sizeof s->text - 1);
    s->text[length] = '\0';
    fclose(file);
    return status;
}

static mid_dump_options from(mid_dump_format format, const mid_handle *roots, size_t count)
{
    return (mid_dump_options){.struct_size = sizeof(mid_dump_options), .format = format, .roots = roots, .root_count = count};
}

/* With a handle's number for each # in `want`, and the rest as it is. */
static void shows(struct scene *s, const char *want, const mid_handle *handles)
{
    char line[4096], *at = line;
    for (const char *w = want; *w != '\0'; w++)
        if (*w == '#')
            at += sprintf(at, "%u", *handles++);
        else
            *at++ = *w;
    *at = '\0';
    if (strstr(s->text, line) == NULL)
        fail_msg("missing:\n%s\nin:\n%s", line, s->text);
}

static size_t occurs(const struct scene *s, const char *what)
{
    size_t n = 0;
    for (const char *at = s->text; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

TEST(an_object_is_shown_with_its_fields)
{
    struct scene s;
    scene_open(&s);
    mid_thread *t = s.u.thread;
    mid_handle a = part(&s, -5, "ab\"\n\\"), b = part(&s, 1, "b");
    struct part *at = MID_GET(t, struct part, a);
    at->weight = 2.5;
    at->few[1] = 65535;
    MID_GIVE(t, a, struct part, left, mid_from_int(-3));
    MID_STORE(t, a, struct part, right, b);
    ok(taken(&s, a, NULL));
    char where[64];
    snprintf(where, sizeof where, "\n  at %p, owner: thread 1\n", (void *)at);
    shows(&s, "# part: 40 bytes, count 1\n", &a);
    shows(&s, where, NULL);
    shows(&s, "  number = -5\n  name = \"ab\"\\x0a\\\\\"\n  weight = 2.5\n  few = {0, 65535, 0}\n  left = -3\n  right -> # part\n", &b);
    assert_int_equal(occurs(&s, "number"), 1); /* b is named only */
    ok(mid_pin(t, b, NULL));
    mid_weak weak;
    ok(mid_weak_new(t, b, &weak));
    ok(taken(&s, b, NULL));
    shows(&s, "count 2, pinned, weakly known\n", NULL);
    ok(mid_unpin(t, b));
    ok(mid_weak_drop(t, weak));
    MID_STORE(t, b, struct part, left, b);
    ok(taken(&s, b, NULL));
    shows(&s, "  left -> # part (itself)\n  right = empty\n", &b);
    ok(mid_immortalize(t, b));
    ok(taken(&s, b, NULL));
    shows(&s, "# part: 40 bytes, immortal", &b);
    shows(&s, "no owner", NULL);
    /* What has no description shows its references, by number. */
    mid_handle node = unit_new(&s.u, s.u.node), vec = unit_array(&s.u, s.u.vec, 2);
    mid_store(t, node, RIGHT, a);
    mid_store(t, vec, ITEM(1), node);
    ok(taken(&s, node, NULL));
    shows(&s, "  slot 0 = empty\n  slot 1 -> # part\n", &a);
    ok(taken(&s, vec, NULL));
    shows(&s, "# vec: 16 bytes, 2 items, count 1\n", &vec);
    shows(&s, "  [0] = empty\n  [1] -> # node\n", &node);
    unit_destroy(&s.u);
}

TEST(text_and_items_are_cut_where_the_limits_say)
{
    struct scene s;
    scene_open(&s);
    mid_thread *t = s.u.thread;
    mid_handle w = words(&s, "gr\303\274ne \303\204pfel", 13), list = unit_array(&s.u, s.list, 100);
    for (unsigned i = 0; i < 100; i++)
        MID_GIVE_ITEM(t, list, struct list, parts, i, mid_from_int((int)i));
    mid_dump_options options = from(MID_DUMP_TEXT, &w, 1);
    ok(taken(&s, 0, &options));
    shows(&s, "  length = 13\n  bytes = \"gr\303\274ne \303\204pfel\"\n", NULL);
    options.text_most = 3; /* in the middle of a character */
    ok(taken(&s, 0, &options));
    shows(&s, "  bytes = \"gr\" ... 11 more\n", NULL);
    memset(MID_GET(t, struct words, w)->bytes, 0xFF, 2);
    ok(taken(&s, w, NULL));
    shows(&s, "  bytes = \"\\xff\\xff\303\274ne", NULL);
    options = from(MID_DUMP_TEXT, &list, 1);
    options.items_most = 3;
    ok(taken(&s, 0, &options));
    shows(&s, "  owner = empty\n  parts[0] = 0\n  parts[1] = 1\n  parts[2] = 2\n  ... 97 more\n", NULL);
    ok(taken(&s, list, NULL));
    assert_int_equal(occurs(&s, "parts["), 16);
    shows(&s, "  ... 84 more\n", NULL);
    unit_destroy(&s.u);
}

/* a -> b -> c -> a, a -> c, c -> itself */
static void ring(struct scene *s, mid_handle h[3])
{
    mid_thread *t = s->u.thread;
    for (int i = 0; i < 3; i++)
        h[i] = part(s, i, "p");
    for (int i = 0; i < 3; i++)
        MID_STORE(t, h[i], struct part, left, h[(i + 1) % 3]);
    MID_STORE(t, h[0], struct part, right, h[2]);
    MID_STORE(t, h[2], struct part, right, h[2]);
    mid_release(t, h[1]);
    mid_release(t, h[2]);
}

TEST(text_marks_cycles_and_what_stands_above)
{
    struct scene s;
    scene_open(&s);
    mid_handle h[3];
    ring(&s, h);
    mid_dump_options options = from(MID_DUMP_TEXT, h, 1);
    ok(taken(&s, 0, &options));
    const mid_handle order[] = {h[0], h[1], h[2], h[0], h[2], h[2]};
    shows(&s, "# part: 40 bytes, count 2\n", order);
    shows(&s, "\n  left -> # part: 40 bytes, count 1\n    number = 1\n", order + 1);
    shows(&s, "\n    left -> # part: 40 bytes, count 3\n      number = 2\n", order + 2);
    shows(&s, "\n      left -> # part (cycle)\n      right -> # part (cycle)\n", order + 3);
    shows(&s, "    right = empty\n  right -> # part (above)\n", order + 5);
    assert_int_equal(occurs(&s, "number"), 3);
    const mid_handle twice[] = {h[0], 0, mid_from_int(3), h[1]};
    options = from(MID_DUMP_TEXT, twice, 4);
    ok(taken(&s, 0, &options));
    shows(&s, "\n# part (above)\n", &h[1]);
    mid_release(s.u.thread, h[0]);
    ok(mid_collect(s.u.thread, NULL));
    unit_close_empty(&s.u);
}

TEST(the_whole_heap_says_what_is_held_and_what_is_garbage)
{
    struct scene s;
    scene_open(&s);
    mid_handle h[3], a = part(&s, 77, "held"), b = part(&s, 78, "below");
    ring(&s, h);
    mid_release(s.u.thread, h[0]);
    MID_GIVE(s.u.thread, a, struct part, left, b);
    mid_retain(s.u.thread, a);
    ok(taken(&s, 0, NULL));
    shows(&s, "# part: 40 bytes, count 2, held by 2\n", &a);
    shows(&s, "  left -> # part: 40 bytes, count 1\n", &b);
    shows(&s, "# part: 40 bytes, count 1, garbage\n", &h[0]);
    assert_int_equal(occurs(&s, "number"), 5);
    assert_int_equal(occurs(&s, "garbage"), 3);
    assert_true(strstr(s.text, "held by") < strstr(s.text, "garbage"));
    mid_dump_options options = from(MID_DUMP_DOT, NULL, 0);
    ok(taken(&s, 0, &options));
    assert_int_equal(occurs(&s, "style=dashed"), 3);
    assert_int_equal(occurs(&s, "style=bold"), 1);
    assert_int_equal(occurs(&s, " -> "), 6);
    options.objects_most = 2;
    ok(taken(&s, 0, &options));
    assert_int_equal(occurs(&s, "shape=box") + occurs(&s, "number"), 3);
    shows(&s, "// the limit of 2 objects was reached\n", NULL);
    unit_destroy(&s.u);
}

TEST(dot_has_a_box_for_each_object_and_an_arrow_for_each_reference)
{
    struct scene s;
    scene_open(&s);
    mid_handle h[3], twice[20];
    ring(&s, h);
    strcpy(MID_GET(s.u.thread, struct part, h[1])->name, "q\"\\\t");
    mid_dump_options options = from(MID_DUMP_DOT, h, 1);
    ok(taken(&s, 0, &options));
    assert_int_equal(strncmp(s.text, "digraph midden {\n", 17), 0);
    assert_string_equal(s.text + strlen(s.text) - 3, "\n}\n");
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 20; k++)
            twice[k] = h[i];
        shows(&s, "  h# [label=\"# part: 40 bytes, count ", twice);
    }
    const mid_handle arrows[] = {h[0], h[1], h[0], h[2]};
    shows(&s, "  h# -> h# [label=\"left\"];\n", arrows);
    shows(&s, "  h# -> h# [label=\"right\"];\n", arrows + 2);
    shows(&s, "\\lname = \\\"q\\\"\\\\\\\\\\\\x09\\\"\\l", NULL);
    assert_int_equal(occurs(&s, " -> "), 5);
    options.depth_most = 1;
    options.objects_most = 1;
    ok(taken(&s, 0, &options));
    assert_int_equal(occurs(&s, "style=dotted"), 2);
    shows(&s, "  h# [label=\"# part\", style=dotted];\n", (const mid_handle[]){h[2], h[2]});
    mid_release(s.u.thread, h[0]);
    ok(mid_collect(s.u.thread, NULL));
    unit_close(&s.u);
}

/* Is it what Graphviz reads? Where that is not installed the test above has to do. */
TEST(graphviz_reads_it)
{
    struct scene s;
    if (system("command -v dot >/dev/null 2>&1") != 0) {
        print_message("skipped: Graphviz is not installed\n");
        skip();
    }
    scene_open(&s);
    mid_handle h[3];
    ring(&s, h);
    mid_type odd = unit_type(s.u.heap, (mid_type_desc){.name = "odd \"} ]; \\ \xff<b>\n", .size = 8});
    mid_handle strange = unit_new(&s.u, odd), pipe_ends = part(&s, 1, "\\l\"\\");
    FILE *dot = popen("dot -Tplain 2>&1 | cut -c1-60 | grep -E '^(edge|node|Error|Warning)' | awk '{ n[$1]++ } END { exit !(n[\"node\"] == 5 && n[\"edge\"] == 5 && !n[\"Error:\"] && !n[\"Warning:\"]) }'", "w");
    assert_non_null(dot);
    mid_dump_options options = from(MID_DUMP_DOT, NULL, 0);
    ok(mid_dump_graph(s.u.thread, &options, fileno(dot)));
    assert_int_equal(pclose(dot), 0);
    mid_release(s.u.thread, strange);
    mid_release(s.u.thread, pipe_ends);
    unit_destroy(&s.u);
}

/* A list of 200 000: no recursion, lines that do not grow without end, limits of depth and number. */
TEST(long_lists_are_cut_and_do_not_recur)
{
    static struct scene s;
    scene_open(&s);
    const size_t length = unit_scale(200000);
    mid_handle list = 0;
    for (size_t i = 0; i < length; i++) {
        mid_handle more = part(&s, (int64_t)i, "");
        MID_GIVE(s.u.thread, more, struct part, left, list);
        list = more;
    }
    mid_dump_options options = from(MID_DUMP_TEXT, &list, 1);
    ok(taken(&s, 0, &options));
    assert_int_equal(occurs(&s, "number"), 65);
    shows(&s, "(1 references led deeper than 64)\n", NULL);
    options.depth_most = UINT32_MAX;
    ok(taken(&s, 0, &options));
    assert_int_equal(occurs(&s, "number"), 1000);
    shows(&s, "(the limit of 1000 objects was reached)\n", NULL);
    shows(&s, "[999] left -> ", NULL);
    options.objects_most = UINT64_MAX;
    int null = open("/dev/null", O_WRONLY);
    ok(mid_dump_graph(s.u.thread, &options, null));
    options.format = MID_DUMP_DOT;
    ok(mid_dump_graph(s.u.thread, &options, null));
    close(null);
    options.depth_most = 3;
    ok(taken(&s, 0, &options));
    assert_int_equal(occurs(&s, "number"), 4);
    assert_int_equal(occurs(&s, "style=dotted"), 1);
    mid_release(s.u.thread, list);
    unit_drain(&s.u);
    unit_close(&s.u);
}

/* Handles are given anew; the dump is of the new ones, and says the same of the rest. */
TEST(dumps_after_deep_compaction)
{
    struct scene s;
    scene_open(&s);
    mid_thread *t = s.u.thread;
    mid_handle list = unit_array(&s.u, s.list, 12), gone[4000];
    for (int i = 0; i < 4000; i++)
        gone[i] = part(&s, i, "gone");
    for (unsigned i = 0; i < 12; i++)
        MID_GIVE_ITEM(t, list, struct list, parts, i, part(&s, i, "kept"));
    for (int i = 0; i < 4000; i++)
        mid_release(t, gone[i]);
    mid_handle before = MID_PEEK_ITEM(t, list, struct list, parts, 11);
    ok(mid_compact(t, MID_COMPACT_DEEP, 0, NULL));
    mid_handle after = MID_PEEK_ITEM(t, list, struct list, parts, 11);
    assert_int_not_equal(before, after);
    mid_dump_options options = from(MID_DUMP_TEXT, &list, 1);
    ok(taken(&s, 0, &options));
    shows(&s, "  parts[11] -> # part: 40 bytes, count 1\n    number = 11\n    name = \"kept\"\n", &after);
    expect(MID_EHANDLE, mid_dump_object(t, before, 1));
    ok(mid_compact(t, MID_COMPACT_PLAIN, 0, NULL));
    ok(taken(&s, 0, &options));
    shows(&s, "  parts[11] -> # part: 40 bytes, count 1\n    number = 11\n    name = \"kept\"\n", &after);
    mid_release(t, list);
    unit_drain(&s.u);
    unit_close(&s.u);
}

TEST(what_makes_no_sense_is_refused)
{
    struct scene s;
    scene_open(&s);
    mid_thread *t = s.u.thread;
    mid_handle a = part(&s, 1, "a"), gone = part(&s, 2, "gone");
    mid_release(t, gone);
    mid_dump_options options = from(MID_DUMP_TEXT, &gone, 1);
    expect(MID_ENULL, mid_dump_object(NULL, a, 1));
    expect(MID_ENULL, mid_dump_graph(NULL, NULL, 1));
    const mid_handle bad[] = {0, mid_from_int(3), gone, UINT32_MAX - 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect(MID_EHANDLE, mid_dump_object(t, bad[i], 1));
    expect(MID_EHANDLE, mid_dump_graph(t, &options, 1));
    options.roots = NULL;
    expect(MID_ENULL, mid_dump_graph(t, &options, 1));
    options = from((mid_dump_format)2, &a, 1);
    expect(MID_EINVAL, mid_dump_graph(t, &options, 1));
    options = from(MID_DUMP_TEXT, &a, 1);
    options.struct_size = 8;
    expect(MID_EINVAL, mid_dump_graph(t, &options, 1));
    expect(MID_EINVAL, mid_dump_object(t, a, -1));
    options = from(MID_DUMP_TEXT, &a, 1);
    expect(MID_EINVAL, mid_dump_graph(t, &options, -1));
    expect(MID_ESYSTEM, mid_dump_object(t, a, 1000000));
    assert_int_equal(errno, EBADF);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    expect(MID_ESYSTEM, mid_dump_graph(t, NULL, ends[1])); /* and no signal */
    assert_int_equal(errno, EPIPE);
    close(ends[1]);
    int full = open("/dev/full", O_WRONLY);
    expect(MID_ESYSTEM, mid_dump_object(t, a, full));
    assert_int_equal(errno, ENOSPC);
    close(full);
    ok(mid_blocked_enter(t));
    expect(MID_ETHREAD, mid_dump_object(t, a, 1));
    ok(mid_blocked_leave(t));
    mid_release(t, a);
    unit_close(&s.u);
}

static mid_status inside;
static int dump_from_callback(void *context, const mid_inspected_object *object)
{
    inside = mid_dump_object(context, object->object, 1);
    return 1;
}

static mid_status from_finalizer;
static int finalizer_fd;
static void dump_dying(mid_thread *thread, mid_handle object)
{
    from_finalizer = mid_dump_object(thread, object, finalizer_fd);
}

TEST(from_a_callback_and_from_a_finalizer)
{
    struct scene s;
    scene_open(&s);
    mid_handle a = part(&s, 1, "a");
    inside = MID_OK;
    ok(mid_inspect_objects(s.u.thread, dump_from_callback, s.u.thread));
    expect(MID_EBUSY, inside);
    FILE *file = tmpfile();
    finalizer_fd = fileno(file);
    from_finalizer = MID_EBUSY;
    mid_type dying = unit_node_type(s.u.heap, (mid_type_desc){.name = "dying", .finalize = dump_dying});
    mid_release(s.u.thread, unit_new(&s.u, dying));
    unit_drain(&s.u);
    ok(from_finalizer);
    rewind(file);
    size_t length = fread(s.text, 1, sizeof s.text - 1, file);
    s.text[length] = '\0';
    shows(&s, " dying: 16 bytes, count 1", NULL);
    fclose(file);
    mid_release(s.u.thread, a);
    unit_close(&s.u);
}

/* Slots that a trace function names, some of them beneath a field. */
struct traced {
    uint32_t used, spare;
    mid_slot first, rest[40];
};
static void trace(const void *object, mid_visitor *visitor)
{
    const struct traced *t = object;
    mid_visit(visitor, &t->first);
    for (uint32_t i = 0; i < t->used && i < 40; i++)
        mid_visit(visitor, &t->rest[i]);
}

TEST(slots_of_trace_functions_are_shown)
{
    struct scene s;
    scene_open(&s);
    static const mid_field fields[] = {{"first", offsetof(struct traced, first), 4, 1, MID_FIELD_REF}, {"used", 0, 4, 1, MID_FIELD_UINT}};
    mid_type type = unit_type(s.u.heap, (mid_type_desc){.name = "traced", .size = sizeof(struct traced), .trace = trace, .fields = fields, .field_count = 2});
    mid_handle a = unit_new(&s.u, type);
    MID_GET(s.u.thread, struct traced, a)->used = 40;
    mid_store(s.u.thread, a, MID_SLOT(struct traced, first), a);
    mid_store(s.u.thread, a, MID_SLOT(struct traced, rest) + 2, a);
    ok(taken(&s, a, NULL));
    shows(&s, "  used = 40\n  first -> # traced (itself)\n  slot 3 = empty\n  slot 4 = empty\n  slot 5 -> # traced (itself)\n", (const mid_handle[]){a, a});
    shows(&s, "  ... 24 more\n", NULL);
    mid_release(s.u.thread, a);
    ok(mid_collect(s.u.thread, NULL));
    unit_close(&s.u);
}

/* Whatever is refused, the heap is whole, nothing is written, and a second try succeeds. */
static size_t refusals(mid_dump_format format, int whole)
{
    size_t refused = 0;
    for (size_t nth = 1;; nth++) {
        struct fault_os fault;
        struct unit u;
        fault_open(&u, &fault, "");
        mid_handle root = unit_ring(&u, u.node, 3000);
        mid_dump_options dump = from(format, whole ? NULL : &root, whole ? 0 : 1);
        dump.objects_most = dump.depth_most = 100000;
        FILE *file = tmpfile();
        fault.failed = 0;
        fault.fail_at = fault.calls + nth;
        mid_status status = mid_dump_graph(u.thread, &dump, fileno(file));
        const int over = fault.failed == 0;
        fault.fail_at = 0;
        if (status != MID_OK) {
            expect(MID_ENOMEM, status);
            refused++;
            assert_int_equal(lseek(fileno(file), 0, SEEK_END), 0);
            unit_check(&u);
            ok(mid_dump_graph(u.thread, &dump, fileno(file)));
        }
        assert_true(lseek(fileno(file), 0, SEEK_END) > 100000);
        fclose(file);
        mid_release(u.thread, root);
        ok(mid_collect(u.thread, NULL));
        fault_close(&u, &fault);
        if (over)
            return refused;
    }
}

TEST(without_memory_nothing_is_written)
{
    assert_true(refusals(MID_DUMP_TEXT, 0) > 5);
    assert_true(refusals(MID_DUMP_TEXT, 1) > 8);
    assert_true(refusals(MID_DUMP_DOT, 0) > 5);
}

/* The snapshot for Chrome's developer tools goes by the same names: strings are a line each, and an edge of a field is a property. */
TEST(snapshots_name_fields)
{
    struct scene s;
    scene_open(&s);
    mid_handle a = part(&s, 1, "a"), list = unit_array(&s.u, s.list, 3);
    MID_STORE(s.u.thread, a, struct part, right, a);
    MID_STORE(s.u.thread, list, struct list, owner, a);
    MID_STORE_ITEM(s.u.thread, list, struct list, parts, 2, a);
    FILE *file = tmpfile();
    ok(mid_inspect_snapshot_fd(s.u.thread, fileno(file)));
    rewind(file);
    s.text[fread(s.text, 1, sizeof s.text - 1, file)] = '\0';
    fclose(file);
    const char *strings = strstr(s.text, "\"strings\":[");
    assert_non_null(strings);
    static const char *names[] = {"right", "owner"};
    for (int i = 0; i < 2; i++) {
        char quoted[32], edge[64];
        unsigned index = 0;
        snprintf(quoted, sizeof quoted, ",\n\"%s\"", names[i]);
        const char *at = strstr(strings, quoted);
        assert_non_null(at);
        for (const char *c = strings; c <= at + 1; c++)
            index += *c == '\n';
        snprintf(edge, sizeof edge, "\n,2,%u,", index);
        assert_int_equal(occurs(&s, edge), 1);
    }
    char item[32];
    snprintf(item, sizeof item, "\n,1,%u,", MID_ITEM_OF(struct list, parts, 2)); /* an item stays a number */
    assert_int_equal(occurs(&s, item), 1);
    MID_STORE(s.u.thread, a, struct part, right, 0);
    mid_release(s.u.thread, list);
    mid_release(s.u.thread, a);
    unit_drain(&s.u);
    unit_close(&s.u);
}

/* Two other threads change what is dumped. Each dump is of one moment: of the pair a swapper keeps in two slots each is in one. */
static void swapper(struct peer *peer)
{
    while (peer_goes_on(peer)) {
        mid_handle was = mid_take(peer->thread, peer->a, MID_SLOT(struct part, left));
        if (was == 0) {
            was = mid_take(peer->thread, peer->a, MID_SLOT(struct part, right));
            mid_give(peer->thread, peer->a, MID_SLOT(struct part, left), was);
        } else
            mid_give(peer->thread, peer->a, MID_SLOT(struct part, right), was);
        mid_safepoint(peer->thread);
    }
}

TEST(while_others_change_the_graph)
{
    struct scene s;
    scene_open(&s);
    struct peer *peers[2];
    mid_handle roots[2];
    for (int i = 0; i < 2; i++) {
        roots[i] = part(&s, i, "root");
        MID_GIVE(s.u.thread, roots[i], struct part, left, part(&s, 100 + i, "child"));
        peers[i] = peer_new(&s.u);
        peers[i]->a = roots[i];
        peer_begin(peers[i], swapper);
    }
    mid_dump_options options = from(MID_DUMP_TEXT, roots, 2);
    const size_t rounds = unit_scale(300);
    for (size_t i = 0; i < rounds; i++) {
        options.format = i % 2 == 0 ? MID_DUMP_TEXT : MID_DUMP_DOT;
        ok_in_time(taken(&s, 0, &options));
        assert_int_equal(occurs(&s, "number"), 4);
        assert_int_equal(occurs(&s, "= empty"), 6);
        ok(mid_safepoint(s.u.thread));
    }
    for (int i = 0; i < 2; i++) {
        peer_finish_polling(peers[i], s.u.thread);
        peer_end(peers[i]);
        mid_release(s.u.thread, roots[i]);
    }
    unit_drain(&s.u);
    ok(mid_collect(s.u.thread, NULL));
    unit_close_empty(&s.u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_is_shown_with_its_fields),
        cmocka_unit_test(text_and_items_are_cut_where_the_limits_say),
        cmocka_unit_test(text_marks_cycles_and_what_stands_above),
        cmocka_unit_test(the_whole_heap_says_what_is_held_and_what_is_garbage),
        cmocka_unit_test(dot_has_a_box_for_each_object_and_an_arrow_for_each_reference),
        cmocka_unit_test(graphviz_reads_it),
        cmocka_unit_test(long_lists_are_cut_and_do_not_recur),
        cmocka_unit_test(dumps_after_deep_compaction),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(from_a_callback_and_from_a_finalizer),
        cmocka_unit_test(slots_of_trace_functions_are_shown),
        cmocka_unit_test(without_memory_nothing_is_written),
        cmocka_unit_test(snapshots_name_fields),
        cmocka_unit_test(while_others_change_the_graph),
    };
    return UNIT_RUN(tests);
}
