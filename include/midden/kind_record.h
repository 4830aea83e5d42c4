/* midden/kind_record.h: cells, and records with named fields. What kinds.h says of threads and errors holds here. */
#ifndef MIDDEN_KIND_RECORD_H
#define MIDDEN_KIND_RECORD_H

#include "kinds.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- cells: a variable that closures share, one reference -------------------------------------------------------------- */

MID_API mid_status mid_cell_new(mid_thread *thread, const mid_kinds *kinds, mid_handle value, mid_handle *out);
/* What is in it, counted / another value in its place. Atomic to all threads. */
MID_API mid_status mid_cell_get(mid_thread *thread, const mid_kinds *kinds, mid_handle cell, mid_handle *out);
MID_API mid_status mid_cell_set(mid_thread *thread, const mid_kinds *kinds, mid_handle cell, mid_handle value);

/* --- records ------------------------------------------------------------------------------------------------------- */

/* A shape: the name of a kind of record and those of its fields, all interned text. It never changes, lives while a record
 * of it does, and needs no type of its own. MID_EINVAL: a field twice, or no UTF-8; MID_ESIZE: more than 65535 fields; MID_ENULL: a name. */
MID_API mid_status mid_shape_new(mid_thread *thread, const mid_kinds *kinds, const char *name, const char *const *fields, size_t count,
                                 mid_handle *out);
MID_API mid_status mid_shape_length(mid_thread *thread, const mid_kinds *kinds, mid_handle shape, size_t *count);
/* Which field has this name (text)? MID_EINVAL: none. Time grows with the number of fields: ask once, and use the number. */
MID_API mid_status mid_shape_find(mid_thread *thread, const mid_kinds *kinds, mid_handle shape, mid_handle name, size_t *field);

/* A record: of as many values as the shape has fields, which it counts; null: nothing in all of them. */
MID_API mid_status mid_record_new(mid_thread *thread, const mid_kinds *kinds, mid_handle shape, const mid_handle *values, mid_handle *out);
/* Its shape, counted. */
MID_API mid_status mid_record_shape(mid_thread *thread, const mid_kinds *kinds, mid_handle record, mid_handle *out);
/* Field number `field`, counted / another value in its place. Atomic to all threads. MID_EINVAL: no such field. */
MID_API mid_status mid_record_get(mid_thread *thread, const mid_kinds *kinds, mid_handle record, size_t field, mid_handle *out);
MID_API mid_status mid_record_set(mid_thread *thread, const mid_kinds *kinds, mid_handle record, size_t field, mid_handle value);

#ifdef __cplusplus
}
#endif
#endif
