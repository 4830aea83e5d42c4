/* daemon/answer.c: one request: may it be answered, with what, and with which headers (docs/design/watching.md). */
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/util.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "daemon/http.h"

#define NONCE_BYTES 16u

/* A page from elsewhere whose name has been made to mean this machine (DNS rebinding) still names itself. */
static bool names_us(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        size_t length = strlen(names[i]);
        if (evutil_ascii_strncasecmp(host, names[i], length) != 0)
            continue;
        const char *rest = host + length;
        if (*rest == 0)
            return true;
        return *rest == ':' && rest[1] != 0 && strspn(rest + 1, "0123456789") == strlen(rest + 1);
    }
    return false;
}

static bool host_is_ours(struct evhttp_request *request)
{
    const struct evkeyval *header;
    const char *in_uri = evhttp_uri_get_host(evhttp_request_get_evhttp_uri(request));
    unsigned hosts = 0;
    TAILQ_FOREACH(header, evhttp_request_get_input_headers(request), next)
    {
        if (evutil_ascii_strcasecmp(header->key, "Host") != 0)
            continue;
        hosts++;
        if (!names_us(header->value))
            return false;
    }
    return hosts == 1 && (in_uri == NULL || names_us(in_uri));
}

static void add_headers(struct evhttp_request *request, const char *type, const char *policy)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Content-Security-Policy", policy);
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    evhttp_add_header(headers, "Cross-Origin-Resource-Policy", "same-origin");
    evhttp_add_header(headers, "Referrer-Policy", "no-referrer");
    evhttp_add_header(headers, "Cache-Control", "no-store");
}

#define NOTHING_ELSE "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

static void refuse(struct evhttp_request *request, int code, const char *text)
{
    struct evbuffer *body = evbuffer_new();
    add_headers(request, "text/plain; charset=utf-8", NOTHING_ELSE);
    if (body != NULL)
        evbuffer_add_printf(body, "%s\n", text);
    evhttp_send_reply(request, code, text, body);
    if (body != NULL)
        evbuffer_free(body);
}

static void make_nonce(char into[2 * NONCE_BYTES + 1])
{
    unsigned char bytes[NONCE_BYTES];
    if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) != sizeof bytes)
        evutil_secure_rng_get_bytes(bytes, sizeof bytes);
    for (unsigned i = 0; i < NONCE_BYTES; i++)
        evutil_snprintf(into + 2 * i, 3, "%02x", bytes[i]);
}

static const struct path {
    const char *path, *type;
    mid_view_fn *view; /* or else */
    const mid_story *story;
} paths[] = {
    {"/", "text/html; charset=utf-8", mid_view_page, NULL},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", mid_view_metrics, NULL},
    {"/heap.json", "application/json", NULL, &mid_story_heap},
    {"/log.json", "application/json", NULL, &mid_story_log},
    {"/trace.json", "application/json", NULL, &mid_story_trace},
};

/* The whole, or its first piece. */
static mid_told tell(const mid_view *view, const struct path *path, struct evbuffer *body, mid_pieces **rest)
{
    mid_told told;
    *rest = NULL;
    if (path->story == NULL)
        return path->view(view, body) ? MID_TOLD_ALL : MID_TOLD_FAILED;
    *rest = mid_pieces_begin(view, path->story, body, &told);
    return told;
}

/* How long what comes in pieces is, nobody knows before the end. */
static void answer_head(struct evhttp_request *request, struct evbuffer *body, mid_pieces *rest)
{
    char length[24];
    if (rest == NULL) {
        evutil_snprintf(length, sizeof length, "%zu", evbuffer_get_length(body));
        evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Length", length);
    } else {
        mid_pieces_drop(rest);
    }
    evhttp_send_reply(request, 200, "OK", NULL);
}

static void show(mid_view view, struct evhttp_request *request, const struct path *path)
{
    char nonce[2 * NONCE_BYTES + 1], policy[300];
    mid_pieces *rest = NULL;
    make_nonce(nonce);
    view.nonce = nonce;
    struct evbuffer *body = evbuffer_new();
    if (body == NULL || tell(&view, path, body, &rest) == MID_TOLD_FAILED) {
        if (body != NULL)
            evbuffer_free(body);
        refuse(request, 503, "No memory");
        return;
    }
    evutil_snprintf(policy, sizeof policy,
                    NOTHING_ELSE "; connect-src 'self'; img-src data:; script-src 'nonce-%s'; style-src 'nonce-%s'", nonce, nonce);
    add_headers(request, path->type, path->view == mid_view_page ? policy : NOTHING_ELSE);
    if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD)
        answer_head(request, body, rest);
    else if (rest != NULL)
        mid_pieces_send(rest, request, body);
    else
        evhttp_send_reply(request, 200, "OK", body);
    evbuffer_free(body);
}

void mid_http_answer(const mid_view *view, struct evhttp_request *request)
{
    const struct path *found = NULL;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    enum evhttp_cmd_type method = evhttp_request_get_command(request);
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++)
        if (path != NULL && strcmp(paths[i].path, path) == 0)
            found = &paths[i];
    if (!host_is_ours(request)) {
        refuse(request, 403, "Host is not of this machine");
    } else if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
        evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET, HEAD");
        refuse(request, 405, "Method not allowed");
    } else if (found == NULL) {
        refuse(request, 404, "Not found");
    } else {
        show(*view, request, found);
    }
}
