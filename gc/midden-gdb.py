"""midden-gdb.py: look into midden heaps from gdb, in a live process or in a core file, without calling anything in it.

    (gdb) source /usr/local/share/midden/midden-gdb.py

or by itself, where gdb looks for scripts of libraries (share/gdb/auto-load of its own prefix; libmidden.so linked dynamically).
The library has to have its debugging information (-g, which is the default; optimised or not).

    midden heap               figures of every heap of the process; which one is in use here
    midden use N              commands that follow are about heap N
    midden object HANDLE      an object: type, address, size, counts, owner, flags, fields, whom it refers to
    midden type [N]           a type by number or name; without one, all, with their objects
    midden referrers HANDLE   every slot of a live object that refers to it
    midden why HANDLE         the shortest way to it from an object that is held from outside

HANDLE is an expression: a number, a mid_handle, a mid_slot, a typed handle. Values of type mid_handle and mid_slot are printed
with the type of the object that they name. References that only a trace function could name are not known here, and are said to be
missing. Of what was being changed when the process stopped, things may contradict each other."""
import collections
import struct

import gdb
import gdb.printing

# As in midden/inline.h and gc/heap.h: macros, of which debugging information knows nothing.
ADDRESS_MASK, TYPE_SHIFT = 0x0000FFFFFFFFFFFF, 52
FLAGS = [(1 << 48, "large"), (1 << 49, "weakly known"), (1 << 50, "finalized"), (1 << 51, "pinned")]
DYING, STICKY, WATCHED, ONE, OWNER_SHIFT, UNOWNED = 1, 0xC0000000, 0x80000000, 8, 21, 1023
SHARED_SHIFT, BAND = 6, 1 << 24
ENTRY = struct.Struct("<QII")
STATES = ["running", "blocked", "claimed", "absent", "lost"]
REF, INT, UINT, FLOAT, TEXT, POINTER = 1, 2, 3, 4, 5, 6
ITEMS_SHOWN, TEXT_SHOWN = 16, 200

Field = collections.namedtuple("Field", "name offset size count kind")
Object = collections.namedtuple("Object", "handle word count shared")


def memory(address, size):
    return gdb.selected_inferior().read_memory(address, size).tobytes() if size else b""


class Type:
    """A registered type, read once."""

    def __init__(self, heap, number):
        info = heap.value["types"] + number
        self.number = number
        self.name = info["name"].string("utf-8", "replace")
        self.size, self.item_size = int(info["size"]), int(info["item_size"])
        self.length_offset = int(info["length_offset"])
        self.items_are_refs = bool(info["items_are_refs"])
        self.traced = int(info["trace"]) != 0
        self.finalize, self.payload = int(info["finalize"]), int(info["payload_free"])
        self.cyclic = bool(info["cyclic"])
        count, first, slots = int(info["slot_count"]), int(info["first_slot"]), int(info["slots"])
        self.slots = list(struct.unpack(f"<{count}I", memory(slots, 4 * count))) if slots else list(range(first, first + count))
        self.fields = []
        table = info["fields"]["data"].cast(gdb.lookup_type("mid_field").pointer())
        for n in range(int(info["field_count"])):
            field = table[n]
            self.fields.append(Field(field["name"].string("utf-8", "replace"), *(int(field[part]) for part in ["offset", "size", "count", "kind"])))
        told = {field.offset + 4 * n for field in self.fields if field.kind == REF and not self.is_items(field) for n in range(field.count)}
        self.all_slots = sorted(set(self.slots) | {offset // 4 for offset in told})

    def is_items(self, field):
        return self.item_size != 0 and field.offset == self.size

    def slot_name(self, slot):
        at = 4 * slot
        item = self.items_are_refs and at >= self.size
        for field in self.fields:
            if field.kind == REF and self.is_items(field) == item and field.offset <= at and (item or at < field.offset + 4 * field.count):
                return f"{field.name}[{(at - field.offset) // 4}]" if item or field.count > 1 else field.name
        return f"[{(at - self.size) // 4}]" if item else f"slot {slot}"


class Heap:
    def __init__(self, value):
        self.value = value.dereference()
        self.address = int(value)
        self.table = int(self.value["table"])
        self.first, self.next = int(self.value["first_index"]), int(self.value["next_index"])
        self.type_count = int(self.value["type_count"])
        self.types = {}

    def type(self, number):
        if not 1 <= number <= self.type_count:
            raise gdb.GdbError(f"{number} is no type of this heap, which has {self.type_count}")
        if number not in self.types:
            self.types[number] = Type(self, number)
        return self.types[number]

    def has(self, handle):
        return handle % 2 == 0 and self.first <= handle // 2 < self.next

    def entry(self, handle):
        return Object(handle, *ENTRY.unpack(memory(self.table + handle * 8, 16)))

    def live(self, handle):
        return self.has(handle) and self.entry(handle).count > DYING

    def entries(self):
        """Every live object. Parts of the table that have no memory are passed over."""
        block = 4096
        for start in range(self.first, self.next, block):
            count = min(block, self.next - start)
            try:
                data = memory(self.table + start * 16, 16 * count)
            except gdb.MemoryError:
                continue
            for n, (word, counts, shared) in enumerate(ENTRY.iter_unpack(data)):
                if counts > DYING:
                    yield Object((start + n) * 2, word, counts, shared)

    def type_of(self, entry):
        return self.type(entry.word >> TYPE_SHIFT)

    def at(self, entry):
        return entry.word & ADDRESS_MASK

    def items(self, type, at):
        return struct.unpack("<I", memory(at + type.length_offset, 4))[0] if type.item_size else 0

    def references(self, entry):
        """(slot, value) of all that is not empty."""
        type, at = self.type_of(entry), self.at(entry)
        found = []
        if type.all_slots:
            low, high = type.all_slots[0], type.all_slots[-1] + 1
            words = struct.unpack(f"<{high - low}I", memory(at + 4 * low, 4 * (high - low)))
            found = [(slot, words[slot - low]) for slot in type.all_slots if words[slot - low] != 0]
        if type.items_are_refs:
            count = self.items(type, at)
            words = struct.unpack(f"<{count}I", memory(at + type.size, 4 * count))
            found += [(type.size // 4 + n, word) for n, word in enumerate(words) if word != 0]
        return found

    def targets(self, entry):
        return [(slot, value) for slot, value in self.references(entry) if value % 2 == 0]

    def label(self, handle):
        if not self.has(handle):
            return f"{handle} (not of this heap)"
        entry = self.entry(handle)
        if entry.count <= DYING:
            return f"{handle} ({'dying' if entry.count == DYING else 'free'})"
        return f"{handle} {self.type_of(entry).name}"


# --- counts

def others(entry):
    value = entry.shared >> SHARED_SHIFT
    return value - (1 << 26) if value >= 1 << 25 else value


def immortal(entry):
    return entry.count == STICKY or others(entry) >= BAND


def total(entry):
    return (entry.count & ((1 << OWNER_SHIFT) - 1)) // ONE + others(entry)


def counts_text(entry):
    if immortal(entry):
        return "immortal"
    owner = entry.count >> OWNER_SHIFT & 1023
    mine = (entry.count & ((1 << OWNER_SHIFT) - 1)) // ONE
    who = "no owner" if owner == UNOWNED else f"owner thread {owner}: {mine}"
    watched = ", on trial" if entry.count & WATCHED else ""
    return f"count {total(entry)} ({who}, others: {others(entry)}{watched})"


# --- values

def quoted(data):
    data = data.split(b"\0")[0]
    text = data[:TEXT_SHOWN].decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else "\\x%02x" % ord(c) for c in text.replace("\\", "\\\\"))
    return f'"{text}"' + (f" ... {len(data) - TEXT_SHOWN} more" if len(data) > TEXT_SHOWN else "")


def element(kind, data):
    if kind in (INT, UINT):
        return str(int.from_bytes(data, "little", signed=kind == INT))
    if kind == FLOAT and len(data) <= 8:
        return "%.*g" % ((9, struct.unpack("<f", data)[0]) if len(data) == 4 else (17, struct.unpack("<d", data)[0]))
    if kind == POINTER:
        return hex(int.from_bytes(data, "little")) if any(data) else "null"
    shown = " ".join("%02x" % byte for byte in data[:TEXT_SHOWN // 4])
    return f"<{shown}{' ...' if len(data) > TEXT_SHOWN // 4 else ''}>"


def field_text(heap, type, at, field):
    items = type.is_items(field)
    count = heap.items(type, at) if items else field.count
    if field.kind == TEXT:
        return quoted(memory(at + field.offset, min(count, 1 << 20)))
    shown = min(count, ITEMS_SHOWN)
    data = memory(at + field.offset, shown * field.size)
    parts = [element(field.kind, data[n * field.size:(n + 1) * field.size]) for n in range(shown)]
    if not items and count == 1:
        return parts[0]
    return "{" + ", ".join(parts + ([f"... {count - shown} more"] if shown < count else [])) + "}"


def value_text(heap, value):
    if value == 0:
        return "= empty"
    if value % 2 == 1:
        return f"= {(value - (1 << 32) if value >= 1 << 31 else value) >> 1}"
    return "-> " + heap.label(value)


# --- heaps

def all_heaps():
    symbols = [symbol for symbol in gdb.lookup_static_symbols("heaps") if str(symbol.type.unqualified().strip_typedefs()) in ("mid_heap *", "struct mid_heap *")]
    if not symbols:
        raise gdb.GdbError("no midden in this program, or none with debugging information")
    found, at = [], symbols[0].value()
    while int(at) != 0:
        found.append(Heap(at))
        at = at.dereference()["next_heap"]
    return found[::-1]  # in the order in which they were opened


used = None  # address of the heap that was chosen


def heaps_asked():
    heaps = all_heaps()
    if not heaps:
        raise gdb.GdbError("no heap is open")
    chosen = [heap for heap in heaps if heap.address == used]
    return chosen or heaps


def one_heap():
    heaps = heaps_asked()
    if len(heaps) > 1:
        raise gdb.GdbError(f"there are {len(heaps)} heaps: say which with `midden use N`, see `midden heap`")
    return heaps[0]


def handle_of(text):
    if not text.strip():
        raise gdb.GdbError("which handle?")
    value = gdb.parse_and_eval(text)
    basic = value.type.strip_typedefs()
    while basic.code == gdb.TYPE_CODE_STRUCT:  # a slot, a typed handle
        names = [field.name for field in basic.fields()]
        part = next((name for name in ("bits_", "handle") if name in names), None)
        if part is None:
            raise gdb.GdbError(f"a {basic} is no handle")
        value = value[part]
        basic = value.type.strip_typedefs()
    return int(value) & 0xFFFFFFFF


def find(text):
    """The heap and the live object that an expression names."""
    handle = handle_of(text)
    if handle == 0:
        raise gdb.GdbError("0 names no object")
    if handle % 2 == 1:
        raise gdb.GdbError(f"{handle} is the immediate integer {value_text(None, handle)[2:]}")
    heaps = [heap for heap in heaps_asked() if heap.has(handle)]
    live = [heap for heap in heaps if heap.live(handle)]
    if len(live) > 1:
        raise gdb.GdbError(f"{len(live)} heaps have an object {handle}: say which with `midden use N`, see `midden heap`")
    if live:
        return live[0], live[0].entry(handle)
    if not heaps:
        raise gdb.GdbError(f"{handle} is not of this heap")
    raise gdb.GdbError(f"{heaps[0].label(handle)}: no live object")


def missing_text(heap):
    traced = [heap.type(n).name for n in range(1, heap.type_count + 1) if heap.type(n).traced]
    return f"(not seen: what only trace functions name, of {', '.join(traced)})\n" if traced else ""


# --- commands

class Command(gdb.Command):
    def __init__(self, name, run, doc):
        self.__doc__ = doc
        self.run = run
        super().__init__("midden " + name, gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        try:
            gdb.write(self.run(argument))
        except gdb.MemoryError as error:
            raise gdb.GdbError(f"memory that cannot be read: {error}")


def heap_command(argument):
    text = ""
    for n, heap in enumerate(all_heaps(), 1):
        alloc, stat = heap.value["alloc"], collections.Counter()
        for entry in heap.entries():
            stat["live"] += 1
        kinds = [("pools", "MID_IN_POOLS"), ("empty", "MID_IN_EMPTY"), ("runs", "MID_IN_RUNS"), ("mappings", "MID_IN_MAPPINGS"), ("table", "MID_IN_TABLE"), ("metadata", "MID_IN_META")]
        parts = ", ".join(f"{name} {int(alloc['bytes'][int(gdb.parse_and_eval(kind))])}" for name, kind in kinds)
        threads = [(i, heap.value["threads"][i].dereference()) for i in range(1, int(heap.value["thread_count"]) + 1)]
        states = ", ".join(f"{i} {STATES[int(thread['state'])]}" for i, thread in threads)
        counts = heap.value["counts"]
        text += (f"heap {n}{' (in use)' if heap.address == used else ''}: (mid_heap *) {heap.address:#x}{', a debug heap' if heap.value['debug'] else ''}\n"
                 f"  {stat['live']} objects, {heap.type_count} types, indices {heap.first} to {heap.next - 1}\n"
                 f"  committed {int(alloc['committed'])} bytes (peak {int(alloc['peak'])}, limit {int(alloc['limit']) or 'none'}): {parts}\n"
                 f"  collections {int(counts['collections'])} ({int(counts['collected_objects'])} objects), compactions {int(counts['compactions'])} ({int(counts['moved_objects'])} moved)\n"
                 f"  threads: {states or 'none'}{'; the world stands' if heap.value['claimed'] else ''}\n"
                 f"  waiting: {sum(int(t['pending_count']) for _, t in threads)} to be freed, {int(heap.value['final_count'])} finalizers; pins {int(heap.value['pins']['count'])}, weak cells {int(heap.value['weak_live'])}\n")
    return text or "no heap is open\n"


def use_command(argument):
    global used
    heaps = all_heaps()
    if not argument.strip().isdigit() or not 1 <= int(argument) <= len(heaps):
        raise gdb.GdbError(f"a number from 1 to {len(heaps)}; see `midden heap`")
    used = heaps[int(argument) - 1].address
    return ""


def object_command(argument):
    heap, entry = find(argument)
    type, at = heap.type_of(entry), heap.at(entry)
    items = heap.items(type, at)
    text = f"{entry.handle} {type.name}: at {at:#x}, {type.size + items * type.item_size} bytes"
    text += f", {items} items" if type.item_size else ""
    text += f", {counts_text(entry)}"
    text += "".join(f", {name}" for bit, name in FLAGS if entry.word & bit) + "\n"
    for field in type.fields:
        if field.kind != REF:
            text += f"  {field.name} = {field_text(heap, type, at, field)}\n"
    values = dict(heap.references(entry))
    slots = type.all_slots + list(range(type.size // 4, type.size // 4 + (items if type.items_are_refs else 0)))
    for slot in slots[:len(type.all_slots) + ITEMS_SHOWN]:
        text += f"  {type.slot_name(slot)} {value_text(heap, values.get(slot, 0))}\n"
    if len(slots) > len(type.all_slots) + ITEMS_SHOWN:
        text += f"  ... {len(slots) - len(type.all_slots) - ITEMS_SHOWN} more\n"
    return text + ("  (and what its trace function names)\n" if type.traced else "")


def type_text(type):
    text = f"{type.number} {type.name}: {type.size} bytes"
    text += f" and items of {type.item_size}{', references' if type.items_are_refs else ''}" if type.item_size else ""
    for there, what in [(not type.cyclic, "never on a cycle"), (type.traced, "traced"), (type.finalize, "finalized"), (type.payload, "with a payload")]:
        text += f", {what}" if there else ""
    return text + "\n"


def type_command(argument):
    heap, argument = one_heap(), argument.strip()
    if not argument:
        objects, bytes_ = collections.Counter(), collections.Counter()
        for entry in heap.entries():
            type = heap.type_of(entry)
            objects[type.number] += 1
            bytes_[type.number] += type.size + (heap.items(type, heap.at(entry)) * type.item_size if type.item_size else 0)
        return "".join(f"{objects[n]:>10} objects {bytes_[n]:>12} bytes  {type_text(heap.type(n))}" for n in range(1, heap.type_count + 1))
    named = [n for n in range(1, heap.type_count + 1) if heap.type(n).name == argument]
    type = heap.type(named[0] if named else int(gdb.parse_and_eval(argument)))
    text = type_text(type)
    named = {(field.offset // 4 + n) for field in type.fields if field.kind == REF for n in range(field.count)}
    kinds = {REF: "reference", INT: "integer", UINT: "unsigned", FLOAT: "floating point", TEXT: "text", POINTER: "pointer"}
    for field in type.fields:
        many = "[]" if type.is_items(field) else f"[{field.count}]" if field.count > 1 else ""
        text += f"  {field.offset:>6}  {field.name}{many}: {kinds.get(field.kind, 'bytes')} of {field.size}\n"
    return text + "".join(f"  {4 * slot:>6}  slot {slot}: reference of 4\n" for slot in type.slots if slot not in named)


def referrers_command(argument):
    heap, wanted = find(argument)
    text = ""
    for entry in heap.entries():
        for slot, value in heap.targets(entry):
            if value == wanted.handle:
                text += f"{heap.label(entry.handle)}, {heap.type_of(entry).slot_name(slot)}\n"
    return (text or "no object refers to it\n") + missing_text(heap)


def waiting(heap):
    """Objects that are dead and keep their references until they are freed; the condemned, each counted once by the heap."""
    lists = [(t["pending"], t["pending_count"]) for t in (heap.value["threads"][i].dereference() for i in range(1, int(heap.value["thread_count"]) + 1))]
    for head, count in lists + [(heap.value["final_head"], heap.value["final_dead"])]:
        handle = int(head)
        for _ in range(int(count)):
            if not heap.has(handle):
                break
            entry = heap.entry(handle)
            yield entry
            handle = entry.shared


def why_command(argument):
    heap, wanted = find(argument)
    outside, edges = {}, {}
    for entry in heap.entries():
        outside[entry.handle] = None if immortal(entry) else total(entry)
        edges[entry.handle] = heap.targets(entry)
    counted = [value for targets in edges.values() for _, value in targets]
    counted += [value for entry in waiting(heap) for _, value in heap.targets(entry)]
    condemned = int(heap.value["condemned_count"])
    if condemned:
        counted += struct.unpack(f"<{condemned}I", memory(int(heap.value["condemned"]["data"]), 4 * condemned))
    for value in counted:
        if outside.get(value) is not None:
            outside[value] -= 1
    parents = {handle: None for handle, count in outside.items() if count is None or count > 0}
    queue = collections.deque(parents)
    while queue and wanted.handle not in parents:
        holder = queue.popleft()
        for slot, value in edges[holder]:
            if value in edges and value not in parents:
                parents[value] = (holder, slot)
                queue.append(value)
    if wanted.handle not in parents:
        return f"nothing holds it: garbage\n{missing_text(heap)}"
    way, at = [], wanted.handle
    while parents[at] is not None:
        holder, slot = parents[at]
        way.append(f"  .{heap.type_of(heap.entry(holder)).slot_name(slot)} -> {heap.label(at)}\n")
        at = holder
    held = "immortal" if outside[at] is None else f"held from outside by {outside[at]}"
    return f"{heap.label(at)}, {held}\n" + "".join(reversed(way)) + missing_text(heap)


# --- printers

class Printer:
    def __init__(self, handle):
        self.handle = handle

    def to_string(self):
        if self.handle == 0 or self.handle % 2 == 1:
            return "empty" if self.handle == 0 else f"integer {value_text(None, self.handle)[2:]}"
        try:
            live = [heap for heap in heaps_asked() if heap.live(self.handle)]
            return live[0].label(self.handle) if len(live) == 1 else str(self.handle)
        except (gdb.error, gdb.GdbError):
            return str(self.handle)


class Printers:
    name, enabled = "midden", True

    def __call__(self, value):
        if value.type.unqualified().name == "mid_handle":
            return Printer(int(value))
        if value.type.strip_typedefs().unqualified().tag == "mid_slot":
            return Printer(int(value["bits_"]))
        return None


gdb.printing.register_pretty_printer(gdb.current_objfile(), Printers(), replace=True)


class Midden(gdb.Command):
    def __init__(self):
        self.__doc__ = __doc__
        super().__init__("midden", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)


Midden()
Command("heap", heap_command, "Figures of every midden heap of the process.")
Command("use", use_command, "midden use N: the commands that follow are about heap N of `midden heap`.")
Command("object", object_command, "midden object HANDLE: the object, its counts and fields, and whom it refers to.")
Command("type", type_command, "midden type [N|NAME]: a type and its fields; without one, all types with their objects.")
Command("referrers", referrers_command, "midden referrers HANDLE: every slot of a live object that refers to it. Reads the whole heap.")
Command("why", why_command, "midden why HANDLE: the shortest way to it from an object held from outside. Reads the whole heap.")
