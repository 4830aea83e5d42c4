/* gc/options.c: the table of options as defaults, parser and description. */
#include <ctype.h>
#include <string.h>

#include "midden/options.h"

enum unit { BYTES, COUNT, MICROS, PERCENT, SWITCH, ORDER, EVACUATE };

typedef struct row {
    const char *name;
    enum unit unit;
    uint64_t def, least, most;
    const char *meaning;
    size_t offset;
} row;

static const row rows[] = {
#define MID_X(field, name, unit, def, least, most, meaning)                                                            \
    {name, unit, def, least, most, meaning, offsetof(mid_options, field)},
    MID_OPTIONS(MID_X)
#undef MID_X
};
#define ROWS (sizeof rows / sizeof rows[0])

static const char *const unit_names[] = {"bytes", "count", "microseconds", "percent", "switch", "order", "evacuate"};

typedef struct suffix {
    enum unit unit;
    const char *text;
    uint64_t factor;
} suffix;

static const suffix suffixes[] = {
    {BYTES, "", 1},     {BYTES, "K", 1u << 10}, {BYTES, "M", 1u << 20},   {BYTES, "G", 1u << 30},
    {COUNT, "", 1},     {COUNT, "K", 1000},     {COUNT, "M", 1000000},    {COUNT, "G", 1000000000},
    {MICROS, "", 1},    {MICROS, "us", 1},      {MICROS, "ms", 1000},     {MICROS, "s", 1000000},
    {PERCENT, "", 1},   {PERCENT, "%", 1},
};

void mid_options_init(mid_options *options)
{
    if (options == NULL)
        return;
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
    for (size_t i = 0; i < ROWS; i++)
        *(uint64_t *)((char *)options + rows[i].offset) = rows[i].def;
}

static bool text_is(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

static bool parse_switch(const char *text, size_t length, uint64_t *value)
{
    *value = text_is(text, length, "on") || text_is(text, length, "1");
    return *value != 0 || text_is(text, length, "off") || text_is(text, length, "0");
}

static bool parse_word(const row *r, const char *text, size_t length, uint64_t *value)
{
    static const char *const words[][4] = {{"off", "table", "depth", "breadth"}, {"fullest", "address", "first"}};
    for (*value = 0; *value <= r->most; ++*value)
        if (text_is(text, length, words[r->unit - ORDER][*value]))
            return true;
    return false;
}

static bool parse_value(const row *r, const char *text, size_t length, uint64_t *value)
{
    if (r->unit == SWITCH)
        return parse_switch(text, length, value);
    if (r->unit >= ORDER)
        return parse_word(r, text, length, value);
    size_t digits = 0;
    uint64_t number = 0;
    while (digits < length && text[digits] >= '0' && text[digits] <= '9') {
        uint64_t digit = (uint64_t)(text[digits++] - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    if (digits == 0)
        return false;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        const suffix *s = &suffixes[i];
        if (s->unit != r->unit || !text_is(text + digits, length - digits, s->text))
            continue;
        if (number > UINT64_MAX / s->factor)
            return false;
        *value = number * s->factor;
        return *value >= r->least && *value <= r->most;
    }
    return false;
}

static void trim(const char **text, size_t *length)
{
    while (*length > 0 && isspace((unsigned char)**text)) {
        ++*text;
        --*length;
    }
    while (*length > 0 && isspace((unsigned char)(*text)[*length - 1]))
        --*length;
}

static bool parse_item(mid_options *options, const char *item, size_t length)
{
    const char *equals = memchr(item, '=', length);
    if (equals == NULL)
        return false;
    const char *name = item, *value = equals + 1;
    size_t name_length = (size_t)(equals - item), value_length = length - name_length - 1;
    trim(&name, &name_length);
    trim(&value, &value_length);
    for (size_t i = 0; i < ROWS; i++)
        if (text_is(name, name_length, rows[i].name))
            return parse_value(&rows[i], value, value_length, (uint64_t *)((char *)options + rows[i].offset));
    return false;
}

mid_status mid_options_parse(mid_options *options, const char *text, size_t *error_at)
{
    if (options == NULL || text == NULL)
        return MID_ENULL;
    mid_options parsed = *options;
    for (const char *at = text; *at != '\0';) {
        size_t length = strcspn(at, ",");
        const char *item = at;
        size_t item_length = length;
        trim(&item, &item_length);
        if (item_length != 0 && !parse_item(&parsed, item, item_length)) {
            if (error_at != NULL)
                *error_at = (size_t)(item - text);
            return MID_EOPTION;
        }
        at += length;
        if (*at == ',')
            at++;
    }
    *options = parsed;
    return MID_OK;
}

bool mid_options_describe(unsigned index, mid_option_info *info)
{
    if (index >= ROWS || info == NULL)
        return false;
    const row *r = &rows[index];
    *info = (mid_option_info){r->name, unit_names[r->unit], r->meaning, r->def, r->least, r->most};
    return true;
}

uint64_t mid_options_value(const mid_options *options, unsigned index)
{
    return options == NULL || index >= ROWS ? 0 : *(const uint64_t *)((const char *)options + rows[index].offset);
}
