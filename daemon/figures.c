/* daemon/figures.c: figures out of the kernel's texts. */
#include "daemon/figures.h"

#include <string.h>

#define NONE_OF_V1 (UINT64_C(1) << 62)

/* A piece of a text. Nothing here looks past its end. */
typedef struct piece {
    const char *at;
    size_t length;
} piece;

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next line without its end; false: there is none. */
static bool next_line(piece *rest, piece *line)
{
    if (rest->length == 0)
        return false;
    const char *end = memchr(rest->at, '\n', rest->length);
    line->at = rest->at;
    line->length = end == NULL ? rest->length : (size_t)(end - rest->at);
    size_t used = line->length + (end != NULL);
    rest->at += used;
    rest->length -= used;
    return true;
}

/* The next word; false: the line is over. */
static bool next_word(piece *line, piece *word)
{
    while (line->length != 0 && blank(*line->at))
        line->at++, line->length--;
    word->at = line->at;
    word->length = 0;
    while (line->length != 0 && !blank(*line->at))
        line->at++, line->length--, word->length++;
    return word->length != 0;
}

static bool is(piece word, const char *text)
{
    return word.length == strlen(text) && memcmp(word.at, text, word.length) == 0;
}

static bool number(piece word, uint64_t *value)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < word.length; i++) {
        unsigned digit = (unsigned)(unsigned char)word.at[i] - '0';
        if (digit > 9 || sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return word.length != 0;
}

static bool total_of(piece line, uint64_t *value)
{
    static const char name[] = "total=";
    const size_t skip = sizeof name - 1;
    piece word;
    while (next_word(&line, &word))
        if (word.length > skip && memcmp(word.at, name, skip) == 0)
            return number((piece){word.at + skip, word.length - skip}, value);
    return false;
}

bool mid_figure_stalls(const char *text, size_t length, uint64_t *some, uint64_t *full)
{
    piece rest = {text, length}, line, word;
    uint64_t found_some = 0, found_full = 0;
    bool seen = false;
    while (next_line(&rest, &line)) {
        if (!next_word(&line, &word))
            continue;
        uint64_t *into = is(word, "some") ? &found_some : is(word, "full") ? &found_full : NULL;
        if (into == NULL)
            continue;
        if (!total_of(line, into))
            return false;
        seen = seen || into == &found_some;
    }
    if (!seen)
        return false;
    *some = found_some;
    *full = found_full;
    return true;
}

bool mid_figure_number(const char *text, size_t length, uint64_t *value)
{
    piece rest = {text, length}, line, word, more;
    uint64_t found = MID_UNLIMITED;
    if (!next_line(&rest, &line) || !next_word(&line, &word) || next_word(&line, &more))
        return false;
    if (!is(word, "max") && !number(word, &found))
        return false;
    *value = found >= NONE_OF_V1 ? MID_UNLIMITED : found;
    return true;
}

bool mid_figure_keyed(const char *text, size_t length, const char *key, uint64_t *value)
{
    piece rest = {text, length}, line, word, figure;
    while (next_line(&rest, &line)) {
        if (!next_word(&line, &word))
            continue;
        if (word.length > 1 && word.at[word.length - 1] == ':')
            word.length--;
        if (is(word, key))
            return next_word(&line, &figure) && number(figure, value);
    }
    return false;
}

/* --- where the own cgroup is ----------------------------------------------------------------------------------- */

/* Up to `stop`, which is left out; false: it is not there. */
static bool cut(piece *rest, char stop, piece *part)
{
    const char *end = rest->length == 0 ? NULL : memchr(rest->at, stop, rest->length);
    if (end == NULL)
        return false;
    *part = (piece){rest->at, (size_t)(end - rest->at)};
    rest->at = end + 1;
    rest->length -= part->length + 1;
    return true;
}

static bool has_item(piece list, const char *item)
{
    piece one;
    while (cut(&list, ',', &one))
        if (is(one, item))
            return true;
    return is(list, item);
}

/* "4:cpu,memory:/path", "0::/path" */
static bool own_path(piece text, bool v1, piece *path)
{
    piece line, id, controllers;
    while (next_line(&text, &line))
        if (cut(&line, ':', &id) && cut(&line, ':', &controllers) &&
            (v1 ? has_item(controllers, "memory") : is(id, "0") && controllers.length == 0)) {
            *path = line;
            return line.length != 0 && line.at[0] == '/';
        }
    return false;
}

/* "36 35 0:32 ROOT MOUNTPOINT options ... - TYPE SOURCE OPTIONS" */
static bool mount_of(piece text, bool v1, piece *root, piece *at)
{
    piece line, word;
    while (next_line(&text, &line)) {
        bool whole = next_word(&line, &word) && next_word(&line, &word) && next_word(&line, &word) && next_word(&line, root) &&
                     next_word(&line, at);
        while (whole && (whole = next_word(&line, &word)) && !is(word, "-")) {
        }
        if (!whole || !next_word(&line, &word) || !is(word, v1 ? "cgroup" : "cgroup2"))
            continue;
        if (!v1 || (next_word(&line, &word) && next_word(&line, &word) && has_item(word, "memory")))
            return true;
    }
    return false;
}

static bool octal(char c)
{
    return c >= '0' && c <= '7';
}

/* One character of a mount's field, in which blanks and backslashes are written as \040 and \134. */
static unsigned unescaped(piece *text)
{
    const char *at = text->at;
    bool escape = text->length > 3 && *at == '\\' && octal(at[1]) && octal(at[2]) && octal(at[3]);
    size_t used = escape ? 4 : 1;
    text->at += used;
    text->length -= used;
    return escape ? (unsigned)(at[1] - '0') << 6 | (unsigned)(at[2] - '0') << 3 | (unsigned)(at[3] - '0') : (unsigned char)*at;
}

static bool put(unsigned c, char *into, size_t room, size_t *used)
{
    if (*used + 1 >= room || c == 0 || c > 255)
        return false;
    into[(*used)++] = (char)c;
    into[*used] = 0;
    return true;
}

/* The mount shows `root` of the hierarchy and what is below it. A path that is not below is outside the own namespace: then the
 * mount itself is as near as one gets. Names in /proc/self/cgroup are not escaped, and those of systemd are full of backslashes. */
static piece below_root(piece path, piece root)
{
    piece rest = path;
    if (is(root, "/"))
        root.length = 0;
    while (root.length != 0) {
        unsigned c = unescaped(&root);
        if (rest.length == 0 || (unsigned char)*rest.at != c)
            return (piece){path.at, 0};
        rest.at++, rest.length--;
    }
    bool under = rest.length != 0 && rest.at[0] == '/' && rest.length != 1;
    return under ? rest : (piece){path.at, 0};
}

static bool put_path(piece mount, piece below, char *into, size_t room)
{
    size_t used = 0;
    while (mount.length != 0)
        if (!put(unescaped(&mount), into, room, &used))
            return false;
    for (size_t i = 0; i < below.length; i++)
        if (!put((unsigned char)below.at[i], into, room, &used))
            return false;
    return true;
}

bool mid_figure_cgroup(const char *cgroup, size_t length, const char *mounts, size_t mounts_length, char *into, size_t room)
{
    for (int v1 = 1; v1 >= 0; v1--) {
        piece path, root, at;
        if (room != 0 && own_path((piece){cgroup, length}, v1, &path) &&
            mount_of((piece){mounts, mounts_length}, v1, &root, &at))
            return put_path(at, below_root(path, root), into, room);
    }
    return false;
}

/* --- base64 -------------------------------------------------------------------------------------------------- */

static int sextet(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c == 0 ? NULL : strchr(digits, c);
    return found == NULL ? -1 : (int)(found - digits);
}

long mid_figure_base64(const char *text, unsigned char *into, size_t room)
{
    size_t length = strlen(text), used = 0;
    uint32_t bits = 0, held = 0;
    for (unsigned padding = 0; padding < 2 && length != 0 && text[length - 1] == '='; padding++)
        length--;
    for (size_t i = 0; i < length; i++) {
        int value = sextet(text[i]);
        if (value < 0)
            return -1;
        bits = (bits << 6 | (uint32_t)value) & 0xffffff;
        held += 6;
        if (held < 8)
            continue;
        held -= 8;
        if (used == room)
            return -1;
        into[used++] = (unsigned char)(bits >> held);
    }
    return length % 4 == 1 ? -1 : (long)used;
}
