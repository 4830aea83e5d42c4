/* tests/kinds/cases_string.c: text made, joined, interned. */
#include <stdio.h>
#include <string.h>

#include "tests/kinds/kinds.h"

#define NAMES 1000

static mid_handle a, b, whole, names[NAMES];
static PyObject *x, *y, *pywhole, *pynames[NAMES];
static char words[NAMES][16];

static void pair_ours(size_t count)
{
    (void)count;
    must(mid_text_new(thread, &kinds, "the first", 9, &a) == MID_OK && mid_text_new(thread, &kinds, " and another", 12, &b) == MID_OK);
}

static void pair_gone_ours(size_t count)
{
    (void)count;
    mid_release(thread, a);
    mid_release(thread, b);
}

static void pair_theirs(size_t count)
{
    (void)count;
    must((x = PyUnicode_FromStringAndSize("the first", 9)) != NULL && (y = PyUnicode_FromStringAndSize(" and another", 12)) != NULL);
}

static void pair_gone_theirs(size_t count)
{
    (void)count;
    Py_DECREF(x);
    Py_DECREF(y);
}

static void create_ours(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mid_handle made;
        must(mid_text_new(thread, &kinds, "a text of some words", 20, &made) == MID_OK);
        mid_release(thread, made);
    }
}

static void create_theirs(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PyObject *made = PyUnicode_FromStringAndSize("a text of some words", 20);
        must(made != NULL);
        Py_DECREF(made);
    }
}

static void concat_ours(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mid_handle made;
        must(mid_string_concat(thread, &kinds, a, b, &made) == MID_OK);
        mid_release(thread, made);
    }
}

static void concat_theirs(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PyObject *made = PyUnicode_Concat(x, y);
        must(made != NULL);
        Py_DECREF(made);
    }
}

static void grow_ours(size_t count)
{
    must(mid_text_new(thread, &kinds, "", 0, &whole) == MID_OK);
    for (size_t i = 0; i < count; i++)
        must(mid_string_append(thread, &kinds, &whole, b) == MID_OK);
    mid_release(thread, whole);
}

static void grow_theirs(size_t count)
{
    must((pywhole = PyUnicode_FromStringAndSize("", 0)) != NULL);
    for (size_t i = 0; i < count; i++) {
        PyUnicode_Append(&pywhole, y);
        must(pywhole != NULL);
    }
    Py_DECREF(pywhole);
}

static void write_words(void)
{
    for (int i = 0; i < NAMES; i++)
        snprintf(words[i], sizeof words[i], "name%06d", i * 7919 % 1000000);
}

static void names_ours(size_t count)
{
    (void)count;
    write_words();
    for (int i = 0; i < NAMES; i++)
        must(mid_text_intern(thread, &kinds, words[i], strlen(words[i]), &names[i]) == MID_OK);
}

static void names_gone_ours(size_t count)
{
    (void)count;
    for (int i = 0; i < NAMES; i++)
        mid_release(thread, names[i]);
}

static void names_theirs(size_t count)
{
    (void)count;
    write_words();
    for (int i = 0; i < NAMES; i++)
        must((pynames[i] = PyUnicode_InternFromString(words[i])) != NULL);
}

static void names_gone_theirs(size_t count)
{
    (void)count;
    for (int i = 0; i < NAMES; i++)
        Py_DECREF(pynames[i]);
}

static void intern_ours(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mid_handle found;
        const char *word = words[i % NAMES];
        must(mid_text_intern(thread, &kinds, word, strlen(word), &found) == MID_OK);
        mid_release(thread, found);
    }
}

static void intern_theirs(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PyObject *found = PyUnicode_InternFromString(words[i % NAMES]);
        must(found != NULL);
        Py_DECREF(found);
    }
}

static void fresh_ours(size_t count)
{
    char word[32];
    for (size_t i = 0; i < count; i++) {
        mid_handle found;
        must(mid_text_intern(thread, &kinds, word, (size_t)snprintf(word, sizeof word, "fresh%zu", i), &found) == MID_OK);
        mid_release(thread, found);
    }
}

static void fresh_theirs(size_t count)
{
    char word[32];
    for (size_t i = 0; i < count; i++) {
        snprintf(word, sizeof word, "fresh%zu", i);
        PyObject *found = PyUnicode_InternFromString(word);
        must(found != NULL);
        Py_DECREF(found);
    }
}

static void hold_ours(size_t count)
{
    mid_handle *held = handles(count);
    for (size_t i = 0; i < count; i++) {
        char word[32];
        must(mid_text_new(thread, &kinds, word, (size_t)snprintf(word, sizeof word, "text %08zu", i), &held[i]) == MID_OK);
    }
}

static void hold_theirs(size_t count)
{
    PyObject **held = pointers(count);
    for (size_t i = 0; i < count; i++) {
        char word[32];
        must((held[i] = PyUnicode_FromStringAndSize(word, snprintf(word, sizeof word, "text %08zu", i))) != NULL);
    }
}

static void hold_interned_ours(size_t count)
{
    mid_handle *held = handles(count);
    for (size_t i = 0; i < count; i++) {
        char word[32];
        must(mid_text_intern(thread, &kinds, word, (size_t)snprintf(word, sizeof word, "text %08zu", i), &held[i]) == MID_OK);
    }
}

static void hold_interned_theirs(size_t count)
{
    PyObject **held = pointers(count);
    for (size_t i = 0; i < count; i++) {
        char word[32];
        snprintf(word, sizeof word, "text %08zu", i);
        must((held[i] = PyUnicode_InternFromString(word)) != NULL);
    }
}

const struct timed string_timed[] = {
    {"text of 20 create and drop", 300000, {.run = create_ours}, {.run = create_theirs}},
    {"string concatenate 9 + 12", 300000, {pair_ours, concat_ours, pair_gone_ours}, {pair_theirs, concat_theirs, pair_gone_theirs}},
    {"string append 12, in place", 100000, {pair_ours, grow_ours, pair_gone_ours}, {pair_theirs, grow_theirs, pair_gone_theirs}},
    {"string intern, there", 300000, {names_ours, intern_ours, names_gone_ours}, {names_theirs, intern_theirs, names_gone_theirs}},
    {"string intern, new", 100000, {.run = fresh_ours}, {.run = fresh_theirs}},
    {0},
};
const struct held string_held[] = {
    {"text of 13", 1000000, hold_ours, hold_theirs},
    {"text of 13, interned", 1000000, hold_interned_ours, hold_interned_theirs},
    {0},
};
