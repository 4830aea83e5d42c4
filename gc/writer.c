/* gc/writer.c: text to a descriptor. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gc/writer.h"

static void flush(mid_writer *w)
{
    for (size_t done = 0; done < w->used && w->error == 0;) {
        ssize_t n = write(w->fd, w->buffer + done, w->used - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            w->error = n == 0 ? EIO : errno;
    }
    w->used = 0;
}

void mid_put(mid_writer *w, const char *text, size_t length)
{
    while (length != 0 && w->error == 0) {
        if (w->used == sizeof w->buffer)
            flush(w);
        const size_t room = sizeof w->buffer - w->used, now = length < room ? length : room;
        memcpy(w->buffer + w->used, text, now);
        w->used += now;
        text += now;
        length -= now;
    }
}

void mid_put_text(mid_writer *w, const char *text)
{
    mid_put(w, text, strlen(text));
}

/* The signal that a broken pipe comes with is taken back. */
int mid_write_quietly(int fd, void (*fill)(mid_writer *, const void *), const void *context)
{
    sigset_t pipe, before, pending;
    mid_writer w;
    w.fd = fd;
    w.error = 0;
    w.used = 0;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    const bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    fill(&w, context);
    flush(&w);
    if (w.error == EPIPE && !was_pending)
        while (sigtimedwait(&pipe, NULL, &(struct timespec){0, 0}) < 0 && errno == EINTR)
            continue;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return w.error;
}

unsigned mid_utf8(const unsigned char *s, size_t room)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned length = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    if (length < 2)
        return length;
    if (length > room)
        return 0;
    uint32_t code = s[0] & (0x7Fu >> length);
    for (unsigned i = 1; i < length; i++) {
        if (s[i] >> 6 != 2) /* also at the end of the string */
            return 0;
        code = code << 6 | (s[i] & 0x3F);
    }
    return code < least[length] || code > 0x10FFFF || code >> 11 == 0x1B ? 0 : length;
}
