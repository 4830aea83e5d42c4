/* The cases of CPython's debug hooks (test_capi, _testcapi): each misuse in a child process that ends by the report, which is read. What
 * is CPython's block is here an object of bytes; the domains' blocks are in test_misuse.c and test_domain.c. */
#include "unit.h"

#include <signal.h>
#include <sys/wait.h>

#include "fault_os.h"

/* Behind the back of a sanitizer, which knows what is out of bounds. */
static __attribute__((noinline, no_sanitize("address"))) void poke(void *at, unsigned char value)
{
    *(volatile unsigned char *)at = value;
}

static __attribute__((noinline, no_sanitize("address"))) unsigned peek(const void *at)
{
    return *(const volatile unsigned char *)at;
}

enum { SIZE = 16 };

static char *bytes_at(struct unit *u, mid_handle bytes)
{
    return (char *)mid_get(u->thread, bytes) + sizeof(struct bytes);
}

/* What a child writes that does it; it must die by SIGABRT, as Python's fatal errors do, at the first report. */
static const char *fatal(void (*misuse)(struct unit *u))
{
    static char text[65536];
    int ends[2], status = 0;
    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct unit u;
        signal(SIGABRT, SIG_DFL); /* cmocka's own would go on */
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        mid_debug_reports(NULL, NULL, 1);
        unit_open(&u, "");
        misuse(&u);
        _exit(0);
    }
    close(ends[1]);
    size_t used = 0;
    for (ssize_t got; used < sizeof text - 1 && (got = read(ends[0], text + used, sizeof text - 1 - used)) > 0;)
        used += (size_t)got;
    text[used] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
        fail_msg("status %x, and it says: %s", status, text);
    return text;
}

static void says(const char *text, const char *what)
{
    if (strstr(text, what) == NULL)
        fail_msg("\"%s\" is not in: %s", what, text);
}

/* --- fences ------------------------------------------------------------------------------------------------------------ */

static void overflow(struct unit *u)
{
    mid_handle block = unit_array(u, u->bytes, SIZE);
    poke(bytes_at(u, block) + SIZE, 'x');
    mid_release(u->thread, block);
}

TEST(cpython_test_capi_buffer_overflow)
{
    const char *text = fatal(overflow);
    char at[64];
    snprintf(at, sizeof at, "bytes %zu to %zu", sizeof(struct bytes) + SIZE, sizeof(struct bytes) + SIZE);
    says(text, at);
    says(text, "overflow");
    says(text, "type bytes");
    snprintf(at, sizeof at, "%zu bytes", sizeof(struct bytes) + SIZE);
    says(text, at);
    says(text, "allocated by thread 1:\n"); /* and from where */
    says(text, "test_peers_debug");
    says(text, "told by thread 1:\n");
}

static void underflow(struct unit *u)
{
    mid_handle before = unit_array(u, u->bytes, SIZE), block = unit_array(u, u->bytes, SIZE);
    (void)before;
    poke((char *)mid_get(u->thread, block) - 1, 'x');
    mid_debug_check(u->heap);
}

TEST(cpython_test_capi_buffer_underflow)
{
    const char *text = fatal(underflow);
    says(text, "before the beginning of handle");
    says(text, "underflow");
    says(text, "other: handle");
    says(text, "allocated by thread 1:\n");
}

/* --- a block given to another domain's free ------------------------------------------------------------------------------ */

static void object_to_free(struct unit *u)
{
    mid_handle block = unit_array(u, u->bytes, SIZE);
    mid_debug_address(u->thread, bytes_at(u, block)); /* what a checked free asks before it calls libc's */
}

TEST(cpython_test_capi_api_misuse)
{
    const char *text = fatal(object_to_free);
    says(text, "wrong free");
    says(text, "type bytes");
    says(text, "allocated by thread 1:\n");
}

static void nothing(const mid_report *report, void *context)
{
    ++*(unsigned *)context;
    (void)report;
}

/* Blocks of mem, raw and the object domain, each given to the others' free: refused, and still whole. */
TEST(cpython_test_capi_api_misuse2)
{
    struct unit u;
    unsigned reports = 0;
    size_t size;
    void *raw, *mem;
    mid_handle object;
    mid_debug_reports(nothing, &reports, 0);
    unit_open(&u, "");
    ok(mid_raw_malloc(u.heap, 32, &raw));
    ok(mid_mem_malloc(u.thread, 32, &mem));
    ok(mid_object_malloc(u.thread, 32, &object));
    memset(raw, 1, 32);
    memset(mem, 2, 32);
    void *data = mid_object_data(u.thread, object, &size);
    memset(data, 3, size);
    expect(MID_EBLOCK, mid_raw_free(u.heap, mem));
    expect(MID_EBLOCK, mid_mem_free(u.thread, raw));
    expect(MID_EBLOCK, mid_mem_free(u.thread, data));
    mid_handle node = unit_new(&u, u.node);
    expect(MID_ETYPE, mid_object_free(u.thread, node));
    for (int i = 0; i < 32; i++)
        assert_true(((char *)raw)[i] == 1 && ((char *)mem)[i] == 2 && ((char *)data)[i] == 3);
    ok(mid_raw_free(u.heap, raw));
    ok(mid_mem_free(u.thread, mem));
    ok(mid_object_free(u.thread, object));
    mid_release(u.thread, node);
    unit_close(&u);
    mid_debug_reports(NULL, NULL, 0);
}

/* --- without the right to: Python's lock, here a blocked region ------------------------------------------------------------ */

TEST(cpython_test_capi_pymem_malloc_without_gil)
{
    struct unit u;
    void *block = &u;
    unit_open(&u, "");
    ok(mid_blocked_enter(u.thread));
    expect(MID_ETHREAD, mid_mem_malloc(u.thread, 10, &block));
    assert_null(block);
    ok(mid_blocked_leave(u.thread));
    ok(mid_mem_malloc(u.thread, 10, &block));
    ok(mid_mem_free(u.thread, block));
    unit_close(&u);
}

static void new_while_blocked(struct unit *u)
{
    mid_handle made;
    mid_blocked_enter(u->thread);
    mid_new(u->thread, u->node, &made);
}

TEST(cpython_test_capi_pyobject_malloc_without_gil)
{
    const char *text = fatal(new_while_blocked);
    says(text, "midden: mid_new: ");
    says(text, "MID_ETHREAD");
    says(text, "told");
}

/* --- is it an object? ------------------------------------------------------------------------------------------------------ */

static void store_into_null(struct unit *u)
{
    mid_store(u->thread, 0, LEFT, 0);
}

TEST(cpython_test_capi_null_is_freed)
{
    struct unit u;
    unit_open(&u, "");
    assert_false(mid_is_live(u.thread, 0));
    unit_close(&u);
    const char *text = fatal(store_into_null);
    says(text, "midden: mid_store: ");
    says(text, "argument");
}

/* Sixteen bytes of an object that was not cleared, read as a handle. */
static mid_handle word_at(const unsigned char *at)
{
    mid_handle word = 0;
    for (unsigned i = 0; i < sizeof word; i++)
        word |= (mid_handle)peek(at + i) << 8 * i;
    return word;
}

static mid_handle uninitialized_word(struct unit *u, mid_handle *made)
{
    mid_type raw = unit_type(u->heap, (mid_type_desc){.name = "raw", .size = 64, .flags = MID_UNCLEARED});
    *made = unit_new(u, raw);
    return word_at(mid_get(u->thread, *made));
}

static void store_into_uninitialized(struct unit *u)
{
    mid_handle made;
    mid_store(u->thread, uninitialized_word(u, &made), LEFT, 0);
}

TEST(cpython_test_capi_uninitialized_is_freed)
{
    struct unit u;
    mid_handle made;
    unit_open(&u, "");
    mid_handle word = uninitialized_word(&u, &made);
    assert_int_equal(word, 0xCDCDCDCDu);
    assert_false(mid_is_live(u.thread, word));
    mid_release(u.thread, made);
    unit_close(&u);
    says(fatal(store_into_uninitialized), "midden: mid_store: ");
}

static void store_into_forbidden(struct unit *u)
{
    mid_handle block = unit_array(u, u->bytes, SIZE);
    mid_store(u->thread, word_at((unsigned char *)bytes_at(u, block) + SIZE), LEFT, 0);
}

TEST(cpython_test_capi_forbidden_bytes_is_freed)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle block = unit_array(&u, u.bytes, SIZE);
    mid_handle word = word_at((unsigned char *)bytes_at(&u, block) + SIZE);
    assert_int_equal(word, 0xFDFDFDFDu);
    assert_false(mid_is_live(u.thread, word));
    mid_release(u.thread, block);
    unit_close(&u);
    says(fatal(store_into_forbidden), "midden: mid_store: ");
}

static void write_after_free(struct unit *u)
{
    mid_handle block = unit_array(u, u->bytes, SIZE);
    char *at = bytes_at(u, block);
    mid_release(u->thread, block);
    poke(at, 'x');
    mid_debug_check(u->heap);
}

static void use_after_free(struct unit *u)
{
    mid_handle block = unit_array(u, u->bytes, SIZE);
    mid_release(u->thread, block);
    mid_get(u->thread, block);
}

TEST(cpython_test_capi_freed_is_freed)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle block = unit_array(&u, u.bytes, SIZE);
    unsigned char *at = (unsigned char *)bytes_at(&u, block);
    mid_release(u.thread, block);
    assert_false(mid_is_live(u.thread, block));
    assert_int_equal(word_at(at), 0xDDDDDDDDu);
    unit_close(&u);
    const char *text = fatal(write_after_free);
    says(text, "write after free");
    says(text, "allocated by thread 1:\n");
    says(text, "freed by thread 1:\n");
    text = fatal(use_after_free);
    says(text, "midden: mid_get: ");
    says(text, "stale handle");
    says(text, "freed by thread 1:\n");
}

/* --- no memory --------------------------------------------------------------------------------------------------------------- */

/* From the nth request of the system on all fail, up to some later one: what was asked for is refused or there, nothing is told, and
 * afterwards everything works. */
TEST(cpython_test_capi_set_nomemory)
{
    unsigned reports = 0, refused = 0;
    mid_debug_reports(nothing, &reports, 0);
    for (unsigned nth = 1; nth <= 24; nth++) {
        struct fault_os fault;
        struct unit u;
        mid_handle made[40];
        size_t count = 0;
        fault_open(&u, &fault, "");
        fault.fail_at = fault.calls + nth;
        fault.for_good = 1;
        for (size_t i = 0; i < 40; i++) {
            mid_status status = mid_new_array(u.thread, u.bytes, i * 5000, &made[count]);
            assert_true(status == MID_OK || (status == MID_ENOMEM && made[count] == 0));
            count += status == MID_OK;
            refused += status != MID_OK;
        }
        fault.fail_at = 0; /* remove_mem_hooks */
        fault.for_good = 0;
        unit_check(&u);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(bytes_at(&u, made[i])[-1], 0);
            mid_release(u.thread, made[i]);
        }
        for (size_t i = 0; i < 40; i++)
            mid_release(u.thread, unit_array(&u, u.bytes, i * 5000));
        unit_drain(&u);
        fault_close(&u, &fault);
    }
    assert_true(refused != 0);
    assert_int_equal(reports, 0);
    mid_debug_reports(NULL, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpython_test_capi_buffer_overflow),
        cmocka_unit_test(cpython_test_capi_buffer_underflow),
        cmocka_unit_test(cpython_test_capi_api_misuse),
        cmocka_unit_test(cpython_test_capi_api_misuse2),
        cmocka_unit_test(cpython_test_capi_pymem_malloc_without_gil),
        cmocka_unit_test(cpython_test_capi_pyobject_malloc_without_gil),
        cmocka_unit_test(cpython_test_capi_null_is_freed),
        cmocka_unit_test(cpython_test_capi_uninitialized_is_freed),
        cmocka_unit_test(cpython_test_capi_forbidden_bytes_is_freed),
        cmocka_unit_test(cpython_test_capi_freed_is_freed),
        cmocka_unit_test(cpython_test_capi_set_nomemory),
    };
    return UNIT_RUN(tests);
}
