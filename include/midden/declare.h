/* midden/declare.h: a type, declared once. Part of local.h, which includes it.
 *
 * A table names the fields of a struct; MID_DECLARE makes of it the struct, what the heap is told of it, and a handle of its own:
 *
 *     #define NOTE(FIELD)                 \
 *         FIELD(REF, next)                \
 *         FIELD(REFS, tags, 4)            \
 *         FIELD(VALUE, uint32_t, number)  \
 *         FIELD(ARRAY, char, author, 16)
 *     MID_DECLARE(note, NOTE);
 *
 * REF: a mid_slot. REFS: an array of them. VALUE: a field of any type. ARRAY: an array of any type; of characters it is shown as text.
 * A type of variable size has one LENGTH (a uint32_t, which the heap keeps; the name is given) and, last, the items:
 *
 *     FIELD(LENGTH, length) FIELD(ITEMS, char, bytes)     or     FIELD(LENGTH, length) FIELD(REF_ITEMS, elements)
 *
 * What is declared:
 *
 *     struct note                                           the fields, in their order
 *     note_describe()                                       a mid_type_desc with name, sizes, slots and fields, to which flags,
 *                                                           a finalizer and so on may be added before mid_type_register
 *     note_register(heap, &type)                            both at once, with nothing added; as mid_type_register
 *     note_ref                                              a typed handle: a struct with one mid_handle, `handle`. It is passed in
 *                                                           a register as a plain one is, and cannot be mixed up with one of
 *                                                           another type, or assigned to a slot unawares
 *     note_get(thread, ref)                                 mid_get, as a struct note *
 *     note_new(thread, type, &ref)                          mid_new; of a variable type mid_new_array with a number of items:
 *     note_new_items(thread, type, items, &ref)
 *     note_of(handle)                                       the handle as a note_ref: nothing is checked or counted
 *     note_cast(thread, type, handle, &ref)                 the same, checked: MID_ETYPE if it is an object of another type
 *                                                           than `type` (with the errors of mid_type_of)
 *
 * note_new of a variable type is MID_ETYPE, and note_new_items of a fixed one. A name of a table or field is one token; types in VALUE,
 * ARRAY and ITEMS may be several. In C++ as in C. */
#ifndef MIDDEN_DECLARE_H
#define MIDDEN_DECLARE_H

#include <stddef.h>

#include "object.h"

/* Kinds, from types. */
#ifdef __cplusplus
extern "C++" {
template <class T> constexpr uint32_t mid_kind_of_(T *)
{
    return __is_enum(T) ? MID_FIELD_UINT : MID_FIELD_BYTES;
}
template <class T> constexpr uint32_t mid_kind_of_(T **) { return MID_FIELD_POINTER; }
constexpr uint32_t mid_kind_of_(bool *) { return MID_FIELD_UINT; }
constexpr uint32_t mid_kind_of_(char *) { return MID_FIELD_INT; }
constexpr uint32_t mid_kind_of_(signed char *) { return MID_FIELD_INT; }
constexpr uint32_t mid_kind_of_(short *) { return MID_FIELD_INT; }
constexpr uint32_t mid_kind_of_(int *) { return MID_FIELD_INT; }
constexpr uint32_t mid_kind_of_(long *) { return MID_FIELD_INT; }
constexpr uint32_t mid_kind_of_(long long *) { return MID_FIELD_INT; }
constexpr uint32_t mid_kind_of_(unsigned char *) { return MID_FIELD_UINT; }
constexpr uint32_t mid_kind_of_(unsigned short *) { return MID_FIELD_UINT; }
constexpr uint32_t mid_kind_of_(unsigned *) { return MID_FIELD_UINT; }
constexpr uint32_t mid_kind_of_(unsigned long *) { return MID_FIELD_UINT; }
constexpr uint32_t mid_kind_of_(unsigned long long *) { return MID_FIELD_UINT; }
constexpr uint32_t mid_kind_of_(float *) { return MID_FIELD_FLOAT; }
constexpr uint32_t mid_kind_of_(double *) { return MID_FIELD_FLOAT; }
constexpr uint32_t mid_kind_of_(long double *) { return MID_FIELD_FLOAT; }
template <class T> constexpr uint32_t mid_kinds_of_(T *p) { return mid_kind_of_(p); }
constexpr uint32_t mid_kinds_of_(char *) { return MID_FIELD_TEXT; }
}
#define MID_KIND_OF_(type) mid_kind_of_((__typeof__(type) *)0)
#define MID_KINDS_OF_(type) mid_kinds_of_((__typeof__(type) *)0)
#else
/* The class 5 of __builtin_classify_type is that of pointers, in gcc and clang. */
#define MID_KIND_OF_(type)                                                                                             \
    _Generic((__typeof__(type) *)0, _Bool *: MID_FIELD_UINT, char *: MID_FIELD_INT, signed char *: MID_FIELD_INT,      \
             short *: MID_FIELD_INT, int *: MID_FIELD_INT, long *: MID_FIELD_INT, long long *: MID_FIELD_INT,          \
             unsigned char *: MID_FIELD_UINT, unsigned short *: MID_FIELD_UINT, unsigned *: MID_FIELD_UINT,            \
             unsigned long *: MID_FIELD_UINT, unsigned long long *: MID_FIELD_UINT, float *: MID_FIELD_FLOAT,          \
             double *: MID_FIELD_FLOAT, long double *: MID_FIELD_FLOAT,                                                \
             default: __builtin_classify_type(*(__typeof__(type) *)0) == 5 ? MID_FIELD_POINTER : MID_FIELD_BYTES)
#define MID_KINDS_OF_(type) _Generic((__typeof__(type) *)0, char *: MID_FIELD_TEXT, default: MID_KIND_OF_(type))
#endif

/* The members. */
#define MID_MEMBER_(kind, ...) MID_MEMBER_##kind##_(__VA_ARGS__)
#define MID_MEMBER_REF_(name) mid_slot name;
#define MID_MEMBER_REFS_(name, count) mid_slot name[count];
#define MID_MEMBER_VALUE_(type, name) __typeof__(type) name;
#define MID_MEMBER_ARRAY_(type, name, count) __typeof__(type) name[count];
#define MID_MEMBER_LENGTH_(name) uint32_t name;
#define MID_MEMBER_ITEMS_(type, name) __typeof__(type) name[];
#define MID_MEMBER_REF_ITEMS_(name) mid_slot name[];

/* The rows of the table of fields; self_ is the struct. */
#define MID_ROW_(kind, ...) MID_ROW_##kind##_(__VA_ARGS__)
#define MID_ROW_OF_(name, bytes, n, kind) {#name, (uint32_t)offsetof(self_, name), (uint32_t)(bytes), (n), (uint32_t)(kind)},
#define MID_ROW_REF_(name) MID_ROW_OF_(name, sizeof(((self_ *)0)->name.bits_), 1, MID_FIELD_REF)
#define MID_ROW_REFS_(name, count) MID_ROW_OF_(name, sizeof(mid_slot), (count), MID_FIELD_REF)
#define MID_ROW_VALUE_(type, name) MID_ROW_OF_(name, sizeof(type), 1, MID_KIND_OF_(type))
#define MID_ROW_ARRAY_(type, name, count) MID_ROW_OF_(name, sizeof(type), (count), MID_KINDS_OF_(type))
#define MID_ROW_LENGTH_(name) MID_ROW_OF_(name, sizeof(uint32_t), 1, MID_FIELD_UINT)
#define MID_ROW_ITEMS_(type, name) MID_ROW_OF_(name, sizeof(type), 1, MID_KINDS_OF_(type))
#define MID_ROW_REF_ITEMS_(name) MID_ROW_OF_(name, sizeof(mid_slot), 1, MID_FIELD_REF)

/* What of a row changes the description. */
#define MID_SHAPE_(kind, ...) MID_SHAPE_##kind##_(__VA_ARGS__)
#define MID_SHAPE_REF_(name)
#define MID_SHAPE_REFS_(name, count)
#define MID_SHAPE_VALUE_(type, name)
#define MID_SHAPE_ARRAY_(type, name, count)
#define MID_SHAPE_LENGTH_(name) desc_.length_offset = offsetof(self_, name);
#define MID_SHAPE_ITEMS_(type, name) desc_.size = offsetof(self_, name), desc_.item_size = sizeof(type);
#define MID_SHAPE_REF_ITEMS_(name)                                                                                     \
    desc_.size = offsetof(self_, name), desc_.item_size = sizeof(mid_slot), desc_.items_are_refs = 1;

#define MID_UNUSED_ static inline __attribute__((unused))

#define MID_DECLARE(type_, TABLE)                                                                                      \
    struct type_ {                                                                                                     \
        TABLE(MID_MEMBER_)                                                                                             \
    };                                                                                                                 \
    MID_UNUSED_ mid_type_desc type_##_describe(void)                                                                   \
    {                                                                                                                  \
        typedef struct type_ self_;                                                                                    \
        static const mid_field fields_[] = {TABLE(MID_ROW_)};                                                          \
        mid_type_desc desc_ = {};                                                                                      \
        desc_.struct_size = sizeof desc_;                                                                              \
        desc_.name = #type_;                                                                                           \
        desc_.size = sizeof(self_);                                                                                    \
        desc_.align = __alignof__(self_) > 8 ? __alignof__(self_) : 0;                                                 \
        desc_.fields = fields_;                                                                                        \
        desc_.field_count = sizeof fields_ / sizeof *fields_;                                                          \
        TABLE(MID_SHAPE_)                                                                                              \
        return desc_;                                                                                                  \
    }                                                                                                                  \
    MID_UNUSED_ mid_status type_##_register(mid_heap *heap, mid_type *out)                                             \
    {                                                                                                                  \
        mid_type_desc desc_ = type_##_describe();                                                                      \
        return mid_type_register(heap, &desc_, out);                                                                   \
    }                                                                                                                  \
    MID_TYPED(type_)

/* The typed handle alone, of a struct that is declared by hand. */
#define MID_TYPED(type_)                                                                                               \
    typedef struct type_##_ref {                                                                                       \
        mid_handle handle;                                                                                             \
    } type_##_ref;                                                                                                     \
    MID_UNUSED_ type_##_ref type_##_of(mid_handle handle)                                                              \
    {                                                                                                                  \
        type_##_ref ref_ = {handle};                                                                                   \
        return ref_;                                                                                                   \
    }                                                                                                                  \
    MID_UNUSED_ struct type_ *type_##_get(mid_thread *thread, type_##_ref ref_)                                        \
    {                                                                                                                  \
        return (struct type_ *)mid_get(thread, ref_.handle);                                                           \
    }                                                                                                                  \
    MID_UNUSED_ mid_status type_##_new(mid_thread *thread, mid_type type, type_##_ref *out)                            \
    {                                                                                                                  \
        return mid_new(thread, type, &out->handle);                                                                    \
    }                                                                                                                  \
    MID_UNUSED_ mid_status type_##_new_items(mid_thread *thread, mid_type type, size_t items, type_##_ref *out)        \
    {                                                                                                                  \
        return mid_new_array(thread, type, items, &out->handle);                                                       \
    }                                                                                                                  \
    MID_UNUSED_ mid_status type_##_cast(mid_thread *thread, mid_type type, mid_handle handle, type_##_ref *out)        \
    {                                                                                                                  \
        return mid_cast_(thread, type, handle, &out->handle);                                                          \
    }                                                                                                                  \
    struct type_

/* *out is 0 if it is none. */
MID_UNUSED_ mid_status mid_cast_(mid_thread *thread, mid_type type, mid_handle handle, mid_handle *out)
{
    mid_type is = 0;
    mid_status status = mid_type_of(thread, handle, &is);
    if (status == MID_OK && is != type)
        status = MID_ETYPE;
    *out = status == MID_OK ? handle : 0;
    return status;
}

#endif
