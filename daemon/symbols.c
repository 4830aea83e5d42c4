/* daemon/symbols.c: names of addresses, through elfutils' libdwfl. */
#include "midden/symbols.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mid_symbols {
    Dwfl *dwfl;
};

static char *debug_path; /* null: where distributions put it */

static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_linux_proc_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .debuginfo_path = &debug_path,
};

mid_status mid_symbols_open(mid_symbols **out)
{
    if (out == NULL)
        return MID_ENULL;
    *out = NULL;
    mid_symbols *made = calloc(1, sizeof *made);
    Dwfl *dwfl = made == NULL ? NULL : dwfl_begin(&callbacks);
    if (dwfl == NULL) {
        free(made);
        return MID_ENOMEM;
    }
    int failed = dwfl_linux_proc_report(dwfl, getpid());
    if (failed > 0)
        errno = failed;
    if (failed != 0 || dwfl_report_end(dwfl, NULL, NULL) != 0) {
        dwfl_end(dwfl);
        free(made);
        return MID_ESYSTEM;
    }
    made->dwfl = dwfl;
    *out = made;
    return MID_OK;
}

void mid_symbols_close(mid_symbols *symbols)
{
    if (symbols == NULL)
        return;
    dwfl_end(symbols->dwfl);
    free(symbols);
}

static Dwarf_Word number(Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute attribute;
    Dwarf_Word value = 0;
    return dwarf_attr(die, name, &attribute) != NULL && dwarf_formudata(&attribute, &value) == 0 ? value : 0;
}

/* What was compiled from one file, with this address; null: unknown. Clang leaves out the table that this is looked up in
 * (.debug_aranges): then one after another is asked. */
static Dwarf_Die *unit_with(Dwfl_Module *module, Dwarf_Addr at, Dwarf_Addr *bias)
{
    Dwarf_Die *unit = dwfl_module_addrdie(module, at, bias), *next = NULL;
    Dwarf *dwarf = unit == NULL ? dwfl_module_getdwarf(module, bias) : NULL;
    Dwarf_Aranges *ranges = NULL;
    size_t count = 0;
    if (dwarf == NULL || (dwarf_getaranges(dwarf, &ranges, &count) == 0 && count != 0))
        return unit;
    while ((next = dwfl_module_nextcu(module, next, bias)) != NULL)
        if (dwarf_haspc(next, at - *bias) > 0)
            return next;
    return NULL;
}

static void find_line(Dwarf_Die *unit, Dwarf_Addr at, mid_symbol *symbol)
{
    Dwarf_Line *line = dwarf_getsrc_die(unit, at);
    symbol->file = line == NULL ? NULL : dwarf_linesrc(line, NULL, NULL);
    if (symbol->file == NULL || dwarf_lineno(line, &symbol->line) != 0)
        symbol->line = 0;
}

/* Calls of ours that were compiled into the program (midden/inline.h) are not what is asked for: the line of the outermost such call. */
static void leave_inlines(Dwarf_Die *unit, Dwarf_Addr at, mid_symbol *symbol)
{
    Dwarf_Die *scopes = NULL;
    Dwarf_Files *files = NULL;
    int count = dwarf_getscopes(unit, at, &scopes);
    if (count > 0 && dwarf_getsrcfiles(unit, &files, NULL) == 0)
        for (int i = 0; i < count; i++) {
            if (dwarf_tag(&scopes[i]) != DW_TAG_inlined_subroutine)
                continue;
            const char *name = dwarf_diename(&scopes[i]);
            const char *file = dwarf_filesrc(files, number(&scopes[i], DW_AT_call_file), NULL, NULL);
            if (name == NULL || strncmp(name, "mid_", 4) != 0 || file == NULL)
                break;
            symbol->file = file;
            symbol->line = (int)number(&scopes[i], DW_AT_call_line);
        }
    free(scopes);
}

mid_status mid_symbols_find(mid_symbols *symbols, const void *address, mid_symbol *symbol)
{
    if (symbols == NULL || symbol == NULL)
        return MID_ENULL;
    *symbol = (mid_symbol){0};
    Dwarf_Addr at = (uintptr_t)address - 1, bias = 0;
    Dwfl_Module *module = dwfl_addrmodule(symbols->dwfl, at);
    if (module == NULL)
        return MID_EUNTRACED;
    symbol->function = dwfl_module_addrname(module, at);
    dwfl_module_getelf(module, &bias);
    symbol->offset = at - bias;
    const char *path = NULL;
    const char *name = dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, &path, NULL);
    symbol->module = path != NULL ? path : name;
    Dwarf_Die *unit = unit_with(module, at, &bias);
    if (unit != NULL) {
        find_line(unit, at - bias, symbol);
        leave_inlines(unit, at - bias, symbol);
    }
    return MID_OK;
}
