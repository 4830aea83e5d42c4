/* cmd_options.c: `midden options`: the option table for people, and as the manual page midden-options(7). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lab.h"
#include "midden/options.h"
#include "midden/version.h"

static void print_scaled(uint64_t value, uint64_t base, const char *suffixes)
{
    unsigned power = 0;
    while (value != 0 && value % base == 0 && suffixes[power] != 0) {
        value /= base;
        power++;
    }
    printf("%" PRIu64, value);
    if (power != 0)
        putchar(suffixes[power - 1]);
}

/* The words that a unit of words takes; null: it is none. */
static const char *const *words_of(const char *unit)
{
    static const char *const orders[] = {"off", "table", "depth", "breadth"}, *const kept[] = {"fullest", "address", "first"};
    return strcmp(unit, "order") == 0 ? orders : strcmp(unit, "evacuate") == 0 ? kept : NULL;
}

/* As the parser reads it. */
static void print_value(const char *unit, uint64_t value)
{
    if (value == UINT64_MAX)
        fputs("any", stdout);
    else if (strcmp(unit, "bytes") == 0)
        print_scaled(value, 1024, "KMG");
    else if (strcmp(unit, "count") == 0)
        print_scaled(value, 1000, "KMG");
    else if (strcmp(unit, "percent") == 0)
        printf("%" PRIu64 "%%", value);
    else if (strcmp(unit, "switch") == 0)
        fputs(value != 0 ? "on" : "off", stdout);
    else if (words_of(unit) != NULL)
        fputs(words_of(unit)[value], stdout);
    else if (value % 1000000 == 0 && value != 0)
        printf("%" PRIu64 "s", value / 1000000);
    else if (value % 1000 == 0 && value != 0)
        printf("%" PRIu64 "ms", value / 1000);
    else
        printf("%" PRIu64 "us", value);
}

static void print_range(const mid_option_info *info)
{
    const char *const *words = words_of(info->unit);
    for (uint64_t i = 0; words != NULL && i <= info->most; i++)
        printf("%s%s", i == 0 ? "" : i == info->most ? " or " : ", ", words[i]);
    if (words != NULL)
        return;
    print_value(info->unit, info->least);
    fputs(strcmp(info->unit, "switch") == 0 ? " or " : " to ", stdout);
    print_value(info->unit, info->most);
}

static void print_plain(void)
{
    mid_option_info info;
    for (unsigned row = 0; mid_options_describe(row, &info); row++) {
        printf("%s=", info.name);
        print_value(info.unit, info.def);
        fputs("   (", stdout);
        print_range(&info);
        printf(")\n    %s\n", info.meaning);
    }
}

/* roff reads hyphens as breaks and backslashes as escapes. */
static void print_roff(const char *text)
{
    for (; *text != 0; text++) {
        if (*text == '-' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
}

static void print_man(void)
{
    printf(".TH MIDDEN\\-OPTIONS 7 \"\" \"midden %s\" \"midden\"\n", MID_VERSION_STRING);
    puts(".SH NAME\nmidden\\-options \\- options of a midden heap and of its daemon\n"
         ".SH SYNOPSIS\n.B MIDDEN_OPTIONS=\\fIname\\fB=\\fIvalue\\fB,\\fIname\\fB=\\fIvalue ...\n"
         ".SH DESCRIPTION\n"
         "A program chooses the options of a heap when it opens it; what the environment variable\n"
         ".B MIDDEN_OPTIONS\n"
         "says is applied over its choice. White space around names and values is ignored. A name or a value that\n"
         "is not understood keeps the heap from being opened.\n.PP\n"
         "Bytes take the suffixes K, M and G (1024 and its powers), counts the same (1000 and its powers), times\n"
         "us, ms and s, percentages %; switches are on or off.\n"
         ".SH OPTIONS");
    mid_option_info info;
    for (unsigned row = 0; mid_options_describe(row, &info); row++) {
        fputs(".TP\n.B ", stdout);
        print_roff(info.name);
        fputs("\n", stdout);
        print_roff(info.meaning);
        fputs(".\nDefault ", stdout);
        print_value(info.unit, info.def);
        fputs(", range ", stdout);
        print_range(&info);
        fputs(".\n", stdout);
    }
    puts(".SH SEE ALSO\n.BR midden (1)");
}

int cmd_options(int argc, char **argv)
{
    if (argc == 1)
        print_plain();
    else if (argc == 2 && strcmp(argv[1], "--man") == 0)
        print_man();
    else
        return lab_usage("options: %s is not understood", argv[argc - 1]);
    return 0;
}
