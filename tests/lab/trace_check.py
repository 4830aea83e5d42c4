#!/usr/bin/env python3
"""Read a trace from its description in docs/design/trace.md, without the program's own reader.

Verifies that operations are numbered without gaps, that every free and resize names a live block (a forked child
excepted), and that no two live blocks overlap; then prints the figures that `midden replay --check` prints."""
import struct
import sys
from bisect import bisect_left, insort

CHUNK = 65536
ALLOC, CALLOC, ALIGNED, FREE, BEGIN, END, THREAD = range(1, 8)


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def chunk(data, start):
    magic, used, sequence = struct.unpack_from("<4sIQ", data, start)
    assert magic == b"MIDC", start
    at, end, address, thread = start + 32, start + 32 + used, 0, 0
    while at < end:
        op = data[at]
        at += 1
        if op == THREAD:
            thread, at = varint(data, at)
            continue
        step, at = varint(data, at)
        sequence += step
        step, at = varint(data, at)
        address = (address + (step >> 1 ^ -(step & 1))) % 2**64
        size = 0
        if op not in (FREE, BEGIN):
            size, at = varint(data, at)
        if op == ALIGNED:
            _, at = varint(data, at)
        yield sequence, op, thread, address, size
    assert at == end


class Live:
    def __init__(self):
        self.starts, self.sizes, self.bytes = [], {}, 0

    def add(self, address, size):
        at = bisect_left(self.starts, address)
        if at < len(self.starts):
            assert address + max(size, 1) <= self.starts[at], "overlap"
        if at:
            before = self.starts[at - 1]
            assert before + max(self.sizes[before], 1) <= address, "overlap"
        insort(self.starts, address)
        self.sizes[address] = size
        self.bytes += size

    def take(self, address):
        if address not in self.sizes:
            return None
        del self.starts[bisect_left(self.starts, address)]
        size = self.sizes.pop(address)
        self.bytes -= size
        return size


def main(path):
    data = open(path, "rb").read()
    header = struct.unpack_from("<8s4IQ4I3Q2I", data)
    assert header[0] == b"MIDTRACE" and header[1] == 1
    forked, chunks, operations, dropped = header[8] & 1, header[10], header[11], header[12]
    records = sorted(r for n in range(1, chunks) for r in chunk(data, n * CHUNK))
    assert [r[0] for r in records] == list(range(operations)), "numbers missing or there twice"
    live, flight = Live(), {}
    made = resized = freed = unknown = 0
    for _, op, thread, address, size in records:
        if op in (FREE, BEGIN):
            old = live.take(address)
            if old is None:
                assert forked, "a free of what is not there"
                unknown += 1
            elif op == FREE:
                freed += 1
            if op == BEGIN:
                flight[thread] = (address, old)
        elif op == END:
            start, old = flight.pop(thread)
            if address:
                live.add(address, size)
                resized += old is not None
                made += old is None
            elif size and old is not None:
                live.add(start, old)
            else:
                freed += old is not None
        else:
            live.add(address, size)
            made += 1
    for name, value in (("operations", operations), ("allocations", made), ("resizes", resized), ("frees", freed),
                        ("unknown", unknown), ("threads", max((r[2] for r in records), default=0)),
                        ("end_live_bytes", live.bytes), ("end_live_blocks", len(live.sizes)),
                        ("forked", forked), ("dropped", dropped)):
        print(name, value)


for argument in sys.argv[1:]:
    main(argument)
