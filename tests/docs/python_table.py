"""python_table.py: is docs/python.md the whole table, and does it name what is there? Part of test_docs.py.

FEATURES is what CPython's memory manager offers, and what midden adds to it, in the order of the page. A row of the page that is none of
them is an error, as is one that is missing."""
import glob
import os
import re

FEATURES = [
    "domains: raw, mem and object",
    "wrapping a domain's allocator",
    "memory from somewhere else",
    "pools and arenas",
    "empty arenas and pools, some kept",
    "half-empty pools",
    "fences and fill patterns",
    "underflow, overflow, write after free",
    "wrong domain",
    "reports with the allocation's traceback",
    "fault injection",
    "free lists and caches by type",
    "interned strings",
    "tuples by length",
    "immortal objects",
    "immortal by overflow",
    "small integers without memory",
    "tracebacks with a limit, sampled or all",
    "traced peak and reset",
    "trace snapshots, groups and filters",
    "differences of trace snapshots",
    "trace domains",
    "foreign memory, tracked",
    "statistics by class",
    "statistics of every byte",
    "collect",
    "enable and disable",
    "save instead of free",
    "callbacks around collections",
    "counts and stats of collections",
    "thresholds",
    "freeze and unfreeze",
    "all objects",
    "referents and referrers",
    "visit",
    "is tracked, is finalized",
    "types, counted",
    "why is this alive",
    "what does it keep alive",
    "heap snapshot",
    "objects and graphs as text",
    "in the debugger",
    "untracking",
    "weak references",
    "weak references with callbacks",
    "weak maps and ephemerons",
    "finalizers, once",
    "finalizers before weak references come back, and before clearing",
    "resurrection",
    "deep structures",
    "free threads, biased counts",
    "stops of the world",
    "deferred counts, QSBR",
    "checked calls: stale and foreign handles",
    "checked calls: wrong thread, wrong slot",
    "checked calls: double release, borrows, trace edges",
    "leaks at the end",
    "temporaries that release themselves",
    "structs declared by a table",
]


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def rows(page):
    """Cells of the table's rows."""
    lines = [line for line in read(page).split("\n") if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def tests_there():
    """`file: name` of every test that is defined and in its program's list."""
    found = set()
    for path in glob.glob("tests/unit/test_*.c"):
        text = read(path)
        run = set(re.findall(r"cmocka_unit_test\w*\((\w+)[,)]", text))
        found.update(f"{os.path.basename(path)[:-2]}: {name}" for name in re.findall(r"^TEST\((\w+)\)", text, re.M) if name in run)
    return found


def test_table(check, page="docs/python.md"):
    # What a header declares or defines, not what its comments speak of.
    headers = "\n".join(re.sub(r"/\*.*?\*/", "", read(path), flags=re.S) for path in glob.glob("include/midden/*.h"))
    public, tests, table = set(re.findall(r"\w+", headers)), tests_there(), rows(page)
    named = [row[0] for row in table]
    check(named == FEATURES, f"{page} does not have each feature, once, in order", "\n".join(sorted(set(named) ^ set(FEATURES))))
    for row in table:
        check(len(row) == 4, f"{page}: a row that has not four cells", " | ".join(row))
        if len(row) != 4:
            continue
        functions = re.findall(r"`((?:mid|MID)\w+)`", row[2])
        unknown = [name for name in functions if name not in public and name != "MIDDEN_DEBUG"]
        check(functions and not unknown, f"{page}: {row[0]}: no function, or none of a public header", " ".join(unknown))
        proofs = re.findall(r"`(test_\w+: \w+)`", row[3])
        missing = [proof for proof in proofs if proof not in tests]
        check(proofs and not missing, f"{page}: {row[0]}: no test, or none that is run", " ".join(missing))
