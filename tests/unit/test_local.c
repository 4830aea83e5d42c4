/* Handles that are released at the end of a block, typed access, types declared from a table. test_local_debug.c is the same with
 * the checked calls. */
#include "unit.h"

#include "fault_os.h"

struct inner {
    int a, b;
};
enum colour { RED, GREEN };

#define NOTE(FIELD)                 \
    FIELD(REF, next)                \
    FIELD(VALUE, uint64_t, number)  \
    FIELD(REFS, tags, 3)            \
    FIELD(ARRAY, char, author, 6)   \
    FIELD(VALUE, short, small)      \
    FIELD(VALUE, float, weight)     \
    FIELD(VALUE, void *, where)     \
    FIELD(VALUE, struct inner, in)  \
    FIELD(VALUE, enum colour, tint) \
    FIELD(ARRAY, int32_t, sums, 4)
MID_DECLARE(note, NOTE);

#define TEXT(FIELD)               \
    FIELD(VALUE, uint64_t, hash)  \
    FIELD(LENGTH, length)         \
    FIELD(ITEMS, char, bytes)
MID_DECLARE(text, TEXT);

#define BOARD(FIELD)       \
    FIELD(REF, owner)      \
    FIELD(LENGTH, length)  \
    FIELD(REF_ITEMS, notes)
MID_DECLARE(board, BOARD);

#define WIDE(FIELD) FIELD(VALUE, long double, much)
MID_DECLARE(wide, WIDE);

MID_TYPED(node);

struct scene {
    struct unit u;
    mid_type note, text, board;
};

static void scene_open(struct scene *s)
{
    unit_open(&s->u, "");
    ok(note_register(s->u.heap, &s->note));
    ok(text_register(s->u.heap, &s->text));
    ok(board_register(s->u.heap, &s->board));
}

static void scene_close(struct scene *s)
{
    unit_drain(&s->u);
    unit_close_empty(&s->u);
}

/* --- locals */

static int fall_off(struct unit *u)
{
    MID_LOCAL(u->thread, a);
    assert_int_equal(a, 0);
    ok(mid_new(u->thread, u->node, &a));
    MID_LOCAL_OF(u->thread, b, unit_new(u, u->node));
    assert_int_equal(unit_live(u), 2);
    return 1;
}

static int return_from_inside(struct unit *u, int deep)
{
    MID_LOCAL_OF(u->thread, a, unit_new(u, u->node));
    {
        MID_LOCAL_OF(u->thread, b, unit_new(u, u->node));
        if (deep)
            return (int)unit_live(u);
    }
    return (int)unit_live(u);
}

TEST(a_local_is_released_however_its_block_ends)
{
    struct unit u;
    unit_open(&u, "");
    assert_int_equal(fall_off(&u), 1);
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(return_from_inside(&u, 1), 2);
    assert_int_equal(return_from_inside(&u, 0), 1);
    assert_int_equal(unit_live(&u), 0);
    for (int i = 0; i < 10; i++) {
        MID_LOCAL_OF(u.thread, a, unit_new(&u, u.node));
        assert_int_equal(unit_live(&u), 1);
        if (i == 3)
            continue;
        if (i == 7)
            break;
    }
    assert_int_equal(unit_live(&u), 0);
    int rounds = 0;
again:
    {
        MID_LOCAL_OF(u.thread, a, unit_new(&u, u.node));
        assert_int_equal(unit_live(&u), 1);
        if (++rounds < 5)
            goto again;
        if (rounds == 5)
            goto out;
        fail();
    }
out:
    assert_int_equal(rounds, 5);
    unit_close_empty(&u);
}

static mid_handle made(struct unit *u, int well)
{
    MID_LOCAL_OF(u->thread, a, unit_new(u, u->node));
    MID_LOCAL_OF(u->thread, b, unit_new(u, u->node));
    MID_GIVE(u->thread, a, struct node, left, MID_KEEP(b));
    assert_int_equal(b, 0);
    if (!well)
        return 0;
    return MID_KEEP(a);
}

TEST(what_is_kept_is_the_takers)
{
    struct unit u;
    unit_open(&u, "");
    assert_int_equal(made(&u, 0), 0);
    assert_int_equal(unit_live(&u), 0);
    mid_handle a = made(&u, 1);
    assert_int_equal(unit_live(&u), 2);
    assert_int_equal(unit_count(&u, a), 1);
    assert_int_equal(unit_count(&u, mid_peek(u.thread, a, LEFT)), 1);
    mid_release(u.thread, mid_local_take(&a));
    assert_int_equal(a, 0);
    unit_close_empty(&u);
}

TEST(a_local_that_is_reset_releases_what_it_had)
{
    struct unit u;
    unit_open(&u, "");
    {
        MID_LOCAL(u.thread, a);
        for (int i = 0; i < 5; i++) {
            MID_RESET(a, unit_new(&u, u.node));
            assert_int_equal(unit_live(&u), 1);
        }
        MID_RESET(a, mid_from_int(7)); /* an integer needs no release, and gets none that harms */
        assert_int_equal(unit_live(&u), 0);
        MID_RESET(a, 0);
        MID_RESET(a, unit_new(&u, u.node));
    }
    unit_close_empty(&u);
}

/* A local holds its object: a deep compaction keeps its handle, and what only slots hold is given another. */
TEST(locals_hold_through_deep_compaction)
{
    struct scene s;
    scene_open(&s);
    {
        mid_thread *thread = s.u.thread;
        MID_LOCAL_TYPED(thread, note, head);
        ok(note_new(thread, s.note, &head));
        for (uint64_t i = 0; i < 3000; i++) {
            note_ref next;
            ok(note_new(thread, s.note, &next));
            note_get(thread, next)->number = i;
            mid_release(thread, unit_new(&s.u, s.note));
            MID_STORE_ITEM(thread, next.handle, struct note, tags, 2, head.handle);
            MID_GIVE(thread, next.handle, struct note, next, MID_TAKE(thread, head.handle, struct note, next));
            MID_GIVE(thread, head.handle, struct note, next, next.handle);
        }
        ok(mid_compact(thread, MID_COMPACT_DEEP, 0, NULL));
        unit_check(&s.u);
        uint64_t want = 3000;
        for (mid_handle at = MID_PEEK(thread, head.handle, struct note, next); at != 0; at = MID_PEEK(thread, at, struct note, next)) {
            assert_int_equal(MID_GET(thread, struct note, at)->number, --want);
            assert_int_equal(MID_PEEK_ITEM(thread, at, struct note, tags, 2), head.handle);
        }
        assert_int_equal(want, 0);
    }
    ok(mid_collect(s.u.thread, NULL));
    scene_close(&s);
}

/* --- access */

TEST(slots_are_named_by_their_fields)
{
    struct scene s;
    scene_open(&s);
    mid_thread *t = s.u.thread;
    MID_LOCAL_OF(t, a, unit_new(&s.u, s.note));
    MID_LOCAL_OF(t, b, unit_new(&s.u, s.note));
    MID_STORE(t, a, struct note, next, b);
    MID_STORE_ITEM(t, a, struct note, tags, 0, b);
    MID_INIT_ITEM(t, a, struct note, tags, 1, mid_from_int(5));
    MID_GIVE_ITEM(t, a, struct note, tags, 2, mid_retain(t, b));
    assert_int_equal(unit_count(&s.u, b), 4);
    assert_int_equal(mid_peek(t, a, MID_SLOT(struct note, next)), b);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(mid_peek(t, a, MID_SLOT(struct note, tags) + i), i == 1 ? mid_from_int(5) : b);
    MID_LOCAL_OF(t, loaded, MID_LOAD(t, a, struct note, next));
    MID_LOCAL_OF(t, item, MID_LOAD_ITEM(t, a, struct note, tags, 2));
    assert_int_equal(loaded, b);
    assert_int_equal(item, b);
    assert_int_equal(unit_count(&s.u, b), 6);
    MID_RESET(item, MID_SWAP_ITEM(t, a, struct note, tags, 2, 0));
    assert_int_equal(item, b);
    assert_int_equal(MID_PEEK_ITEM(t, a, struct note, tags, 2), 0);
    assert_false(MID_SWAP_IF(t, a, struct note, next, 0, 0));
    assert_true(MID_SWAP_IF(t, a, struct note, next, b, mid_from_int(1)));
    mid_release(t, b); /* which the slot held */
    assert_int_equal(MID_SWAP(t, a, struct note, next, 0), mid_from_int(1));
    MID_INIT(t, a, struct note, next, mid_retain(t, b));
    mid_release(t, MID_TAKE(t, a, struct note, next));
    mid_release(t, MID_TAKE_ITEM(t, a, struct note, tags, 0));
    MID_RESET(a, 0);
    MID_RESET(loaded, 0);
    MID_RESET(item, 0);
    assert_int_equal(unit_count(&s.u, b), 1);
    MID_RESET(b, 0);
    scene_close(&s);
}

/* --- declared types */

static mid_field field(struct scene *s, mid_type type, const char *name)
{
    mid_field found;
    for (size_t i = 0; mid_type_field(s->u.heap, type, i, &found) == MID_OK; i++)
        if (strcmp(found.name, name) == 0)
            return found;
    fail_msg("no field %s", name);
    return found;
}

TEST(a_table_gives_struct_offsets_and_kinds)
{
    struct scene s;
    scene_open(&s);
    static const struct {
        const char *name;
        size_t offset, size, count;
        mid_field_kind kind;
    } want[] = {
        {"next", offsetof(struct note, next), 4, 1, MID_FIELD_REF},
        {"number", offsetof(struct note, number), 8, 1, MID_FIELD_UINT},
        {"tags", offsetof(struct note, tags), 4, 3, MID_FIELD_REF},
        {"author", offsetof(struct note, author), 1, 6, MID_FIELD_TEXT},
        {"small", offsetof(struct note, small), sizeof(short), 1, MID_FIELD_INT},
        {"weight", offsetof(struct note, weight), 4, 1, MID_FIELD_FLOAT},
        {"where", offsetof(struct note, where), sizeof(void *), 1, MID_FIELD_POINTER},
        {"in", offsetof(struct note, in), sizeof(struct inner), 1, MID_FIELD_BYTES},
        {"tint", offsetof(struct note, tint), sizeof(enum colour), 1, MID_FIELD_UINT},
        {"sums", offsetof(struct note, sums), 4, 4, MID_FIELD_INT},
    };
    mid_field got;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        ok(mid_type_field(s.u.heap, s.note, i, &got));
        assert_string_equal(got.name, want[i].name);
        assert_true(got.offset == want[i].offset && got.size == want[i].size && got.count == want[i].count);
        assert_int_equal(got.kind, want[i].kind);
    }
    expect(MID_EINVAL, mid_type_field(s.u.heap, s.note, sizeof want / sizeof *want, &got));
    mid_type_desc desc = note_describe();
    assert_true(desc.size == sizeof(struct note) && desc.item_size == 0 && desc.align == 0);
    desc = text_describe();
    assert_true(desc.size == offsetof(struct text, bytes) && desc.item_size == 1 && !desc.items_are_refs);
    assert_int_equal(desc.length_offset, offsetof(struct text, length));
    assert_int_equal(field(&s, s.text, "bytes").kind, MID_FIELD_TEXT);
    desc = board_describe();
    assert_true(desc.size == offsetof(struct board, notes) && desc.item_size == 4 && desc.items_are_refs);
    assert_int_equal(wide_describe().align, 16);
    mid_type wide;
    ok(wide_register(s.u.heap, &wide));
    mid_handle object = unit_new(&s.u, wide);
    assert_int_equal((uintptr_t)mid_get(s.u.thread, object) % 16, 0);
    mid_release(s.u.thread, object);
    scene_close(&s);
}

/* The slots are those of the table, no more and no less: what they hold dies with the object, and a ring of them is found. */
TEST(declared_references_are_followed)
{
    struct scene s;
    scene_open(&s);
    mid_thread *t = s.u.thread;
    mid_handle note = unit_new(&s.u, s.note), board = unit_array(&s.u, s.board, 4);
    memset(MID_GET(t, struct note, note)->author, 0xFF, 6); /* no handles, whatever is in them */
    MID_GET(t, struct note, note)->number = 0xFFFFFFFFFFFFFFFE;
    for (unsigned i = 0; i < 3; i++)
        MID_GIVE_ITEM(t, note, struct note, tags, i, unit_new(&s.u, s.note));
    MID_GIVE_ITEM(t, board, struct board, notes, 3, note);
    MID_STORE(t, note, struct note, next, board);
    MID_GIVE(t, board, struct board, owner, unit_new(&s.u, s.note));
    unit_check(&s.u);
    assert_int_equal(unit_live(&s.u), 6);
    mid_release(t, board);
    ok(mid_collect(t, NULL));
    scene_close(&s);
}

TEST(typed_handles_are_checked_when_cast)
{
    struct scene s;
    scene_open(&s);
    mid_thread *t = s.u.thread;
    note_ref note, other = {99};
    text_ref text;
    node_ref node;
    assert_int_equal(sizeof note, sizeof(mid_handle));
    ok(note_new(t, s.note, &note));
    ok(text_new_items(t, s.text, 5, &text));
    ok(node_new(t, s.u.node, &node));
    assert_int_equal(text_get(t, text)->length, 5);
    node_get(t, node)->value = 3;
    ok(note_cast(t, s.note, note.handle, &other));
    assert_int_equal(other.handle, note.handle);
    expect(MID_ETYPE, note_cast(t, s.note, text.handle, &other));
    assert_int_equal(other.handle, 0);
    expect(MID_EHANDLE, note_cast(t, s.note, mid_from_int(3), &other));
    expect(MID_EHANDLE, note_cast(t, s.note, 0, &other));
    expect(MID_ENULL, note_cast(NULL, s.note, note.handle, &other));
    assert_int_equal(note_of(note.handle).handle, note.handle);
    expect(MID_ETYPE, note_new_items(t, s.note, 3, &other));
    mid_release(t, note.handle);
    mid_release(t, text.handle);
    mid_release(t, node.handle);
    scene_close(&s);
}

/* --- what is refused */

static void refused(struct unit *u, mid_type_desc desc)
{
    mid_type type = 99;
    expect(MID_EINVAL, mid_type_register(u->heap, &desc, &type));
    unit_check(u);
}

TEST(fields_that_cannot_be_are_refused)
{
    struct unit u;
    unit_open(&u, "");
    static const uint32_t eight[] = {8};
    static const mid_field bad[] = {
        {NULL, 0, 4, 1, MID_FIELD_INT},        {"", 0, 4, 1, MID_FIELD_INT},          {"f", 0, 4, 1, 0},
        {"f", 0, 4, 1, MID_FIELD_BYTES + 1},   {"f", 0, 3, 1, MID_FIELD_INT},         {"f", 0, 16, 1, MID_FIELD_UINT},
        {"f", 0, 2, 1, MID_FIELD_FLOAT},       {"f", 0, 0, 1, MID_FIELD_BYTES},       {"f", 0, 4, 1, MID_FIELD_POINTER},
        {"f", 0, 2, 1, MID_FIELD_TEXT},        {"f", 0, 8, 1, MID_FIELD_REF},         {"f", 13, 4, 1, MID_FIELD_INT},
        {"f", 0, 4, 5, MID_FIELD_INT},         {"f", 16, 1, 1, MID_FIELD_TEXT},       {"f", 0, UINT32_MAX, UINT32_MAX, MID_FIELD_BYTES},
        {"f", UINT32_MAX, 8, 1, MID_FIELD_INT},
    };
    mid_type_desc desc = {.struct_size = sizeof desc, .name = "t", .size = 16, .field_count = 1};
    refused(&u, desc); /* no fields */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        desc.fields = &bad[i];
        refused(&u, desc);
    }
    /* A reference that is no slot, is misaligned, is there twice. */
    static const mid_field refs[] = {{"a", 8, 4, 2, MID_FIELD_REF}, {"b", 6, 4, 1, MID_FIELD_REF}, {"c", 12, 4, 1, MID_FIELD_REF}};
    desc.fields = refs;
    desc.ref_offsets = eight;
    desc.ref_count = 1;
    refused(&u, desc);
    desc.ref_offsets = NULL;
    desc.ref_count = 0;
    desc.fields = refs + 1;
    refused(&u, desc);
    desc.fields = refs;
    desc.field_count = 3;
    refused(&u, desc);
    desc.field_count = (size_t)MID_FIELDS_MAX + 1;
    refused(&u, desc);
    desc.fields = refs;
    desc.field_count = 1;
    mid_type type;
    ok(mid_type_register(u.heap, &desc, &type));
    /* Items that are what the type says they are not. */
    static const mid_field items[] = {{"i", 8, 4, 1, MID_FIELD_REF}, {"i", 8, 4, 1, MID_FIELD_INT}, {"i", 8, 2, 1, MID_FIELD_INT}, {"i", 8, 4, 2, MID_FIELD_INT}};
    desc = (mid_type_desc){.struct_size = sizeof desc, .name = "v", .size = 8, .item_size = 4, .field_count = 1};
    for (int i = 0; i < 4; i++) {
        desc.fields = &items[i];
        desc.items_are_refs = i == 1;
        refused(&u, desc);
    }
    mid_field out;
    expect(MID_ENULL, mid_type_field(NULL, type, 0, &out));
    expect(MID_ENULL, mid_type_field(u.heap, type, 0, NULL));
    expect(MID_ETYPE, mid_type_field(u.heap, 0, 0, &out));
    expect(MID_ETYPE, mid_type_field(u.heap, type + 1, 0, &out));
    expect(MID_EINVAL, mid_type_field(u.heap, u.node, 0, &out));
    unit_close(&u);
}

TEST(an_older_program_gives_a_shorter_description)
{
    struct unit u;
    unit_open(&u, "");
    mid_type_desc desc = {.struct_size = offsetof(mid_type_desc, fields), .name = "old", .size = 16};
    memset(&desc.fields, 0xAA, sizeof desc - offsetof(mid_type_desc, fields)); /* which it has no memory for */
    mid_type type;
    ok(mid_type_register(u.heap, &desc, &type));
    mid_field out;
    expect(MID_EINVAL, mid_type_field(u.heap, type, 0, &out));
    desc.struct_size = offsetof(mid_type_desc, fields) - 8;
    refused(&u, desc);
    desc.struct_size = sizeof desc + 8;
    refused(&u, desc);
    unit_close(&u);
}

TEST(names_of_fields_are_copied_and_cut)
{
    struct unit u;
    unit_open(&u, "");
    char name[100];
    memset(name, 'n', sizeof name - 1);
    name[99] = '\0';
    mid_field fields[] = {{name, 0, 4, 0, MID_FIELD_INT}, {"second", 4, 4, 0, MID_FIELD_INT}}, out;
    mid_type type = unit_type(u.heap, (mid_type_desc){.name = "t", .size = 8, .fields = fields, .field_count = 2});
    name[0] = 'X';
    fields[1].name = NULL;
    ok(mid_type_field(u.heap, type, 0, &out));
    assert_int_equal(strlen(out.name), 63);
    assert_int_equal(out.name[0], 'n');
    assert_int_equal(out.count, 1);
    ok(mid_type_field(u.heap, type, 1, &out));
    assert_string_equal(out.name, "second");
    unit_close(&u);
}

TEST(no_memory_for_fields_leaves_no_type)
{
    struct fault_os fault;
    size_t refusals = 0;
    for (size_t nth = 1;; nth++) {
        struct unit u;
        mid_type type = 0;
        mid_field out;
        fault_open(&u, &fault, "");
        fault.fail_at = fault.calls + nth;
        mid_status status = note_register(u.heap, &type);
        const int refused_it = fault.failed != 0;
        fault.fail_at = 0;
        if (status != MID_OK) {
            expect(MID_ENOMEM, status);
            refusals++;
            unit_check(&u);
            ok(note_register(u.heap, &type));
        }
        assert_int_equal(type, u.bytes + 1); /* the next one */
        ok(mid_type_field(u.heap, type, 9, &out));
        assert_string_equal(out.name, "sums");
        fault_close(&u, &fault);
        if (!refused_it)
            break;
    }
    assert_true(refusals >= 3); /* offsets, slots, fields */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_local_is_released_however_its_block_ends),
        cmocka_unit_test(what_is_kept_is_the_takers),
        cmocka_unit_test(a_local_that_is_reset_releases_what_it_had),
        cmocka_unit_test(locals_hold_through_deep_compaction),
        cmocka_unit_test(slots_are_named_by_their_fields),
        cmocka_unit_test(a_table_gives_struct_offsets_and_kinds),
        cmocka_unit_test(declared_references_are_followed),
        cmocka_unit_test(typed_handles_are_checked_when_cast),
        cmocka_unit_test(fields_that_cannot_be_are_refused),
        cmocka_unit_test(an_older_program_gives_a_shorter_description),
        cmocka_unit_test(names_of_fields_are_copied_and_cut),
        cmocka_unit_test(no_memory_for_fields_leaves_no_type),
    };
#ifdef MIDDEN_DEBUG
    mid_debug_reports(NULL, NULL, 1); /* a misuse ends it */
#endif
    return UNIT_RUN(tests);
}
