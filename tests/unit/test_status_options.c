/* Statuses, and the option table with its parser and its environment variable. */
#include "unit.h"

#include <inttypes.h>

#include "gc/service.h"

#define MID_X(field, name, unit, def, least, most, meaning) {name, #unit, meaning, def, least, most},
static const mid_option_info ROWS[] = {MID_OPTIONS(MID_X)};
#undef MID_X
#define ROW_COUNT (sizeof ROWS / sizeof *ROWS)

static mid_options defaults(void)
{
    mid_options options;
    memset(&options, 0, sizeof options);
    mid_options_init(&options);
    return options;
}

static uint64_t row_value(const mid_options *options, const char *name)
{
    for (unsigned row = 0; row < ROW_COUNT; row++)
        if (strcmp(ROWS[row].name, name) == 0)
            return mid_options_value(options, row);
    fail_msg("no option %s", name);
    return 0;
}

static mid_status parse(const char *text)
{
    mid_options options = defaults();
    return mid_options_parse(&options, text, NULL);
}

static void accepted(const char *text, const char *name, uint64_t value)
{
    mid_options options = defaults();
    mid_status status = mid_options_parse(&options, text, NULL);
    if (status != MID_OK || row_value(&options, name) != value)
        fail_msg("\"%s\": %s, %s = %" PRIu64, text, mid_status_name(status), name, row_value(&options, name));
}

static void refused(const char *text)
{
    mid_options options = defaults(), before = options;
    size_t at = 12345;
    mid_status status = mid_options_parse(&options, text, &at);
    if (status != MID_EOPTION || at == 12345 || at > strlen(text))
        fail_msg("\"%s\": %s at %zu", text, mid_status_name(status), at);
    assert_memory_equal(&options, &before, sizeof options);
}

TEST(every_status_has_a_name_and_a_text)
{
    static const char *const names[] = {
#define MID_X(name, text) #name,
        MID_STATUSES(MID_X)
#undef MID_X
    };
    assert_int_equal(MID_OK, 0);
    assert_int_equal(sizeof names / sizeof *names, MID_STATUS_COUNT);
    for (int i = 0; i < MID_STATUS_COUNT; i++) {
        assert_string_equal(mid_status_name((mid_status)i), names[i]);
        assert_true(strlen(mid_status_text((mid_status)i)) > 3);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(mid_status_text((mid_status)i), mid_status_text((mid_status)j));
    }
}

TEST(a_value_that_is_no_status_has_a_name_all_the_same)
{
    static const unsigned strange[] = {MID_STATUS_COUNT, MID_STATUS_COUNT + 1, 1000, 0x7FFFFFFF, 0xFFFFFFFF};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        assert_non_null(mid_status_name((mid_status)strange[i]));
        assert_non_null(mid_status_text((mid_status)strange[i]));
    }
}

TEST(the_linked_library_is_the_version_of_the_header)
{
    assert_int_equal(mid_version(), MID_VERSION);
}

TEST(init_fills_every_default)
{
    mid_options options;
    memset(&options, 0xA5, sizeof options);
    mid_options_init(&options);
    assert_int_equal(options.struct_size, sizeof options);
    assert_null(options.os);
#define MID_X(field, name, unit, def, least, most, meaning) assert_int_equal(options.field, def);
    MID_OPTIONS(MID_X)
#undef MID_X
    mid_options_init(NULL);
}

TEST(describe_gives_the_table)
{
    mid_options options = defaults();
    mid_option_info info;
    for (unsigned row = 0; row < ROW_COUNT; row++) {
        assert_true(mid_options_describe(row, &info));
        assert_string_equal(info.name, ROWS[row].name);
        assert_string_equal(info.meaning, ROWS[row].meaning);
        assert_non_null(info.unit);
        assert_true(info.def == ROWS[row].def && info.least == ROWS[row].least && info.most == ROWS[row].most);
        assert_true(info.def >= info.least && info.def <= info.most);
        assert_int_equal(mid_options_value(&options, row), info.def);
    }
    assert_false(mid_options_describe(ROW_COUNT, &info));
    assert_false(mid_options_describe(UINT32_MAX, &info));
    assert_int_equal(mid_options_value(&options, ROW_COUNT), 0);
    assert_int_equal(mid_options_value(&options, UINT32_MAX), 0);
}

TEST(each_row_takes_its_bounds_and_nothing_beyond)
{
    for (unsigned row = 0; row < ROW_COUNT; row++) {
        const mid_option_info *info = &ROWS[row];
        char text[128];
        if (strcmp(info->unit, "SWITCH") == 0) {
            snprintf(text, sizeof text, "%s=on", info->name);
            accepted(text, info->name, 1);
            snprintf(text, sizeof text, "%s=off", info->name);
            accepted(text, info->name, 0);
            snprintf(text, sizeof text, "%s=2", info->name);
            refused(text);
            snprintf(text, sizeof text, "%s=maybe", info->name);
            refused(text);
            continue;
        }
        if (strcmp(info->unit, "ORDER") == 0 || strcmp(info->unit, "EVACUATE") == 0) {
            static const char *const orders[] = {"off", "table", "depth", "breadth"}, *const kept[] = {"fullest", "address", "first"};
            for (uint64_t i = info->least; i <= info->most; i++) {
                snprintf(text, sizeof text, "%s=%s", info->name, (strcmp(info->unit, "ORDER") == 0 ? orders : kept)[i]);
                accepted(text, info->name, i);
            }
            snprintf(text, sizeof text, "%s=1", info->name);
            refused(text);
            continue;
        }
        snprintf(text, sizeof text, "%s=%" PRIu64, info->name, info->least);
        accepted(text, info->name, info->least);
        snprintf(text, sizeof text, "%s=%" PRIu64, info->name, info->most);
        accepted(text, info->name, info->most);
        if (info->least != 0) {
            snprintf(text, sizeof text, "%s=%" PRIu64, info->name, info->least - 1);
            refused(text);
        }
        if (info->most != UINT64_MAX) {
            snprintf(text, sizeof text, "%s=%" PRIu64, info->name, info->most + 1);
            refused(text);
        }
    }
}

TEST(units_scale)
{
    accepted("heap-limit=64K", "heap-limit", 64u << 10);
    accepted("heap-limit=64M", "heap-limit", 64u << 20);
    accepted("heap-limit=3G", "heap-limit", 3ull << 30);
    accepted("heap-limit=77", "heap-limit", 77);
    accepted("max-objects=100K", "max-objects", 100000);
    accepted("max-objects=2M", "max-objects", 2000000);
    accepted("max-objects=2G", "max-objects", 2000000000);
    accepted("slice=700us", "slice", 700);
    accepted("slice=3ms", "slice", 3000);
    accepted("slice=1s", "slice", 1000000);
    accepted("slice=700", "slice", 700);
    accepted("frag-start=250%", "frag-start", 250);
    accepted("frag-start=250", "frag-start", 250);
    accepted("heap-limit=64M,slice=500us", "slice", 500);
    accepted("heap-limit=64M,slice=600us", "heap-limit", 64u << 20);
}

TEST(wrong_units_are_refused)
{
    static const char *const texts[] = {"heap-limit=5ms", "heap-limit=5%", "slice=500K", "slice=500%", "slice=500m",
                                        "frag-start=150M", "frag-start=150us", "max-objects=9000us", "max-objects=9000%",
                                        "daemon=1K", "daemon=1s", "heap-limit=5MM", "heap-limit=5MB!", "slice=500usec"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        refused(texts[i]);
}

TEST(white_space_and_empty_items_are_ignored)
{
    accepted(" slice = 600us ", "slice", 600);
    accepted("\tslice\t=\n600us , heap-limit = 1M", "heap-limit", 1u << 20);
    accepted(",,slice=600us,,", "slice", 600);
    accepted(" , ,slice=600us, ", "slice", 600);
    accepted("", "slice", 500);
    accepted(" , ,\t,", "slice", 500);
}

TEST(malformed_items_are_refused)
{
    static const char *const texts[] = {"nope=1",     "slice",       "slice=",     "slice= ",     "=500",        "=",
                                        "slice=abc",  "slice=-500",  "slice=1.5ms", "slice=500us5", "slice=5 00",  "slice=0x200",
                                        "sli=500",    "slices=500",  "SLICE=500",  "slice==500",  "slice=500=",  "slice=us",
                                        "slice=500;heap-limit=1M", "slice 500", "daemon=", "daemon=onn", "daemon=o"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        refused(texts[i]);
}

TEST(overflowing_numbers_are_refused)
{
    accepted("heap-limit=18446744073709551615", "heap-limit", UINT64_MAX);
    accepted("heap-limit=17179869183G", "heap-limit", 17179869183ull << 30);
    refused("heap-limit=18446744073709551616");
    refused("heap-limit=99999999999999999999999999");
    refused("heap-limit=17179869184G");
    refused("heap-limit=18014398509481984K");
    refused("slice=18446744073709551615s");
    refused("max-objects=18446744073709551G");
}

TEST(the_last_of_duplicates_counts)
{
    accepted("slice=600us,slice=700us", "slice", 700);
    refused("slice=600us,slice=7");
}

static size_t error_at(const char *text)
{
    mid_options options = defaults();
    size_t at = SIZE_MAX;
    expect(MID_EOPTION, mid_options_parse(&options, text, &at));
    return at;
}

TEST(the_error_offset_names_the_item)
{
    assert_int_equal(error_at("nope=1"), 0);
    assert_int_equal(error_at("slice=600us,nope=1"), 12);
    assert_int_equal(error_at("slice=600us,nope=1,slice=700us"), 12);
    assert_int_equal(error_at(",,,nope=1"), 3);
    assert_int_equal(error_at("slice=600us,slice=1"), 12);
    assert_int_equal(error_at("slice=600us,heap-limit=1M,daemon"), 26);
    expect(MID_EOPTION, parse("nope=1"));
}

TEST(nothing_changes_when_a_later_item_is_refused)
{
    refused("slice=600us,heap-limit=64M,daemon=off,nope=1");
    refused("slice=600us,slice=700us,slice=1us");
}

TEST(parsing_goes_over_what_is_there)
{
    mid_options options = defaults();
    options.reserve = 4321;
    ok(mid_options_parse(&options, "slice=600us", NULL));
    assert_int_equal(options.reserve, 4321);
    assert_int_equal(options.slice, 600);
}

TEST(a_very_long_text_is_parsed)
{
    size_t length = 100000;
    char *text = malloc(length + 64);
    assert_non_null(text);
    memset(text, ',', length);
    strcpy(text + length, "slice=600us");
    accepted(text, "slice", 600);
    strcpy(text + length, "nope=1");
    assert_int_equal(error_at(text), length);
    memset(text, 'x', length);
    refused(text);
    strcpy(text, "slice=");
    memset(text + 6, '9', length);
    refused(text);
    free(text);
}

TEST(null_arguments_are_told)
{
    mid_options options = defaults();
    size_t at = 0;
    expect(MID_ENULL, mid_options_parse(NULL, "slice=600us", &at));
    expect(MID_ENULL, mid_options_parse(&options, NULL, &at));
    expect(MID_EOPTION, mid_options_parse(&options, "nope", NULL));
}

static void no_kick(void *context)
{
    (void)context;
}

static uint64_t opened_with(const mid_options *options, const char *name)
{
    mid_heap *heap = NULL;
    ok(mid_heap_open(&heap, options));
    ok(mid_service_bind(heap, no_kick, NULL));
    uint64_t value = row_value(mid_service_options(heap), name);
    mid_service_unbind(heap);
    ok(mid_heap_close(heap));
    return value;
}

TEST(the_environment_goes_over_the_program)
{
    mid_options options = defaults();
    options.slice = 800;
    assert_int_equal(opened_with(&options, "slice"), 800);
    assert_int_equal(opened_with(NULL, "slice"), 500);
    setenv("MIDDEN_OPTIONS", " slice = 900us , reserve=128K", 1);
    assert_int_equal(opened_with(&options, "slice"), 900);
    assert_int_equal(opened_with(NULL, "reserve"), 128u << 10);
    assert_int_equal(options.slice, 800);
    setenv("MIDDEN_OPTIONS", "", 1);
    assert_int_equal(opened_with(&options, "slice"), 800);
    unsetenv("MIDDEN_OPTIONS");
}

TEST(a_malformed_environment_keeps_the_heap_closed)
{
    static const char *const texts[] = {"nope=1", "slice", "slice=1us", "heap-limit=lots", "slice=600us,,x=2"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        mid_heap *heap = NULL;
        setenv("MIDDEN_OPTIONS", texts[i], 1);
        expect(MID_EOPTION, mid_heap_open(&heap, NULL));
        assert_null(heap);
    }
    unsetenv("MIDDEN_OPTIONS");
}

TEST(options_set_by_hand_are_checked)
{
    mid_heap *heap = NULL;
    mid_options options = defaults();
    options.struct_size = 3;
    expect(MID_EINVAL, mid_heap_open(&heap, &options));
    options = defaults();
    options.struct_size = 0;
    expect(MID_EINVAL, mid_heap_open(&heap, &options));
    options = defaults();
    options.frag_start = 105;
    options.frag_stop = 110;
    expect(MID_EINVAL, mid_heap_open(&heap, &options));
    options = defaults();
    options.waiting_start = 10;
    options.waiting_stop = 20;
    expect(MID_EINVAL, mid_heap_open(&heap, &options));
    for (uint64_t size = 8u << 10; size <= 512u << 10; size += 8u << 10) {
        options = defaults();
        options.pool_size = size;
        bool fits = size == 16u << 10 || size == 64u << 10 || size == 256u << 10;
        expect(fits ? MID_OK : MID_EINVAL, mid_heap_open(&heap, &options));
        if (fits)
            ok(mid_heap_close(heap));
    }
    options = defaults();
    options.max_objects = 1;
    assert_int_not_equal(mid_heap_open(&heap, &options), MID_OK);
    options = defaults();
    options.slice = 0;
    assert_int_not_equal(mid_heap_open(&heap, &options), MID_OK);
    assert_null(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_name_and_a_text),
        cmocka_unit_test(a_value_that_is_no_status_has_a_name_all_the_same),
        cmocka_unit_test(the_linked_library_is_the_version_of_the_header),
        cmocka_unit_test(init_fills_every_default),
        cmocka_unit_test(describe_gives_the_table),
        cmocka_unit_test(each_row_takes_its_bounds_and_nothing_beyond),
        cmocka_unit_test(units_scale),
        cmocka_unit_test(wrong_units_are_refused),
        cmocka_unit_test(white_space_and_empty_items_are_ignored),
        cmocka_unit_test(malformed_items_are_refused),
        cmocka_unit_test(overflowing_numbers_are_refused),
        cmocka_unit_test(the_last_of_duplicates_counts),
        cmocka_unit_test(the_error_offset_names_the_item),
        cmocka_unit_test(nothing_changes_when_a_later_item_is_refused),
        cmocka_unit_test(parsing_goes_over_what_is_there),
        cmocka_unit_test(a_very_long_text_is_parsed),
        cmocka_unit_test(null_arguments_are_told),
        cmocka_unit_test(the_environment_goes_over_the_program),
        cmocka_unit_test(a_malformed_environment_keeps_the_heap_closed),
        cmocka_unit_test(options_set_by_hand_are_checked),
    };
    return UNIT_RUN(tests);
}
