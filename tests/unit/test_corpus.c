/* The fuzzers' corpora, replayed: each input is one that once covered something new, or failed. A target ends the process if something
 * does not hold. Run from the top of the tree. */
#include "unit.h"

#include <dirent.h>

#include "tests/fuzz/targets.h"

static void replay(const char *folder, void (*target)(const uint8_t *, size_t))
{
    size_t inputs = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[512];
        static uint8_t bytes[1 << 16];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        size_t size = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        assert_true(size < sizeof bytes);
        uint8_t *exactly = malloc(size != 0 ? size : 1); /* so that a reading past its end is seen */
        assert_non_null(exactly);
        memcpy(exactly, bytes, size);
        target(exactly, size);
        free(exactly);
        inputs++;
    }
    closedir(dir);
    assert_true(inputs >= 5);
}

TEST(control)
{
    replay("tests/fuzz/corpus/control", fuzz_control);
}

TEST(options)
{
    replay("tests/fuzz/corpus/options", fuzz_options);
}

TEST(figures)
{
    replay("tests/fuzz/corpus/figures", fuzz_figures);
}

TEST(pressure)
{
    replay("tests/fuzz/corpus/pressure", fuzz_pressure);
}

TEST(http)
{
    replay("tests/fuzz/corpus/http", fuzz_http);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(control), cmocka_unit_test(options), cmocka_unit_test(figures),
                                       cmocka_unit_test(pressure), cmocka_unit_test(http)};
    return UNIT_RUN(tests);
}
