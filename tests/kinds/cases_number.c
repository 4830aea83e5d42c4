/* tests/kinds/cases_number.c: integers and floats, made and dropped. */
#include "tests/kinds/kinds.h"

#define BIG (INT64_C(1) << 40) /* beyond what either side makes without an object */

static void int_ours(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mid_handle made;
        must(mid_int_new(thread, &kinds, BIG + (int64_t)i, &made) == MID_OK);
        mid_release(thread, made);
    }
}

static void int_theirs(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PyObject *made = PyLong_FromLongLong(BIG + (long long)i);
        must(made != NULL);
        Py_DECREF(made);
    }
}

static void small_ours(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mid_handle made;
        must(mid_int_new(thread, &kinds, 1000 + (int64_t)i, &made) == MID_OK);
        used(&made);
        mid_release(thread, made);
    }
}

static void small_theirs(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PyObject *made = PyLong_FromLongLong(1000 + (long long)i);
        must(made != NULL);
        Py_DECREF(made);
    }
}

static void float_ours(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mid_handle made;
        must(mid_float_new(thread, &kinds, (double)i, &made) == MID_OK);
        mid_release(thread, made);
    }
}

static void float_theirs(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PyObject *made = PyFloat_FromDouble((double)i);
        must(made != NULL);
        Py_DECREF(made);
    }
}

static void hold_ints_ours(size_t count)
{
    mid_handle *held = handles(count);
    for (size_t i = 0; i < count; i++)
        must(mid_int_new(thread, &kinds, BIG + (int64_t)i, &held[i]) == MID_OK);
}

static void hold_ints_theirs(size_t count)
{
    PyObject **held = pointers(count);
    for (size_t i = 0; i < count; i++)
        must((held[i] = PyLong_FromLongLong(BIG + (long long)i)) != NULL);
}

static void hold_small_ours(size_t count)
{
    mid_handle *held = handles(count);
    for (size_t i = 0; i < count; i++)
        must(mid_int_new(thread, &kinds, 1000 + (int64_t)i, &held[i]) == MID_OK);
}

static void hold_small_theirs(size_t count)
{
    PyObject **held = pointers(count);
    for (size_t i = 0; i < count; i++)
        must((held[i] = PyLong_FromLongLong(1000 + (long long)i)) != NULL);
}

static void hold_floats_ours(size_t count)
{
    mid_handle *held = handles(count);
    for (size_t i = 0; i < count; i++)
        must(mid_float_new(thread, &kinds, (double)i, &held[i]) == MID_OK);
}

static void hold_floats_theirs(size_t count)
{
    PyObject **held = pointers(count);
    for (size_t i = 0; i < count; i++)
        must((held[i] = PyFloat_FromDouble((double)i)) != NULL);
}

const struct timed number_timed[] = {
    {"int of 20 bits, create and drop", 1000000, {.run = small_ours}, {.run = small_theirs}},
    {"int of 41 bits, create and drop", 1000000, {.run = int_ours}, {.run = int_theirs}},
    {"float create and drop", 1000000, {.run = float_ours}, {.run = float_theirs}},
    {0},
};
const struct held number_held[] = {
    {"int of 20 bits", 1000000, hold_small_ours, hold_small_theirs},
    {"int of 41 bits", 1000000, hold_ints_ours, hold_ints_theirs},
    {"float", 1000000, hold_floats_ours, hold_floats_theirs},
    {0},
};
