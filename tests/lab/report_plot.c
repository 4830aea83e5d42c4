/* report_plot.c: runs gnuplot as a child process and puts its SVG into the page, made fit for it: no XML prologue, no
 * ids (several pictures share the page), a title that says what is seen, colours that follow the page's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab.h"
#include "report.h"

static int script_file(const char *script)
{
    static const char settings[] =
        "set terminal svg size 880,360 font 'sans-serif,13' noenhanced\n"
        "set border 3\nset tics nomirror\nset grid ytics lc rgb '#888888'\nset key outside right top\n";
    int fd = memfd_create("midden-script", MFD_CLOEXEC);
    FILE *file = fd >= 0 ? fdopen(dup(fd), "w") : NULL;
    if (file == NULL)
        return -1;
    fputs(settings, file);
    fputs(script, file);
    if (fclose(file) != 0 || lseek(fd, 0, SEEK_SET) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static char *read_all(int fd)
{
    char *text = NULL;
    size_t length = 0;
    FILE *in = fdopen(fd, "r"), *out = open_memstream(&text, &length);
    char block[4096];
    size_t got;
    while (in != NULL && out != NULL && (got = fread(block, 1, sizeof block, in)) != 0)
        fwrite(block, 1, got, out);
    if (in != NULL)
        fclose(in);
    if (out != NULL)
        fclose(out);
    return text;
}

/* gnuplot's output, or null. */
static char *run_gnuplot(const char *script)
{
    int ends[2], status, in = script_file(script);
    pid_t child;
    if (in < 0 || pipe(ends) != 0)
        return NULL;
    fflush(NULL);
    if ((child = fork()) == 0) {
        dup2(in, STDIN_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execlp("gnuplot", "gnuplot", "-", (char *)NULL);
        _exit(127);
    }
    close(in);
    close(ends[1]);
    char *svg = read_all(ends[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return svg;
    free(svg);
    return NULL;
}

void report_escape(FILE *page, const char *text)
{
    for (; *text != 0; text++)
        switch (*text) {
        case '<': fputs("&lt;", page); break;
        case '>': fputs("&gt;", page); break;
        case '&': fputs("&amp;", page); break;
        case '"': fputs("&quot;", page); break;
        default: fputc(*text, page);
        }
}

/* Move *at behind the next `to`; false: there is none. */
static bool skip_to(const char **at, const char *to)
{
    const char *found = strstr(*at, to);
    if (found != NULL)
        *at = found + strlen(to);
    return found != NULL;
}

static bool write_svg(FILE *page, const char *svg, const char *title)
{
    const char *at = svg;
    if (!skip_to(&at, "viewBox=\"") || strstr(at, "\"") == NULL)
        return false;
    fprintf(page, "<svg viewBox=\"%.*s\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\"><title>",
            (int)strcspn(at, "\""), at);
    report_escape(page, title);
    fputs("</title>\n", page);
    if (!skip_to(&at, "</desc>") || !skip_to(&at, "<defs>") || !skip_to(&at, "</defs>"))
        return false;
    fputs("<g>\n", page); /* instead of the canvas group, which was opened before the definitions */
    for (const char *id; (id = strstr(at, " id=\"")) != NULL; at = id + 5 + strcspn(id + 5, "\"") + 1)
        fwrite(at, 1, (size_t)(id - at), page);
    fputs(at, page);
    return true;
}

void report_draw(report *of, FILE *page, const char *title, const char *script)
{
    char *svg = of->no_gnuplot ? NULL : run_gnuplot(script);
    if (svg == NULL && !of->no_gnuplot) {
        of->no_gnuplot = true;
        lab_error("gnuplot is missing or failed: the page has tables only");
    }
    fputs("<figure><figcaption>", page);
    report_escape(page, title);
    fputs("</figcaption>\n", page);
    if (svg == NULL || !write_svg(page, svg, title))
        fputs("<p>This chart needs gnuplot, which could not be run.</p>\n", page);
    fputs("</figure>\n", page);
    free(svg);
}

/* Text from a file, inside gnuplot's single quotes. */
static void quote(FILE *script, const char *text)
{
    for (; *text != 0; text++)
        if ((unsigned char)*text >= ' ' && *text != '\'')
            fputc(*text, script);
}

void report_style(FILE *script, const char *heap, const char *variant)
{
    static const struct style {
        const char *heap, *variant, *colour; /* variant null: any that has no line of its own before */
        int dash;
    } styles[] = {{"midden", "acyclic", "#7fcdb5", 1}, {"midden", NULL, "#0a9d73", 1},   {"boehm", "plain", "#f0a67c", 2},
                  {"boehm", NULL, "#e0662a", 2},       {"malloc", NULL, "#3f8fd6", 4},   {"mimalloc", NULL, "#c46fa0", 5},
                  {"jemalloc", NULL, "#b8890b", 1},    {NULL, NULL, "#8a8a8a", 3}};
    const struct style *found = styles;
    while (found->heap != NULL && (strcmp(found->heap, heap) != 0 ||
                                   (found->variant != NULL && strcmp(found->variant, variant) != 0)))
        found++;
    fprintf(script, " lc rgb '%s' dt %d title '", found->colour, found->dash);
    quote(script, heap);
    fputs(variant[0] != 0 ? " " : "", script);
    quote(script, variant);
    fputc('\'', script);
}
