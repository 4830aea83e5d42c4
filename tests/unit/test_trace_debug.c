/* test_trace_debug.c: with the checked calls a traceback begins with the program's, too. */
#include "unit.h"

static mid_status made_by(struct unit *u, mid_handle *out);

TEST(begins_in_the_program)
{
    struct unit u;
    mid_handle made;
    mid_trace_record record;
    unit_open(&u, "");
    ok(mid_trace_start(u.heap, NULL));
    for (int i = 0; i < 3; i++) {
        ok(made_by(&u, &made));
        ok(mid_trace_where(u.thread, made, &record));
        ptrdiff_t into = (char *)record.frames[0] - (char *)made_by;
        assert_true(record.depth > 2 && into > 0 && into < 400);
        mid_release(u.thread, made);
    }
    expect(MID_ETYPE, mid_new(u.thread, 99, &made));
    mid_trace_figures f;
    ok(mid_trace_figures_get(u.heap, &f, sizeof f));
    assert_int_equal(f.records, 0); /* what is in quarantine is dead */
    unit_close(&u);
}

static __attribute__((noinline)) mid_status made_by(struct unit *u, mid_handle *out)
{
    mid_status status = mid_new(u->thread, u->node, out);
    __asm__ volatile("" ::: "memory");
    return status;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(begins_in_the_program)};
    return UNIT_RUN(tests);
}
