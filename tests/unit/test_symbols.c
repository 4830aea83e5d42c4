/* test_symbols.c: names of addresses, and traces written with them. */
#include <fcntl.h>
#include <jansson.h>
#include <sys/mman.h>

#include "midden/symbols.h"
#include "unit.h"

__attribute__((noinline)) mid_handle unit_symbol_site(struct unit *u);
__attribute__((noinline)) mid_handle unit_symbol_site(struct unit *u)
{
    mid_handle made = unit_new(u, u->node);
    __asm__ volatile("" ::: "memory");
    return made;
}

static char *contents(int fd)
{
    static char text[1 << 16];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    assert_true(n > 0);
    text[n] = 0;
    close(fd);
    return text;
}

TEST(names_files_and_lines)
{
    mid_symbols *symbols = NULL;
    mid_symbol found;
    ok(mid_symbols_open(&symbols));
    ok(mid_symbols_find(symbols, (const char *)unit_symbol_site + 1, &found));
    assert_string_equal(found.function, "unit_symbol_site");
    assert_non_null(found.file);
    assert_non_null(strstr(found.file, "test_symbols.c"));
    assert_true(found.line > 5 && found.line < 20);
    assert_non_null(strstr(found.module, "test_symbols"));
    ok(mid_symbols_find(symbols, (const char *)getenv + 1, &found));
    assert_non_null(strstr(found.module, "libc"));
    expect(MID_EUNTRACED, mid_symbols_find(symbols, (void *)17, &found));
    assert_null(found.function);
    expect(MID_ENULL, mid_symbols_find(NULL, (void *)17, &found));
    expect(MID_ENULL, mid_symbols_find(symbols, (void *)17, NULL));
    expect(MID_ENULL, mid_symbols_open(NULL));
    mid_symbols_close(symbols);
    mid_symbols_close(NULL);
}

TEST(json_and_folded)
{
    struct unit u;
    mid_trace_snapshot *s, *before;
    mid_symbols *symbols;
    unit_open(&u, "");
    ok(mid_trace_start(u.heap, NULL));
    ok(mid_trace_take(u.heap, &before));
    mid_handle made[] = {unit_symbol_site(&u), unit_symbol_site(&u)};
    ok(mid_trace_take(u.heap, &s));
    ok(mid_symbols_open(&symbols));
    int fd = memfd_create("json", 0);
    ok(mid_trace_write_json(s, before, MID_TRACE_BY_STACK, 1, symbols, fd));
    json_t *o = json_loads(contents(fd), 0, NULL), *top = json_array_get(json_object_get(o, "top"), 0);
    assert_int_equal(json_integer_value(json_object_get(o, "traced")), 2 * sizeof(struct node));
    assert_int_equal(json_integer_value(json_object_get(o, "rows")), 2);
    assert_int_equal(json_array_size(json_object_get(o, "top")), 1);
    assert_int_equal(json_integer_value(json_object_get(top, "more_bytes")), sizeof(struct node));
    bool named = false;
    size_t i;
    json_t *frame;
    json_array_foreach(json_object_get(top, "frames"), i, frame)
        named |= strstr(json_string_value(frame), "unit_symbol_site (unit.h:") != NULL;
    assert_true(named);
    json_decref(o);
    fd = memfd_create("json", 0);
    ok(mid_trace_write_json(s, NULL, MID_TRACE_BY_TYPE, 0, NULL, fd));
    o = json_loads(contents(fd), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(o, "top"), 0), "type")), "node");
    json_decref(o);
    fd = memfd_create("folded", 0);
    ok(mid_trace_write_folded_names(s, symbols, fd));
    const char *text = contents(fd), *main_at = strstr(text, "main ("), *site = strstr(text, "unit_symbol_site (");
    assert_true(main_at != NULL && site != NULL && main_at < site); /* the outermost first */
    expect(MID_ENULL, mid_trace_write_json(NULL, NULL, MID_TRACE_BY_TYPE, 0, NULL, 1));
    expect(MID_EINVAL, mid_trace_write_json(s, NULL, MID_TRACE_BYS, 0, NULL, 1));
    expect(MID_EINVAL, mid_trace_write_json(s, NULL, MID_TRACE_BY_TYPE, 0, NULL, -1));
    expect(MID_ESYSTEM, mid_trace_write_json(s, NULL, MID_TRACE_BY_TYPE, 0, NULL, 999));
    expect(MID_ENULL, mid_trace_write_folded_names(NULL, NULL, 1));
    expect(MID_ESYSTEM, mid_trace_write_folded_names(s, NULL, 999));
    mid_symbols_close(symbols);
    mid_trace_drop(s);
    mid_trace_drop(before);
    mid_release(u.thread, made[0]);
    mid_release(u.thread, made[1]);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_files_and_lines), cmocka_unit_test(json_and_folded)};
    return UNIT_RUN(tests);
}
