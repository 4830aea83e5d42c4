/* gc/unwind.c: what the unwind tables say of one address (.eh_frame; DWARF 5, 6.4; System V ABI for AMD64, 3.7 and LSB 5, 10.6).
 *
 * Of a frame four things are wanted: which register its CFA is counted from, how far, where its caller's rbp was put, and that
 * its return address is where calls put it. What compilers write besides (a CFA by an expression, as in procedure linkage
 * tables) is no rule, and a traceback ends there; but for the one expression that gcc writes where it aligns the stack. */
#if defined(__x86_64__)
#include <link.h>
#include <string.h>

#include "gc/traceback.h"

enum { RBP = 6, RSP = 7, RA = 16 };
#define REMEMBERED 8u

typedef struct reader {
    const uint8_t *at, *end;
} reader;

static uint64_t take(reader *r, unsigned bytes)
{
    uint64_t value = 0;
    if ((size_t)(r->end - r->at) < bytes) {
        r->at = r->end;
        return 0;
    }
    memcpy(&value, r->at, bytes);
    r->at += bytes;
    return value;
}

static uint64_t uleb(reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; r->at < r->end; shift += 7) {
        uint8_t byte = *r->at++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80))
            break;
    }
    return value;
}

static int64_t sleb(reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; r->at < r->end;) {
        uint8_t byte = *r->at++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7F) << shift;
        shift += 7;
        if (!(byte & 0x80)) {
            if ((byte & 0x40) && shift < 64)
                value |= UINT64_MAX << shift;
            break;
        }
    }
    return (int64_t)value;
}

static void skip(reader *r, uint64_t bytes)
{
    r->at = bytes < (uint64_t)(r->end - r->at) ? r->at + bytes : r->end;
}

/* A pointer as DW_EH_PE_* says; absolute and relative to its place are what there is. */
static uint64_t encoded(reader *r, uint8_t how)
{
    static const uint8_t sizes[16] = {8, 0, 2, 4, 8, 0, 0, 0, 0, 0, 2, 4, 8};
    uint64_t place = (how & 0x70) == 0x10 ? (uintptr_t)r->at : 0;
    unsigned bytes = sizes[how & 15];
    uint64_t value = take(r, bytes);
    if (how & 8 && bytes < 8 && bytes != 0 && value >> (bytes * 8 - 1) != 0)
        value |= UINT64_MAX << (bytes * 8);
    return value + place;
}

typedef struct cie {
    uint64_t code_align;
    int64_t data_align;
    uint64_t ra;
    uint8_t pointers;
    bool sized, signal;
    reader program;
} cie;

static bool record(const uint8_t *at, reader *out)
{
    uint32_t length;
    memcpy(&length, at, 4);
    *out = (reader){at + 4, at + 4 + length};
    return length != 0 && length != UINT32_MAX;
}

static bool read_cie(const uint8_t *at, cie *c)
{
    reader r;
    if (!record(at, &r) || take(&r, 4) != 0)
        return false;
    uint8_t version = (uint8_t)take(&r, 1);
    const char *letters = (const char *)r.at;
    skip(&r, strnlen(letters, (size_t)(r.end - r.at)) + 1);
    *c = (cie){.code_align = uleb(&r), .data_align = sleb(&r), .ra = version == 1 ? take(&r, 1) : uleb(&r)};
    if (*letters == 'z') {
        c->sized = true;
        uint64_t size = uleb(&r);
        reader extra = {r.at, r.end};
        skip(&r, size);
        while (*++letters != '\0')
            if (*letters == 'R')
                c->pointers = (uint8_t)take(&extra, 1);
            else if (*letters == 'L')
                skip(&extra, 1);
            else if (*letters == 'P')
                encoded(&extra, (uint8_t)take(&extra, 1));
            else if (*letters == 'S')
                c->signal = true;
            else if (*letters != 'B')
                return false;
    }
    c->program = r;
    return *letters == '\0' && (version == 1 || version == 3);
}

/* A row of the table: rbp 0 unchanged, n at CFA - 8n, MID_RBP_THERE. */
typedef struct row {
    unsigned kind;
    int64_t offset;
    unsigned rbp;
    bool broken; /* the return address is not where calls put it, or rbp cannot be had */
} row;

typedef struct machine {
    const cie *c;
    uint64_t at, pc;
    row now, first, kept[REMEMBERED];
    unsigned depth;
} machine;

static void saved(machine *m, uint64_t reg, int64_t offset)
{
    if (reg == RBP) {
        m->now.broken |= offset >= 0 || offset % 8 != 0 || offset < -8 * 62;
        m->now.rbp = (unsigned)(-offset / 8) & 63;
    } else if (reg == RA) {
        m->now.broken |= offset != -8;
    }
}

static void lost(machine *m, uint64_t reg)
{
    m->now.broken |= reg == RBP || reg == RA;
}

static void restored(machine *m, uint64_t reg)
{
    if (reg == RBP)
        m->now.rbp = m->first.rbp;
}

static void cfa(machine *m, uint64_t reg, int64_t offset)
{
    m->now.kind = reg == RSP ? MID_CFA_RSP : reg == RBP ? MID_CFA_RBP : MID_CFA_NONE;
    m->now.offset = offset;
}

/* *(rbp + n), as gcc writes where it aligns the stack: DW_OP_breg6 n, DW_OP_deref. */
static void cfa_expression(machine *m, reader *r)
{
    uint64_t size = uleb(r);
    reader e = {r->at, r->at};
    skip(r, size);
    e.end = r->at;
    bool from_rbp = take(&e, 1) == 0x70 + RBP;
    int64_t offset = sleb(&e);
    m->now.kind = from_rbp && take(&e, 1) == 0x06 && e.at == e.end ? MID_CFA_AT_RBP : MID_CFA_NONE;
    m->now.offset = offset;
}

static void at_expression(machine *m, reader *r)
{
    uint64_t reg = uleb(r), size = uleb(r);
    if (reg == RBP && size == 2 && r->end - r->at >= 2 && r->at[0] == 0x70 + RBP && r->at[1] == 0)
        m->now.rbp = MID_RBP_THERE;
    else
        lost(m, reg);
    skip(r, size);
}

static void remember(machine *m, bool back)
{
    if (!back && m->depth < REMEMBERED)
        m->kept[m->depth] = m->now;
    m->depth += back ? (m->depth != 0 ? -1u : 0) : 1;
    if (back && m->depth < REMEMBERED)
        m->now = m->kept[m->depth];
}

/* What is not an advance. False: an instruction that is not known. */
static bool extended(machine *m, uint8_t op, reader *r)
{
    const int64_t align = m->c->data_align;
    uint64_t reg;
    switch (op) {
    case 0x00: return true;
    case 0x05: reg = uleb(r); saved(m, reg, (int64_t)uleb(r) * align); return true;
    case 0x06: restored(m, uleb(r)); return true;
    case 0x07: lost(m, uleb(r)); return true;
    case 0x08: restored(m, uleb(r)); return true;
    case 0x09: lost(m, uleb(r)); uleb(r); return true;
    case 0x0A: remember(m, false); return true;
    case 0x0B: remember(m, true); return true;
    case 0x0C: reg = uleb(r); cfa(m, reg, (int64_t)uleb(r)); return true;
    case 0x0D: cfa(m, uleb(r), m->now.offset); return true;
    case 0x0E: m->now.offset = (int64_t)uleb(r); return true;
    case 0x0F: cfa_expression(m, r); return true;
    case 0x10: at_expression(m, r); return true;
    case 0x11: reg = uleb(r); saved(m, reg, sleb(r) * align); return true;
    case 0x12: reg = uleb(r); cfa(m, reg, sleb(r) * align); return true;
    case 0x13: m->now.offset = sleb(r) * align; return true;
    case 0x14: lost(m, uleb(r)); uleb(r); return true;
    case 0x15: lost(m, uleb(r)); sleb(r); return true;
    case 0x16: lost(m, uleb(r)); skip(r, uleb(r)); return true;
    case 0x2E: uleb(r); return true;
    default: return false;
    }
}

/* Up to the row that holds at m->pc. */
static bool run(machine *m, reader r)
{
    while (r.at < r.end) {
        uint8_t op = *r.at++;
        uint64_t low = op & 0x3F, delta = 0;
        if (op >> 6 == 1)
            delta = low;
        else if (op >> 6 == 2)
            saved(m, low, (int64_t)uleb(&r) * m->c->data_align);
        else if (op >> 6 == 3)
            restored(m, low);
        else if (op >= 0x02 && op <= 0x04)
            delta = take(&r, 1u << (op - 2));
        else if (op == 0x01)
            delta = (encoded(&r, m->c->pointers) - m->at) / (m->c->code_align != 0 ? m->c->code_align : 1);
        else if (!extended(m, op, &r))
            return false;
        m->at += delta * m->c->code_align;
        if (m->at > m->pc)
            return true;
    }
    return true;
}

static uint32_t rule_at(const uint8_t *fde, uintptr_t pc)
{
    reader r;
    cie c;
    if (!record(fde, &r))
        return 0;
    const uint8_t *field = r.at;
    uint64_t back = take(&r, 4);
    if (back == 0 || !read_cie(field - back, &c) || c.ra != RA || c.signal)
        return 0;
    uint64_t begin = encoded(&r, c.pointers), range = encoded(&r, c.pointers & 0x0F);
    if (pc < begin || pc - begin >= range)
        return 0;
    if (c.sized)
        skip(&r, uleb(&r));
    machine m = {.c = &c, .at = begin, .pc = UINT64_MAX};
    if (!run(&m, c.program))
        return 0;
    m.first = m.now;
    m.at = begin;
    m.pc = pc;
    if (!run(&m, r) || m.now.broken || m.now.offset % 8 != 0 || m.now.offset >= 8 << 19 || m.now.offset < -(8 << 19))
        return 0;
    return m.now.kind == MID_CFA_NONE ? 0 : MID_RULE(m.now.kind, m.now.offset / 8, m.now.rbp);
}

/* .eh_frame_hdr: the addresses of functions in order, relative to itself, and where of each the record is. */
static const uint8_t *find_fde(const uint8_t *header, uintptr_t pc)
{
    typedef struct { int32_t from, record; } pair;
    if (header[0] != 1 || header[1] != 0x1B || header[2] != 0x03 || header[3] != 0x3B)
        return NULL;
    uint32_t count;
    memcpy(&count, header + 8, 4);
    const pair *table = (const pair *)(const void *)(header + 12);
    int64_t want = (int64_t)(pc - (uintptr_t)header);
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (table[middle].from <= want)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? NULL : header + table[low - 1].record;
}

typedef struct search {
    uintptr_t pc;
    uint32_t rule;
    unsigned long long subs;
} search;

static int look(struct dl_phdr_info *info, size_t size, void *context)
{
    search *s = context;
    const uint8_t *header = NULL;
    bool inside = false;
    (void)size;
    s->subs = info->dlpi_subs;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + p->p_vaddr;
        if (p->p_type == PT_LOAD && s->pc >= from && s->pc - from < p->p_memsz)
            inside = true;
        if (p->p_type == PT_GNU_EH_FRAME)
            header = (const uint8_t *)from;
    }
    if (!inside)
        return 0;
    const uint8_t *fde = header == NULL ? NULL : find_fde(header, s->pc);
    s->rule = fde == NULL ? 0 : rule_at(fde, s->pc);
    return 1;
}

/* Of a return address: the call before it is what its frame is in the middle of. */
uint32_t mid_unwind_rule(uintptr_t pc, unsigned long long *subs)
{
    search s = {.pc = pc - 1};
    dl_iterate_phdr(look, &s);
    *subs = s.subs;
    return s.rule;
}
#else
typedef int mid_unwind_is_for_other_processors;
#endif
