/* daemon/pageview.c: /, the page that the Makefile has made an array of (page.html), with the nonce of this answer in it. */
#include <event2/buffer.h>
#include <string.h>

#include "daemon/http.h"

extern const unsigned char mid_page[]; /* ends with a zero byte */

#define MARK "@NONCE@"

bool mid_view_page(const mid_view *view, struct evbuffer *out)
{
    const char *at = (const char *)mid_page, *mark;
    bool good = true;
    for (; (mark = strstr(at, MARK)) != NULL; at = mark + strlen(MARK)) {
        good &= evbuffer_add(out, at, (size_t)(mark - at)) == 0;
        good &= evbuffer_add(out, view->nonce, strlen(view->nonce)) == 0;
    }
    return good && evbuffer_add(out, at, strlen(at)) == 0;
}
