/* gc/kinds/print.c: any value as text. What is being written is on a stack, and in a set, so that a value inside itself is known. */
#include <stdio.h>
#include <string.h>

#include "gc/kinds/string.h"

typedef struct printer {
    kind_walk walk;
    mid_kind_write *write;
    void *context;
} printer;

static void say(printer *p, const char *text, size_t bytes)
{
    mid_callback frame;
    mid_callback_begin(&frame, p->walk.kinds->heap);
    p->write(p->context, text, bytes);
    mid_callback_end(&frame);
}

static void word(printer *p, const char *text)
{
    say(p, text, strlen(text));
}

static void real(printer *p, double value)
{
    char text[40];
    snprintf(text, sizeof text, "%.17g", value);
    for (int digits = 1; digits < 17; digits++) { /* as few as name it */
        char shorter[40];
        double back;
        snprintf(shorter, sizeof shorter, "%.*g", digits, value);
        if (sscanf(shorter, "%lf", &back) == 1 && back == value) {
            memcpy(text, shorter, sizeof shorter);
            break;
        }
    }
    if (value == value && strcspn(text, ".ein") == strlen(text))
        strcat(text, ".0");
    word(p, text);
}

static void string(printer *p, mid_handle value, bool bytes)
{
    const struct mid_string_object *s = kind_string_at(p->walk.thread, value);
    word(p, bytes ? "b\"" : "\"");
    size_t said = 0;
    for (size_t i = 0; i < s->length; i++) {
        unsigned char c = (unsigned char)s->content[i];
        if (c != '"' && c != '\\' && c >= 0x20 && c != 0x7f && !(bytes && c >= 0x80))
            continue;
        char escape[8];
        snprintf(escape, sizeof escape, c == '"' || c == '\\' ? "\\%c" : "\\x%02x", c);
        say(p, s->content + said, i - said);
        word(p, escape);
        said = i + 1;
    }
    say(p, s->content + said, s->length - said);
    word(p, "\"");
}

static void bare(printer *p, mid_handle text)
{
    const struct mid_string_object *s = kind_string_at(p->walk.thread, text);
    say(p, s->content, s->length);
}

static const char *const open_words[MID_KIND_COUNT] = {[MID_KIND_TUPLE] = "(", [MID_KIND_LIST] = "[", [MID_KIND_CELL] = "<cell ", [MID_KIND_SHAPE] = "<shape ", [MID_KIND_RECORD] = "<"};
static const char *const close_words[MID_KIND_COUNT] = {[MID_KIND_TUPLE] = ")", [MID_KIND_LIST] = "]", [MID_KIND_CELL] = ">", [MID_KIND_SHAPE] = ">", [MID_KIND_RECORD] = ">"};
static const char *const again_words[MID_KIND_COUNT] = {[MID_KIND_TUPLE] = "(...)", [MID_KIND_LIST] = "[...]", [MID_KIND_CELL] = "<...>", [MID_KIND_SHAPE] = "<...>", [MID_KIND_RECORD] = "<...>"};

static mid_status begin(printer *p, mid_handle value, mid_kind kind)
{
    bool inside;
    mid_status status = kind_note(&p->walk, value, &inside);
    if (status != MID_OK)
        return status;
    if (inside) {
        word(p, again_words[kind]);
        return MID_OK;
    }
    status = kind_push(&p->walk, (kind_frame){value, 0, 0});
    if (status != MID_OK)
        return status;
    word(p, open_words[kind]);
    if (kind == MID_KIND_SHAPE)
        bare(p, mid_peek(p->walk.thread, value, 1));
    if (kind == MID_KIND_RECORD)
        bare(p, mid_peek(p->walk.thread, mid_peek(p->walk.thread, value, 1), 1));
    return MID_OK;
}

static mid_status value(printer *p, mid_handle handle)
{
    mid_kind kind = kind_of(p->walk.kinds, handle);
    char text[40];
    switch (kind) {
    case MID_KIND_NOTHING:
        word(p, "nothing");
        return MID_OK;
    case MID_KIND_INT:
        snprintf(text, sizeof text, "%lld", (long long)(mid_is_int(handle) ? mid_to_int(handle) : *(const int64_t *)mid_get(p->walk.thread, handle)));
        word(p, text);
        return MID_OK;
    case MID_KIND_FLOAT:
        real(p, *(const double *)mid_get(p->walk.thread, handle));
        return MID_OK;
    case MID_KIND_BYTES:
    case MID_KIND_TEXT:
        string(p, handle, kind == MID_KIND_BYTES);
        return MID_OK;
    case MID_KIND_TUPLE:
    case MID_KIND_LIST:
    case MID_KIND_CELL:
    case MID_KIND_SHAPE:
    case MID_KIND_RECORD:
        return begin(p, handle, kind);
    default:
        snprintf(text, sizeof text, " %u>", handle);
        word(p, "<");
        word(p, mid_type_at(p->walk.kinds->heap, (mid_type)(MID_READ_(mid_entry_at(p->walk.kinds->heap, handle)->word) >> MID_TYPE_SHIFT_))->name);
        word(p, text);
        return MID_OK;
    }
}

/* The next value of the container on top, or its end. */
static mid_status step(printer *p)
{
    kind_frame *top = kind_top(&p->walk);
    mid_thread *thread = p->walk.thread;
    mid_kind kind = kind_of(p->walk.kinds, top->a);
    size_t count;
    unsigned first = kind_items(p->walk.kinds, thread, top->a, &count);
    uint32_t at = top->at++;
    mid_handle container = top->a;
    if (at >= count) {
        if (kind == MID_KIND_TUPLE && count == 1)
            word(p, ",");
        word(p, close_words[kind]);
        kind_forget(&p->walk, container);
        p->walk.height--;
        return MID_OK;
    }
    if (kind == MID_KIND_RECORD || kind == MID_KIND_SHAPE)
        word(p, " ");
    else if (at != 0)
        word(p, ", ");
    if (kind == MID_KIND_RECORD) {
        bare(p, mid_peek(thread, mid_peek(thread, container, 1), 2 + at));
        word(p, "=");
    }
    mid_handle next = mid_peek(thread, container, first + at);
    if (kind == MID_KIND_SHAPE) {
        bare(p, next);
        return MID_OK;
    }
    return value(p, next);
}

mid_status mid_kind_print(mid_thread *thread, const mid_kinds *kinds, mid_handle handle, mid_kind_write *write, void *context)
{
    mid_status status = kind_ready(thread, kinds);
    if (status != MID_OK)
        return status;
    if (write == NULL)
        return MID_ENULL;
    if (!kind_value(kinds, handle))
        return MID_EHANDLE;
    printer p = {{.thread = thread, .kinds = kinds}, write, context};
    status = value(&p, handle);
    while (status == MID_OK && p.walk.height != 0)
        status = step(&p);
    kind_walk_end(&p.walk);
    return status;
}
