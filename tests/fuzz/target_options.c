/* tests/fuzz/target_options.c: the options' text. */
#include "targets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "midden/options.h"

/* "name=number,...", without units, but for those that need a word. */
static void say(const mid_options *options, char *into, size_t room)
{
    static const char *const orders[] = {"off", "table", "depth", "breadth"}, *const evacuations[] = {"fullest", "address", "first"};
    mid_option_info info;
    size_t at = 0;
    for (unsigned row = 0; mid_options_describe(row, &info); row++) {
        uint64_t value = mid_options_value(options, row);
        NEED(value >= info.least && value <= info.most);
        const char *word = strcmp(info.unit, "order") == 0 ? orders[value] : strcmp(info.unit, "evacuate") == 0 ? evacuations[value] : NULL;
        int wrote = word != NULL ? snprintf(into + at, room - at, "%s=%s,", info.name, word) : snprintf(into + at, room - at, "%s=%" PRIu64 ",", info.name, value);
        NEED(wrote > 0 && (size_t)wrote < room - at);
        at += (size_t)wrote;
    }
}

void fuzz_options(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), said[4096];
    size_t at = SIZE_MAX;
    NEED(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    mid_options first, options, again;
    mid_options_init(&first);
    options = again = first;
    mid_status status = mid_options_parse(&options, text, &at);
    if (status == MID_OK) {
        say(&options, said, sizeof said);
        NEED(mid_options_parse(&again, said, NULL) == MID_OK && memcmp(&again, &options, sizeof options) == 0);
    } else {
        NEED(status == MID_EOPTION && at < strlen(text) && memcmp(&options, &first, sizeof first) == 0);
    }
    free(text);
}
