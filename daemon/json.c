/* daemon/json.c: foreign text as JSON (json.h). */
#include "daemon/json.h"

#include <stdlib.h>

json_t *mid_json_text(const char *text, size_t length)
{
    json_t *made = json_stringn(text, length);
    if (made != NULL)
        return made;
    char *plain = malloc(length + 1);
    if (plain == NULL)
        return NULL;
    for (size_t i = 0; i < length; i++)
        plain[i] = (char)((unsigned char)text[i] < 128 ? text[i] : '?');
    made = json_stringn(plain, length);
    free(plain);
    return made;
}
