/* gc/writer.h: text to a descriptor, whatever that is, without a signal. */
#ifndef MID_GC_WRITER_H
#define MID_GC_WRITER_H

#include <stddef.h>
#include <stdint.h>

typedef struct mid_writer {
    int fd, error;  /* error: errno of the write that failed; the rest is dropped */
    size_t used;
    char buffer[16384];
} mid_writer;

void mid_put(mid_writer *w, const char *text, size_t length);
void mid_put_text(mid_writer *w, const char *text);
/* Write what `fill` puts, on the caller's stack; returns errno of the write that failed, or 0. A pipe that nobody reads any more is an
 * error like others. */
int mid_write_quietly(int fd, void (*fill)(mid_writer *, const void *), const void *context);
/* Bytes of the UTF-8 sequence there, of at most `room` and up to a zero byte; 0: it is none. */
unsigned mid_utf8(const unsigned char *s, size_t room);

#endif
