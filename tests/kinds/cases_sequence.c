/* tests/kinds/cases_sequence.c: tuples and lists. */
#include "tests/kinds/kinds.h"

static mid_handle a, b, list;
static PyObject *x, *y, *pylist, *pop_name;

static void two_ours(size_t count)
{
    (void)count;
    must(mid_float_new(thread, &kinds, 1.5, &a) == MID_OK && mid_float_new(thread, &kinds, 2.5, &b) == MID_OK);
}

static void two_gone_ours(size_t count)
{
    (void)count;
    mid_release(thread, a);
    mid_release(thread, b);
}

static void two_theirs(size_t count)
{
    (void)count;
    must((x = PyFloat_FromDouble(1.5)) != NULL && (y = PyFloat_FromDouble(2.5)) != NULL);
}

static void two_gone_theirs(size_t count)
{
    (void)count;
    Py_DECREF(x);
    Py_DECREF(y);
}

static void tuple_ours(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mid_handle made, of[2] = {a, b};
        must(mid_tuple_new(thread, &kinds, of, 2, &made) == MID_OK);
        mid_release(thread, made);
    }
}

static void tuple_theirs(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PyObject *made = PyTuple_Pack(2, x, y);
        must(made != NULL);
        Py_DECREF(made);
    }
}

static void list_ours(size_t count)
{
    two_ours(count);
    must(mid_list_new(thread, &kinds, 0, &list) == MID_OK);
}

static void list_gone_ours(size_t count)
{
    mid_release(thread, list);
    two_gone_ours(count);
}

static void list_theirs(size_t count)
{
    two_theirs(count);
    must((pylist = PyList_New(0)) != NULL && (pop_name = PyUnicode_InternFromString("pop")) != NULL);
}

static void list_gone_theirs(size_t count)
{
    Py_DECREF(pylist);
    Py_DECREF(pop_name);
    two_gone_theirs(count);
}

static void append_ours(size_t count)
{
    for (size_t i = 0; i < count; i++)
        must(mid_list_append(thread, &kinds, list, a) == MID_OK);
}

static void append_theirs(size_t count)
{
    for (size_t i = 0; i < count; i++)
        must(PyList_Append(pylist, x) == 0);
}

static void full_ours(size_t count)
{
    list_ours(count);
    append_ours(count);
}

static void full_theirs(size_t count)
{
    list_theirs(count);
    append_theirs(count);
}

static void index_ours(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mid_handle at;
        must(mid_list_get(thread, &kinds, list, i, &at) == MID_OK);
        mid_release(thread, at);
    }
}

static void index_theirs(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PyObject *at = PySequence_GetItem(pylist, (Py_ssize_t)i);
        must(at != NULL);
        Py_DECREF(at);
    }
}

static void peek_ours(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mid_handle at = mid_list_peek(thread, list, i);
        used(&at);
    }
}

static void peek_theirs(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PyObject *at = PyList_GetItem(pylist, (Py_ssize_t)i);
        used(at);
    }
}

static void pop_ours(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mid_handle last;
        must(mid_list_pop(thread, &kinds, list, &last) == MID_OK);
        mid_release(thread, last);
    }
}

static void pop_theirs(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PyObject *last = PyObject_CallMethodNoArgs(pylist, pop_name);
        must(last != NULL);
        Py_DECREF(last);
    }
}

static void hold_tuples_ours(size_t count)
{
    mid_handle *held = handles(count), of[2] = {mid_from_int(1), mid_from_int(2)};
    for (size_t i = 0; i < count; i++)
        must(mid_tuple_new(thread, &kinds, of, 2, &held[i]) == MID_OK);
}

static void hold_tuples_theirs(size_t count)
{
    PyObject **held = pointers(count), *one = PyLong_FromLong(1), *two = PyLong_FromLong(2);
    for (size_t i = 0; i < count; i++)
        must((held[i] = PyTuple_Pack(2, one, two)) != NULL);
}

static void hold_list_ours(size_t count)
{
    must(mid_list_new(thread, &kinds, 0, &list) == MID_OK);
    for (size_t i = 0; i < count; i++)
        must(mid_list_append(thread, &kinds, list, mid_from_int(1)) == MID_OK);
}

static void hold_list_theirs(size_t count)
{
    PyObject *one = PyLong_FromLong(1);
    must((pylist = PyList_New(0)) != NULL);
    for (size_t i = 0; i < count; i++)
        must(PyList_Append(pylist, one) == 0);
}

static void hold_lists_ours(size_t count)
{
    mid_handle *held = handles(count);
    for (size_t i = 0; i < count; i++) {
        must(mid_list_new(thread, &kinds, 0, &held[i]) == MID_OK);
        for (int n = 0; n < 3; n++)
            must(mid_list_append(thread, &kinds, held[i], mid_from_int(n)) == MID_OK);
    }
}

static void hold_lists_theirs(size_t count)
{
    PyObject **held = pointers(count);
    for (size_t i = 0; i < count; i++) {
        must((held[i] = PyList_New(0)) != NULL);
        for (int n = 0; n < 3; n++) {
            PyObject *number = PyLong_FromLong(n);
            must(PyList_Append(held[i], number) == 0);
            Py_DECREF(number);
        }
    }
}

const struct timed sequence_timed[] = {
    {"tuple of 2 create and drop", 1000000, {two_ours, tuple_ours, two_gone_ours}, {two_theirs, tuple_theirs, two_gone_theirs}},
    {"list append", 1000000, {list_ours, append_ours, list_gone_ours}, {list_theirs, append_theirs, list_gone_theirs}},
    {"list index, counted", 1000000, {full_ours, index_ours, list_gone_ours}, {full_theirs, index_theirs, list_gone_theirs}},
    {"list index, borrowed", 1000000, {full_ours, peek_ours, list_gone_ours}, {full_theirs, peek_theirs, list_gone_theirs}},
    {"list pop", 1000000, {full_ours, pop_ours, list_gone_ours}, {full_theirs, pop_theirs, list_gone_theirs}},
    {0},
};
const struct held sequence_held[] = {
    {"tuple of 2", 1000000, hold_tuples_ours, hold_tuples_theirs},
    {"list of 3, appended", 500000, hold_lists_ours, hold_lists_theirs},
    {"value in a list of 4 million", 4000000, hold_list_ours, hold_list_theirs},
    {0},
};
