#!/usr/bin/env python3
"""Write a trace of a few records that is wrong in one way: trace_forge.py CASE FILE. Prints the offset at which a reader
has to refuse it; for the case "good", which has nothing wrong with it, nothing."""
import struct
import sys

CHUNK = 65536
FIRST = CHUNK + 32  # offset of the first record


def varint(value):
    out = b""
    while value >= 128:
        out += bytes([value % 128 | 128])
        value //= 128
    return out + bytes([value])


def record(op, step, move, *rest):
    return bytes([op]) + varint(step) + varint(move * 2 if move >= 0 else -move * 2 - 1) + b"".join(map(varint, rest))


THREAD = bytes([7, 1])
ALLOC = record(1, 0, 4096, 64)  # 64 bytes at 4096, operation 0

# case: (records, operations, index of the record that is refused, or None)
CASES = {
    "good": ([THREAD, ALLOC, record(1, 1, 64, 0), record(5, 1, -64), record(6, 1, 1000, 500), record(4, 1, 0)], 5, None),
    "free-twice": ([THREAD, ALLOC, record(4, 1, 0), record(4, 1, 0)], 3, 3),
    "free-inside": ([THREAD, ALLOC, record(4, 1, 16)], 2, 2),
    "resize-of-nothing": ([THREAD, ALLOC, record(5, 1, 4096)], 2, 2),
    "same-address": ([THREAD, ALLOC, record(1, 1, 0, 8)], 2, 2),
    "resize-onto-another": ([THREAD, ALLOC, record(1, 1, 4096, 8), record(5, 1, 0), record(6, 1, -4096, 9)], 4, 4),
    "resize-in-resize": ([THREAD, ALLOC, record(1, 1, 4096, 8), record(5, 1, 0), record(5, 1, -4096)], 4, 4),
    "resize-returns-only": ([THREAD, ALLOC, record(6, 1, 4096, 8)], 2, 2),
    "overlap-above": ([THREAD, ALLOC, record(1, 1, 63, 8)], 2, 2),
    "overlap-below": ([THREAD, ALLOC, record(1, 1, -8, 9)], 2, 2),
    "number-twice": ([THREAD, ALLOC, record(1, 0, 4096, 8)], 2, 2),
    "number-beyond": ([THREAD, ALLOC, record(1, 2, 4096, 8)], 2, 2),
    "number-missing": ([THREAD, ALLOC, record(1, 2, 4096, 8)], 3, 1),
    "no-such-op": ([THREAD, ALLOC, record(8, 1, 0)], 2, 2),
    "op-0": ([THREAD, ALLOC, record(0, 1, 0)], 2, 2),
    "no-thread": ([ALLOC], 1, 0),
    "thread-0": ([bytes([7, 0]), ALLOC], 1, 0),
    "thread-too-high": ([bytes([7, 9]), ALLOC], 1, 0),
    "varint-too-long": ([THREAD, bytes([1]) + b"\xff" * 10 + b"\x01\x00\x00"], 1, 1),
    "varint-open": ([THREAD, ALLOC, bytes([4, 1, 0x80])], 2, 2),
    "alignment-too-large": ([THREAD, record(3, 0, 4096, 8, 63)], 1, 1),
}


def main(case, path):
    records, operations, refused = CASES[case]
    body = b"".join(records)
    header = struct.pack("<8s4IQ4I3Q2I", b"MIDTRACE", 1, 0x01020304, CHUNK, 8, 0, 1, 1, 0, 0, 2, operations, 0, 0, 0)
    chunk = struct.pack("<4sIQQII", b"MIDC", len(body), 0, 0, 0, 0) + body
    with open(path, "wb") as file:
        file.write(header.ljust(CHUNK, b"\0") + chunk.ljust(CHUNK, b"\0"))
    if refused is not None:
        print(FIRST + sum(map(len, records[:refused])))


if len(sys.argv) == 2 and sys.argv[1] == "--list":
    print("\n".join(CASES))
else:
    main(*sys.argv[1:])
