/* gc/midden-gdb.py in gdb: this program, started by gdb, builds a small heap and stops; then the same from a core file. */
#include "unit.h"

#define PERSON(FIELD)              \
    FIELD(REF, boss)               \
    FIELD(REFS, friends, 2)        \
    FIELD(VALUE, int32_t, age)     \
    FIELD(ARRAY, char, name, 8)    \
    FIELD(VALUE, double, height)
MID_DECLARE(person, PERSON);
#define TEAM(FIELD)        \
    FIELD(VALUE, uint64_t, budget) \
    FIELD(LENGTH, length)  \
    FIELD(REF_ITEMS, members)
MID_DECLARE(team, TEAM);

/* For gdb. */
mid_handle ann, bob, cat, team, lost, gone, integer;
mid_slot in_slot;
person_ref typed;
struct unit u;

__attribute__((noinline)) static void here(void)
{
    __asm__ volatile("" ::: "memory");
}

static mid_handle person(mid_type type, const char *name, int age)
{
    mid_handle made = unit_new(&u, type);
    struct person *at = MID_GET(u.thread, struct person, made);
    at->age = age;
    at->height = age / 16.0;
    memcpy(at->name, name, strnlen(name, sizeof at->name));
    return made;
}

/* team (held twice, by an array and from outside) -> ann, bob; bob -> cat (held by him alone) -> bob; lost -> lost. */
static int scene(void)
{
    mid_type p, t;
    unit_open(&u, "max-objects=100000"); /* gdb's core files hold address space that is only reserved, as well */
    ok(person_register(u.heap, &p));
    ok(team_register(u.heap, &t));
    ann = person(p, "ann", -40);
    bob = person(p, "bo\"b\n", 32);
    cat = person(p, "cat", 8);
    team = unit_array(&u, t, 30);
    lost = unit_new(&u, u.node);
    gone = unit_new(&u, u.node);
    MID_GET(u.thread, struct team, team)->budget = UINT64_MAX;
    MID_GIVE_ITEM(u.thread, team, struct team, members, 0, ann);
    MID_GIVE_ITEM(u.thread, team, struct team, members, 29, bob);
    MID_GIVE_ITEM(u.thread, team, struct team, members, 1, mid_from_int(-9));
    MID_STORE(u.thread, bob, struct person, boss, ann);
    MID_STORE_ITEM(u.thread, cat, struct person, friends, 0, bob);
    MID_GIVE_ITEM(u.thread, bob, struct person, friends, 1, cat);
    mid_give(u.thread, lost, LEFT, lost); /* its one count is its own: garbage */
    mid_release(u.thread, gone);
    ok(mid_pin(u.thread, ann, NULL));
    integer = mid_from_int(-9);
    in_slot.bits_ = bob;
    typed = person_of(cat);
    here();
    return 0;
}

/* Two heaps number their objects alike. */
static int two_heaps(void)
{
    struct unit other;
    unit_open(&u, "max-objects=100000");
    unit_open(&other, "max-objects=100000");
    ann = unit_new(&u, u.node);
    if (unit_new(&other, other.node) != ann)
        return 1;
    bob = unit_new(&other, other.node);
    mid_store(other.thread, ann, RIGHT, bob);
    here();
    return 0;
}

static char output[1 << 18], self[512], core[600], script[600];

#define LIVE "set disable-randomization off\n"
/* Run gdb on this program, or a core file of it, with commands in a file; `middle` has those that ask. */
static void gdb(const char *before, const char *middle, const char *after, const char *core_file)
{
    char command[2048];
    FILE *file = fopen(script, "w");
    assert_non_null(file);
    fprintf(file, "set width 0\nsource gc/midden-gdb.py\n%s%s%s", before, middle, after);
    fclose(file);
    snprintf(command, sizeof command, "ASAN_OPTIONS=detect_leaks=0 gdb -nx -batch -iex 'set debuginfod enabled off' -x %s %s %s 2>&1", script, self, core_file);
    FILE *from = popen(command, "r");
    assert_non_null(from);
    size_t length = fread(output, 1, sizeof output - 1, from);
    output[length] = '\0';
    pclose(from);
    unlink(script);
}

/* `want`, in which a letter after % is a handle's place: a, b, c, t, l. */
static void shows(const char *want)
{
    char line[1024], *at = line;
    unsigned handles[128] = {0};
    const char *told = strstr(output, "handles ");
    if (told == NULL)
        fail_msg("gdb said:\n%s", output);
    assert_int_equal(sscanf(told, "handles %u %u %u %u %u %u", &handles['a'], &handles['b'], &handles['c'], &handles['t'], &handles['l'], &handles['g']), 6);
    for (const char *w = want; *w != '\0'; w++)
        if (*w == '%')
            at += sprintf(at, "%u", handles[(unsigned char)*++w]);
        else
            *at++ = *w;
    *at = '\0';
    if (strstr(output, line) == NULL)
        fail_msg("missing:\n%s\nin:\n%s", line, output);
}

/* An error ends a file of commands, so what is to fail is asked for with a net. */
#define CAUGHT(command, name) "python\ntry:\n  gdb.execute(\"" command "\")\nexcept gdb.error as e:\n  print(\"" name ": %s\" % e)\nend\n"
static const char ask[] =
    "printf \"handles %u %u %u %u %u %u\\n\", ann, bob, cat, team, lost, gone\n"
    "midden heap\nmidden type\nmidden type person\nmidden type 1\n"
    "midden object ann\nmidden object in_slot\nmidden object team\nmidden object lost\n"
    "midden referrers bob\nmidden referrers typed\nmidden why typed\nmidden why lost\nmidden why team\n"
    "print cat\nprint in_slot\nprint typed\nprint integer\n"
    CAUGHT("midden object 0", "zero") CAUGHT("midden object integer", "odd") CAUGHT("midden object gone", "gone")
    CAUGHT("midden object 4000000000", "far") CAUGHT("midden object", "none") CAUGHT("midden use 7", "use") CAUGHT("midden type 77", "type");

static void everything_is_said(void)
{
    shows("heap 1: (mid_heap *) 0x");
    shows("  5 objects, 5 types, indices ");
    shows("  threads: 1 running\n");
    shows("finalizers; pins 1, weak cells 0\n");
    shows("         3 objects           96 bytes  4 person: 32 bytes\n");
    shows("         1 objects          132 bytes  5 team: 12 bytes and items of 4, references\n");
    shows("4 person: 32 bytes\n       0  boss: reference of 4\n       4  friends[2]: reference of 4\n      12  age: integer of 4\n      16  name[8]: text of 1\n");
    shows("1 node: 16 bytes\n       0  slot 0: reference of 4\n       4  slot 1: reference of 4\n");
    shows("%a person: at 0x");
    shows(", 32 bytes, count 2 (owner thread 1: 2, others: 0), pinned\n  age = -40\n  name = \"ann\"\n  height = -2.5\n  boss = empty\n");
    shows("  name = \"bo\"b\\x0a\"\n  height = 2\n  boss -> %a person\n  friends[0] = empty\n  friends[1] -> %c person\n");
    shows(", 132 bytes, 30 items, count 1 (owner thread 1: 1, others: 0)\n  budget = 18446744073709551615\n  length = 30\n  members[0] -> %a person\n  members[1] = -9\n");
    shows("  ... 14 more\n");
    shows("  slot 0 -> %l node\n  slot 1 = empty\n");
    shows("%c person, friends[0]\n%t team, members[29]\n");
    shows("%b person, friends[1]\n");
    shows("%t team, held from outside by 1\n  .members[29] -> %b person\n  .friends[1] -> %c person\n");
    shows("nothing holds it: garbage\n");
    shows("= %c person\n");
    shows("= %b person\n");
    shows("handle = %c person");
    shows("= integer -9\n");
    shows("zero: 0 names no object\n");
    shows("odd: 4294967279 is the immediate integer -9\n");
    shows("gone: %g (free): no live object\n");
    shows("far: 4000000000 is not of this heap\n");
    shows("none: which handle?\n");
    shows("use: a number from 1 to 1; see `midden heap`\n");
    shows("type: 77 is no type of this heap, which has 5\n");
}

static int no_gdb(void)
{
    if (RUNNING_ON_VALGRIND || system("gdb -nx -batch -ex 'python import gdb' >/dev/null 2>&1") != 0) {
        print_message("skipped: no gdb with Python here\n");
        return 1;
    }
    return 0;
}

TEST(a_live_process_and_its_core_file)
{
    char dump[1024];
    if (no_gdb())
        skip();
    if (UNIT_SANITIZED) { /* whose reserved address space a core file would hold, too */
        gdb(LIVE "break here\nrun scene\n", ask, "kill\n", "");
        everything_is_said();
        return;
    }
    snprintf(dump, sizeof dump, "generate-core-file %s\nkill\n", core);
    gdb(LIVE "break here\nrun scene\n", ask, dump, "");
    char *live = strdup(output);
    gdb("", ask, "", core);
    unlink(core);
    everything_is_said();
    strcpy(output, live);
    free(live);
    everything_is_said();
}

TEST(before_there_is_a_heap)
{
    if (no_gdb())
        skip();
    gdb(LIVE "break main\nrun scene\n", "midden heap\n" CAUGHT("midden object 2", "early"), "kill\n", "");
    assert_non_null(strstr(output, "\nno heap is open\n"));
    assert_non_null(strstr(output, "early: no heap is open\n"));
}

TEST(several_heaps)
{
    if (no_gdb())
        skip();
    gdb(LIVE "break here\nrun two\n", "printf \"handles %u %u 0 0 0 0\\n\", ann, bob\n"
        CAUGHT("midden object ann", "both") CAUGHT("midden type", "types") "print ann\nmidden object bob\nmidden use 2\nprint ann\nmidden object ann\nmidden heap\n"
        "midden use 1\nmidden object ann\n" CAUGHT("midden object bob", "other"), "kill\n", "");
    shows("both: 2 heaps have an object %a: say which with `midden use N`, see `midden heap`\n");
    shows("types: there are 2 heaps: say which");
    shows("$1 = %a\n%b node: at 0x"); /* of a number that may be either's nothing more is said */
    shows("$2 = %a node\n%a node: at 0x");
    shows("  slot 0 = empty\n  slot 1 -> %b node\n");
    shows("heap 1: (mid_heap *) 0x");
    shows("heap 2 (in use): (mid_heap *) 0x");
    shows("  slot 0 = empty\n  slot 1 = empty\nother: %b (free): no live object\n");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_live_process_and_its_core_file),
        cmocka_unit_test(before_there_is_a_heap),
        cmocka_unit_test(several_heaps),
    };
    if (argc > 1 && strcmp(argv[1], "scene") == 0)
        return scene();
    if (argc > 1 && strcmp(argv[1], "two") == 0)
        return two_heaps();
    snprintf(self, sizeof self, "%s", argv[0]);
    snprintf(core, sizeof core, "%s.%d.core", argv[0], (int)getpid());
    snprintf(script, sizeof script, "%s.%d.gdb", argv[0], (int)getpid());
    return UNIT_RUN(tests);
}
