/* tests/kinds/cases_dict.c: dictionaries of 10 and of a million entries, keys integers and strings. Rounds of a small dictionary are
 * repeated, so that `count` is operations in every case. */
#include "tests/kinds/kinds.h"

#include "midden/dict.h"

enum { SMALL = 10, LARGE = 1000000 };

static mid_keys by_value;

/* What both sides have: keys in order, keys once more (equal, but other objects where they are objects), the order of the searches. */
static size_t entries;
static int strings;
static mid_handle *keys, *again, *absent, dict;
static PyObject **pykeys, **pyagain, **pyabsent, *pydict;
static uint32_t *order;

static void *need(size_t bytes)
{
    void *at = malloc(bytes);
    must(at != NULL);
    return at;
}

static mid_handle key_ours(size_t i, const char *name)
{
    mid_handle made;
    char text[32];
    int length = snprintf(text, sizeof text, "%s %zu", name, i);
    must(mid_text_new(thread, &kinds, text, (size_t)length, &made) == MID_OK);
    return made;
}

static PyObject *key_theirs(size_t i, const char *word)
{
    PyObject *made = PyUnicode_FromFormat("%s %zu", word, i);
    must(made != NULL);
    return made;
}

/* Searches come at random. */
static void shuffle(void)
{
    uint64_t state = 7;
    order = need(entries * sizeof *order);
    for (size_t i = 0; i < entries; i++)
        order[i] = (uint32_t)i;
    for (size_t i = entries - 1; i > 0; i--) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        size_t j = (size_t)((state >> 33) % (i + 1));
        uint32_t kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}

static void keys_ours(void)
{
    keys = need(entries * sizeof *keys);
    again = need(entries * sizeof *again);
    absent = need(entries * sizeof *absent);
    for (size_t i = 0; i < entries; i++) {
        keys[i] = strings ? key_ours(i, "key") : mid_from_int((int32_t)(1000 + i));
        again[i] = strings ? key_ours(i, "key") : keys[i];
        absent[i] = strings ? key_ours(i, "none") : mid_from_int((int32_t)(1000 + LARGE + i));
    }
    shuffle();
}

static void keys_theirs(void)
{
    pykeys = need(entries * sizeof *pykeys);
    pyagain = need(entries * sizeof *pyagain);
    pyabsent = need(entries * sizeof *pyabsent);
    for (size_t i = 0; i < entries; i++) {
        must((pykeys[i] = strings ? key_theirs(i, "key") : PyLong_FromLongLong((long long)(1000 + i))) != NULL);
        must((pyagain[i] = strings ? key_theirs(i, "key") : PyLong_FromLongLong((long long)(1000 + i))) != NULL);
        must((pyabsent[i] = strings ? key_theirs(i, "none") : PyLong_FromLongLong((long long)(1000 + LARGE + i))) != NULL);
    }
    shuffle();
}

static void keys_gone_ours(void)
{
    for (size_t i = 0; i < entries; i++) {
        mid_release(thread, keys[i]);
        mid_release(thread, again[i]);
        mid_release(thread, absent[i]);
    }
    free(keys), free(again), free(absent), free(order);
}

static void keys_gone_theirs(void)
{
    for (size_t i = 0; i < entries; i++) {
        Py_DECREF(pykeys[i]);
        Py_DECREF(pyagain[i]);
        Py_DECREF(pyabsent[i]);
    }
    free(pykeys), free(pyagain), free(pyabsent), free(order);
}

static mid_handle filled_ours(void)
{
    mid_handle made;
    must(mid_kinds_keys(&kinds, &by_value) == MID_OK);
    must(mid_dict_new(thread, strings ? &by_value : &mid_keys_int, &made) == MID_OK);
    for (size_t i = 0; i < entries; i++)
        must(mid_dict_set(thread, made, keys[i], mid_from_int((int32_t)i)) == MID_OK);
    return made;
}

static PyObject *filled_theirs(void)
{
    PyObject *made = PyDict_New();
    must(made != NULL);
    for (size_t i = 0; i < entries; i++)
        must(PyDict_SetItem(made, pykeys[i], Py_None) == 0);
    return made;
}

static void full_ours(size_t count)
{
    (void)count;
    keys_ours();
    dict = filled_ours();
}

static void full_theirs(size_t count)
{
    (void)count;
    keys_theirs();
    pydict = filled_theirs();
}

static void full_gone_ours(size_t count)
{
    (void)count;
    mid_release(thread, dict);
    keys_gone_ours();
}

static void full_gone_theirs(size_t count)
{
    (void)count;
    Py_DECREF(pydict);
    keys_gone_theirs();
}

/* --- what is timed: dictionaries made full and dropped, and the rest on a full one */

static void insert_ours(size_t count)
{
    for (size_t done = 0; done < count; done += entries)
        mid_release(thread, filled_ours());
}

static void insert_theirs(size_t count)
{
    for (size_t done = 0; done < count; done += entries)
        Py_DECREF(filled_theirs());
}

static void set_ours(size_t count)
{
    for (size_t done = 0; done < count; done += entries)
        for (size_t i = 0; i < entries; i++)
            must(mid_dict_set(thread, dict, again[order[i]], mid_from_int(1)) == MID_OK);
}

static void set_theirs(size_t count)
{
    for (size_t done = 0; done < count; done += entries)
        for (size_t i = 0; i < entries; i++)
            must(PyDict_SetItem(pydict, pyagain[order[i]], Py_None) == 0);
}

static void find_ours(const mid_handle *which, int there, size_t count)
{
    mid_handle value;
    for (size_t done = 0; done < count; done += entries)
        for (size_t i = 0; i < entries; i++) {
            must((mid_dict_get(thread, dict, which[order[i]], &value) == MID_OK) == there);
            mid_release(thread, value);
        }
}

static void find_theirs(PyObject **which, int there, size_t count)
{
    for (size_t done = 0; done < count; done += entries)
        for (size_t i = 0; i < entries; i++) {
            PyObject *value = PyDict_GetItemWithError(pydict, which[order[i]]);
            must((value != NULL) == there);
            Py_XINCREF(value);
            Py_XDECREF(value);
        }
}

static void same_ours(size_t count) { find_ours(keys, 1, count); }
static void same_theirs(size_t count) { find_theirs(pykeys, 1, count); }
static void hit_ours(size_t count) { find_ours(again, 1, count); }
static void hit_theirs(size_t count) { find_theirs(pyagain, 1, count); }
static void miss_ours(size_t count) { find_ours(absent, 0, count); }
static void miss_theirs(size_t count) { find_theirs(pyabsent, 0, count); }

/* Each entry goes and comes back, so that the dictionary is as full as before. */
static void delete_ours(size_t count)
{
    for (size_t done = 0; done < count; done += entries)
        for (size_t i = 0; i < entries; i++) {
            must(mid_dict_delete(thread, dict, again[order[i]]) == MID_OK);
            must(mid_dict_set(thread, dict, keys[order[i]], mid_from_int(1)) == MID_OK);
        }
}

static void delete_theirs(size_t count)
{
    for (size_t done = 0; done < count; done += entries)
        for (size_t i = 0; i < entries; i++) {
            must(PyDict_DelItem(pydict, pyagain[order[i]]) == 0);
            must(PyDict_SetItem(pydict, pykeys[order[i]], Py_None) == 0);
        }
}

static void all_ours(size_t count)
{
    for (size_t done = 0; done < count; done += entries) {
        mid_dict_cursor cursor = {0};
        mid_handle key, value;
        while (mid_dict_next(thread, dict, &cursor, &key, &value) == MID_OK)
            used(&key);
    }
}

static void all_theirs(size_t count)
{
    for (size_t done = 0; done < count; done += entries) {
        Py_ssize_t at = 0;
        PyObject *key, *value;
        while (PyDict_Next(pydict, &at, &key, &value))
            used(&key);
    }
}

#define SIDES(name, size, text)                                                                                        \
    static void name##_before_ours(size_t n) { entries = size, strings = text; full_ours(n); }                         \
    static void name##_before_theirs(size_t n) { entries = size, strings = text; full_theirs(n); }
SIDES(small_int, SMALL, 0)
SIDES(small_text, SMALL, 1)
SIDES(large_int, LARGE, 0)
SIDES(large_text, LARGE, 1)

#define CASE(title, name, what, count) \
    {title, count, {name##_before_ours, what##_ours, full_gone_ours}, {name##_before_theirs, what##_theirs, full_gone_theirs}}
#define CASES(title, name, count)                                                                                      \
    CASE("dict " title " insert", name, insert, count), CASE("dict " title " set", name, set, count),                  \
        CASE("dict " title " hit, same key", name, same, count), CASE("dict " title " hit", name, hit, count),         \
        CASE("dict " title " miss", name, miss, count), CASE("dict " title " delete and insert", name, delete, count), \
        CASE("dict " title " iterate", name, all, count)

const struct timed dict_timed[] = {
    CASES("of 10 ints", small_int, 500000),
    CASES("of 10 strings", small_text, 500000),
    CASES("of 1 M ints", large_int, LARGE),
    CASES("of 1 M strings", large_text, LARGE),
    {0},
};

/* --- memory, without the keys: they are there before */

static mid_handle held_keys[SMALL];
static PyObject *held_pykeys[SMALL];

static void hold_ours(size_t dicts, size_t each, int text)
{
    entries = each, strings = text;
    keys = held_keys;
    for (size_t i = 0; i < SMALL; i++)
        keys[i] = text ? key_ours(i, "key") : mid_from_int((int32_t)i);
    mid_handle *held = handles(dicts);
    for (size_t i = 0; i < dicts; i++)
        held[i] = filled_ours();
}

static void hold_theirs(size_t dicts, size_t each, int text)
{
    entries = each, strings = text;
    pykeys = held_pykeys;
    for (size_t i = 0; i < SMALL; i++)
        must((pykeys[i] = text ? key_theirs(i, "key") : PyLong_FromLongLong((long long)i)) != NULL);
    PyObject **held = pointers(dicts);
    for (size_t i = 0; i < dicts; i++)
        held[i] = filled_theirs();
}

#define HOLDS(each)                                                                    \
    static void hold_##each##_int_ours(size_t n) { hold_ours(n, each, 0); }            \
    static void hold_##each##_int_theirs(size_t n) { hold_theirs(n, each, 0); }        \
    static void hold_##each##_text_ours(size_t n) { hold_ours(n, each, 1); }           \
    static void hold_##each##_text_theirs(size_t n) { hold_theirs(n, each, 1); }
HOLDS(0)
HOLDS(1)
HOLDS(2)
HOLDS(5)
HOLDS(6)
HOLDS(10)

/* Of the large ones the keys are made too, in turn: an entry with its key. */
static void large_ours(size_t count, int text)
{
    must(mid_kinds_keys(&kinds, &by_value) == MID_OK);
    must(mid_dict_new(thread, text ? &by_value : &mid_keys_int, &dict) == MID_OK);
    for (size_t i = 0; i < count; i++) {
        mid_handle key = text ? key_ours(i, "key") : mid_from_int((int32_t)(1000 + i));
        must(mid_dict_set(thread, dict, key, mid_from_int(1)) == MID_OK);
        mid_release(thread, key);
    }
}

static void large_theirs(size_t count, int text)
{
    must((pydict = PyDict_New()) != NULL);
    for (size_t i = 0; i < count; i++) {
        PyObject *key = text ? key_theirs(i, "key") : PyLong_FromLongLong((long long)(1000 + i));
        must(key != NULL && PyDict_SetItem(pydict, key, Py_None) == 0);
        Py_DECREF(key);
    }
}

static void large_int_ours(size_t count) { large_ours(count, 0); }
static void large_int_theirs(size_t count) { large_theirs(count, 0); }
static void large_text_ours(size_t count) { large_ours(count, 1); }
static void large_text_theirs(size_t count) { large_theirs(count, 1); }

const struct held dict_held[] = {
#define HELD(each)                                                                                      \
    {"dict of " #each " ints, but the keys", 100000, hold_##each##_int_ours, hold_##each##_int_theirs}, \
    {"dict of " #each " strings, the same", 100000, hold_##each##_text_ours, hold_##each##_text_theirs}
    HELD(0), HELD(1), HELD(2), HELD(5), HELD(6), HELD(10),
    {"dict of 1 M ints, an entry and its key", LARGE, large_int_ours, large_int_theirs},
    {"dict of 1 M strings, the same", LARGE, large_text_ours, large_text_theirs},
    {0},
};
