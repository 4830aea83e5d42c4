/* midden/version.h: the version, for the preprocessor and at run time.
 *
 * ABI: within one MAJOR version, structures that a program hands in or reads out carry their own size
 * (mid_stats, mid_type_desc, mid_listener, mid_options) and only ever grow at the end; the part of
 * mid_thread and the entry layout that inline.h uses are frozen. A change to either raises MAJOR and
 * with it the soname. */
#ifndef MIDDEN_VERSION_H
#define MIDDEN_VERSION_H

#define MID_VERSION_MAJOR 0
#define MID_VERSION_MINOR 1
#define MID_VERSION_PATCH 0
#define MID_VERSION_STRING "0.1.0"
#define MID_VERSION (MID_VERSION_MAJOR * 10000 + MID_VERSION_MINOR * 100 + MID_VERSION_PATCH)

#define MID_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that is linked, as MID_VERSION. Any thread, no heap needed. */
MID_API int mid_version(void);

#ifdef __cplusplus
}
#endif
#endif
