/* tests/kinds/cases_set.c: sets of 10 and of a million strings and integers, beside CPython's. */
#include "tests/kinds/kinds.h"

#include "midden/dict.h"

enum { SMALL = 10, LARGE = 1000000 };

static mid_keys by_value;
static size_t entries;
static int strings;
static mid_handle *keys, *again, *absent, set;
static PyObject **pykeys, **pyagain, **pyabsent, *pyset;

static mid_handle one_ours(const char *name, size_t i)
{
    char text[32];
    mid_handle made = mid_from_int((int32_t)(i + (name[0] == 'n' ? LARGE : 0)));
    if (strings)
        must(mid_text_new(thread, &kinds, text, (size_t)snprintf(text, sizeof text, "%s %zu", name, i), &made) == MID_OK);
    return made;
}

static PyObject *one_theirs(const char *name, size_t i)
{
    PyObject *made = strings ? PyUnicode_FromFormat("%s %zu", name, i) : PyLong_FromSize_t(i + (name[0] == 'n' ? LARGE : 0));
    must(made != NULL);
    return made;
}

static mid_handle filled_ours(void)
{
    mid_handle made;
    must(mid_kinds_keys(&kinds, &by_value) == MID_OK);
    must(mid_set_new(thread, strings ? &by_value : &mid_keys_int, &made) == MID_OK);
    for (size_t i = 0; i < entries; i++)
        must(mid_set_add(thread, made, keys[i], NULL) == MID_OK);
    return made;
}

static PyObject *filled_theirs(void)
{
    PyObject *made = PySet_New(NULL);
    must(made != NULL);
    for (size_t i = 0; i < entries; i++)
        must(PySet_Add(made, pykeys[i]) == 0);
    return made;
}

static void before_ours(size_t size, int text)
{
    entries = size, strings = text;
    must((keys = malloc((3 * size + 1) * sizeof *keys)) != NULL);
    again = keys + size, absent = again + size;
    for (size_t i = 0; i < size; i++)
        keys[i] = one_ours("key", i), again[i] = one_ours("key", i), absent[i] = one_ours("none", i);
    set = filled_ours();
}

static void before_theirs(size_t size, int text)
{
    entries = size, strings = text;
    must((pykeys = malloc((3 * size + 1) * sizeof(PyObject *))) != NULL);
    pyagain = pykeys + size, pyabsent = pyagain + size;
    for (size_t i = 0; i < size; i++)
        pykeys[i] = one_theirs("key", i), pyagain[i] = one_theirs("key", i), pyabsent[i] = one_theirs("none", i);
    pyset = filled_theirs();
}

static void after_ours(size_t count)
{
    (void)count;
    mid_release(thread, set);
    for (size_t i = 0; i < 3 * entries; i++)
        mid_release(thread, keys[i]);
    free(keys);
}

static void after_theirs(size_t count)
{
    (void)count;
    Py_DECREF(pyset);
    for (size_t i = 0; i < 3 * entries; i++)
        Py_DECREF(pykeys[i]);
    free(pykeys);
}

static void add_ours(size_t count)
{
    for (size_t done = 0; done < count; done += entries)
        mid_release(thread, filled_ours());
}

static void add_theirs(size_t count)
{
    for (size_t done = 0; done < count; done += entries)
        Py_DECREF(filled_theirs());
}

static void find_ours(const mid_handle *which, int expected, size_t count)
{
    int there;
    for (size_t done = 0; done < count; done += entries)
        for (size_t i = 0; i < entries; i++)
            must(mid_set_contains(thread, set, which[i * 7 % entries], &there) == MID_OK && there == expected);
}

static void find_theirs(PyObject **which, int expected, size_t count)
{
    for (size_t done = 0; done < count; done += entries)
        for (size_t i = 0; i < entries; i++)
            must(PySet_Contains(pyset, which[i * 7 % entries]) == expected);
}

static void hit_ours(size_t count) { find_ours(again, 1, count); }
static void hit_theirs(size_t count) { find_theirs(pyagain, 1, count); }
static void miss_ours(size_t count) { find_ours(absent, 0, count); }
static void miss_theirs(size_t count) { find_theirs(pyabsent, 0, count); }

static void remove_ours(size_t count)
{
    for (size_t done = 0; done < count; done += entries)
        for (size_t i = 0; i < entries; i++)
            must(mid_set_remove(thread, set, again[i]) == MID_OK && mid_set_add(thread, set, keys[i], NULL) == MID_OK);
}

static void remove_theirs(size_t count)
{
    for (size_t done = 0; done < count; done += entries)
        for (size_t i = 0; i < entries; i++)
            must(PySet_Discard(pyset, pyagain[i]) == 1 && PySet_Add(pyset, pykeys[i]) == 0);
}

static void all_ours(size_t count)
{
    mid_handle key;
    for (size_t done = 0; done < count; done += entries)
        for (mid_dict_cursor cursor = {0}; mid_set_next(thread, set, &cursor, &key) == MID_OK;)
            used(&key);
}

static void all_theirs(size_t count)
{
    PyObject *key;
    Py_hash_t hash;
    for (size_t done = 0; done < count; done += entries)
        for (Py_ssize_t at = 0; _PySet_NextEntry(pyset, &at, &key, &hash);)
            used(&key);
}

#define SIDES(name, size, text)                                                                     \
    static void name##_before_ours(size_t n) { (void)n, before_ours(size, text); }                  \
    static void name##_before_theirs(size_t n) { (void)n, before_theirs(size, text); }
SIDES(small_int, SMALL, 0)
SIDES(small_text, SMALL, 1)
SIDES(large_int, LARGE, 0)
SIDES(large_text, LARGE, 1)

#define CASE(title, name, what, count) \
    {title, count, {name##_before_ours, what##_ours, after_ours}, {name##_before_theirs, what##_theirs, after_theirs}}
#define CASES(title, name, count)                                                                              \
    CASE("set " title " add", name, add, count), CASE("set " title " hit", name, hit, count),                  \
        CASE("set " title " miss", name, miss, count), CASE("set " title " remove and add", name, remove, count), \
        CASE("set " title " iterate", name, all, count)

const struct timed set_timed[] = {
    CASES("of 10 ints", small_int, 500000),
    CASES("of 10 strings", small_text, 500000),
    CASES("of 1 M ints", large_int, LARGE),
    CASES("of 1 M strings", large_text, LARGE),
    {0},
};

/* --- memory, without the keys */

static void hold_ours(size_t sets, size_t size, int text)
{
    before_ours(size, text);
    mid_handle *held = handles(sets);
    for (size_t i = 0; i < sets; i++)
        held[i] = filled_ours();
}

static void hold_theirs(size_t sets, size_t size, int text)
{
    before_theirs(size, text);
    PyObject **held = pointers(sets);
    for (size_t i = 0; i < sets; i++)
        held[i] = filled_theirs();
}

static void empty_ours(size_t count) { hold_ours(count, 0, 1); }
static void empty_theirs(size_t count) { hold_theirs(count, 0, 1); }
static void five_ours(size_t count) { hold_ours(count, 5, 1); }
static void five_theirs(size_t count) { hold_theirs(count, 5, 1); }
static void ten_ours(size_t count) { hold_ours(count, SMALL, 1); }
static void ten_theirs(size_t count) { hold_theirs(count, SMALL, 1); }

const struct held set_held[] = {
    {"set of 0 strings", 100000, empty_ours, empty_theirs},
    {"set of 5 strings, but the keys", 100000, five_ours, five_theirs},
    {"set of 10 strings, the same", 100000, ten_ours, ten_theirs},
    {0},
};
