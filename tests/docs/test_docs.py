#!/usr/bin/env python3
"""test_docs.py BUILD CC: does the documentation tell the truth?

Programs in pages are compiled, run, and compared with the output that follows them; tables and listings with what the sources
give; names, paths and links with what is there. Prints `N passed, N failed` at the end."""
import fnmatch
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from python_table import test_table  # noqa: E402

BUILD, CC = sys.argv[1], sys.argv[2].split()[-1]  # "ccache gcc" is gcc
PAGES = sorted(os.path.join(at, name) for top in ["docs", "alloc", "gc", "daemon", "include", "tests"] for at, _, names in os.walk(top)
               for name in names if name.endswith(".md")) + ["README.md", "CHANGELOG.md"]
WORDS = {"list-drop", "libmidden-daemon", "binary-trees", "no-interior", "xmalloc-test", "mt-gcbench", "shared-map"}  # with a hyphen, and no options
PROGRAMS = ["docs/embedding.md", "README.md"]
FLAGS = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-Iinclude"]
LIBS = [f"{BUILD}/lib/libmidden-daemon.a", f"{BUILD}/lib/libmidden.a", "-levent_core", "-levent_extra", "-levent_pthreads", "-ljansson", "-ldw", "-lpthread"]
passed = failed = 0


def check(good, what, detail=""):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print(f"docs: {what}")
        if detail:
            print("    " + "\n    ".join(str(detail).rstrip().split("\n")[:20]))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, **more)


def compilers():
    found = []
    for name in [CC, "gcc", "clang"]:
        there = os.path.exists(name) if "/" in name else any(os.access(os.path.join(at, name), os.X_OK) for at in os.get_exec_path())
        if there and name not in found:
            found.append(name)
    return found


def programs(page):
    """The C programs of a page, each with the output that the page gives."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", read(page), re.M | re.S)
    for at, (language, text) in enumerate(blocks):
        if language != "c":
            continue
        follows = blocks[at + 1] if at + 1 < len(blocks) else ("", "")
        yield text, follows[1] if follows[0] == "text" else None


def test_program(folder, name, code, output, compiler, mode):
    what = f"{name} ({compiler}{' ' + mode if mode else ''})"
    source, program = os.path.join(folder, "step.c"), os.path.join(folder, "step")
    with open(source, "w", encoding="utf-8") as file:
        file.write(code)
    made = run([compiler, *FLAGS, *([mode] if mode else []), source, *LIBS, "-o", program])
    check(made.returncode == 0, f"{what} does not compile", made.stderr)
    if made.returncode != 0:
        return
    environment = {key: value for key, value in os.environ.items() if key != "MIDDEN_OPTIONS"}
    try:
        ran = run([program], timeout=300, env=environment)
        check(ran.returncode == 0 and ran.stdout == output and ran.stderr == "", f"{what} does not print what the page says",
              f"status {ran.returncode}\n{ran.stdout}{ran.stderr}")
    except subprocess.TimeoutExpired:
        check(False, f"{what} does not end")


def test_programs():
    with tempfile.TemporaryDirectory() as folder:
        for page in PROGRAMS:
            found = list(programs(page))
            check(found, f"{page} has no program")
            for number, (code, output) in enumerate(found, 1):
                name = f"{page}, program {number}"
                check(output is not None, f"{name} is not followed by its output")
                for compiler in compilers():
                    for mode in ["", "-DMIDDEN_DEBUG"]:
                        test_program(folder, name, code, output, compiler, mode)


def listing(compiler):
    """Functions of the listing that disassembly.sh prints: name -> [(at, instruction)]."""
    ran = run(["tests/docs/disassembly.sh", compiler])
    check(ran.returncode == 0, f"disassembly.sh {compiler}", ran.stderr)
    functions = {}
    for part in ran.stdout.split("\n\n")[1:]:
        name, *lines = part.strip().split("\n")
        functions[name.rstrip(":")] = [tuple(line.strip().split(": ", 1)) for line in lines]
    return ran.stdout, functions


def loads(instructions):
    """Instructions that read memory: an operand in brackets that is not merely written or computed."""
    return [text for text in instructions if "[" in text and not re.match(r"lea |nop|mov [A-Z]+ \[", text)]


def stores(instructions):
    return [text for text in instructions if re.match(r"(mov|add|sub|and|or|xor) [A-Z]+ \[", text)]


def up_to_return(function):
    """The way of the fast path: no branch is taken until the first return."""
    path = []
    for _, text in function:
        path.append(text)
        if text == "ret":
            break
    return path


def loop(function):
    """The body of a function's last loop."""
    ats = [at for at, _ in function]
    for at, text in reversed(function):
        jump = re.match(r"j\w+ ([0-9a-f]+)$", text)
        if jump and jump.group(1) in ats and ats.index(jump.group(1)) < ats.index(at):
            return [text for _, text in function[ats.index(jump.group(1)):ats.index(at) + 1]]
    return []


def test_fast_paths(compiler):
    text, functions = listing(compiler)
    if not functions:
        return
    if not text.startswith("x86_64-"):
        print(f"docs: {text.split()[0]}: the claims about instructions are checked on x86-64 only")
        return
    get = [instruction for _, instruction in functions["get"]]
    check(len(loads(get)) == 2 and sum("[rdi]" in i for i in loads(get)) == 1 and sum(i.startswith("and ") for i in get) == 1,
          f"{compiler}: mid_get is more than the table's base, one load and one mask", "\n".join(get))
    body = loop(functions["get_many"])
    check(len(loads(body)) == 3 and sum(i.startswith("and ") for i in body) == 1 and not any("[rdi]" in i for i in loads(body)),
          f"{compiler}: in a loop mid_get is more than one load and one mask", "\n".join(body))
    for name in ["retain", "release"]:
        path = up_to_return(functions[name])
        check(len(loads(path)) == 3 and sum("[rdi" in i for i in loads(path)) == 2 and len(stores(path)) == 1
              and not any(re.match(r"call|jmp|lock|xchg", i) for i in path),
              f"{compiler}: mid_{name} has a call on its fast path, or touches more than the entry and its thread", "\n".join(path))
        check(any(f"mid_{name}_slow_" in i for _, i in functions[name]), f"{compiler}: mid_{name} has no slow path")
    path = up_to_return(functions["new"])
    check(path[-1] == "ret" and not any(re.match(r"call|jmp|lock|xchg", i) for i in path),
          f"{compiler}: mid_new has a call, or an atomic instruction, on its fast path",
          "\n".join(path))
    path = up_to_return(functions["safepoint"])
    check(len(loads(path)) == 1 and not any(re.match(r"call|jmp", i) for i in path),
          f"{compiler}: mid_safepoint is more than one load", "\n".join(path))
    quoted = re.search(r"^```asm\n(.*?)^```$", read("docs/design/objects.md"), re.M | re.S)
    check(quoted, "objects.md quotes no listing")
    if quoted and quoted.group(1).split("\n")[0] == text.split("\n")[0]:
        check(quoted.group(1) == text, "objects.md does not quote what disassembly.sh prints")


def test_classes(folder):
    program = os.path.join(folder, "classes")
    made = run([CC, *FLAGS, "-I.", "tests/docs/classes.c", *LIBS[1:], "-o", program])
    check(made.returncode == 0, "classes.c does not compile", made.stderr)
    table = re.search(r"<!-- classes -->\n(.*?)<!-- /classes -->", read("docs/design/alloc.md"), re.S)
    check(table and made.returncode == 0 and table.group(1) == run([program]).stdout, "the table of size classes in alloc.md is not what classes.c prints")


def sources():
    return [os.path.join(at, name) for top in ["alloc", "gc", "daemon", "include", "tests"] for at, _, names in os.walk(top)
            for name in names if re.search(r"\.([chd]|sh|py|mk|1)$", name)]


def prose(text):
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def exists(page, path):
    """A path or file name in back quotes: from the top, from the page's folder, from a source folder."""
    places = ["", os.path.dirname(page) + "/", "alloc/", "gc/", "daemon/", "include/", "include/midden/", "tests/lab/", "tests/bench/", "docs/design/", "tests/unit/",
              "tests/stress/threads/"]
    return any(os.path.exists(place + path) for place in places)


def test_names():
    """Every mid_ and MID_ name, file and link in a page is there."""
    words = set()
    for source in sources():
        words.update(re.findall(r"\w+", read(source)))
    for page in PAGES:
        text = prose(read(page))
        code = re.findall(r"`([^`\n]+)`", text)
        names = {name for piece in code for name in re.findall(r"\b(?:mid|MID|MIDDEN)_\w+", piece)}
        unknown = sorted(n for n in names if n not in words and not (n.endswith("_") and any(w.startswith(n) for w in words)))
        check(not unknown, f"{page} names what the sources do not", " ".join(unknown))
        files = {piece for piece in code if re.fullmatch(r"[\w./-]+\.(c|h|sh|py|mk|md)", piece) and not piece.startswith("build/")}
        check(all(exists(page, file) for file in files), f"{page} names files that are not there",
              " ".join(sorted(file for file in files if not exists(page, file))))
        links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"https?:|#", link)]
        missing = [link for link in links if not os.path.exists(os.path.join(os.path.dirname(page), link))]
        check(not missing, f"{page} links to what is not there", " ".join(missing))


def test_map():
    """The map of the design has every source file of the libraries; each page of the design is on it; 1 to 10 are all there."""
    design = read("docs/design/README.md")
    for folder in ["alloc", "gc", "daemon"]:
        for name in sorted(os.listdir(folder)):
            if name.endswith((".c", ".h")):
                check(f"`{name}`" in design or f"`{folder}/{name}`" in design, f"docs/design/README.md does not mention {folder}/{name}")
    for name in sorted(os.listdir("docs/design")):
        check(name == "README.md" or f"({name})" in design, f"docs/design/README.md does not link to {name}")
    numbers = re.findall(r"^## (\d+)\. ", read("docs/design/invariants.md"), re.M)
    check(numbers == [str(n) for n in range(1, 11)], "invariants.md does not number 1 to 10", numbers)
    tests = read("tests/README.md")
    for name in sorted(os.listdir("tests")):
        check(f"`{name}" in tests, f"tests/README.md does not mention tests/{name}")
    for page in [page for page in PAGES if page.endswith("/README.md") and not page.startswith("docs")]:
        named = {name.rsplit(".", 1)[0] for piece in re.findall(r"`([^`\n]+)`", read(page)) for name in piece.split()}
        for name in sorted(os.listdir(os.path.dirname(page))):
            check(not name.endswith((".c", ".h", ".sh", ".py")) or any(fnmatch.fnmatch(name.rsplit(".", 1)[0], known) for known in named),
                  f"{page} does not mention {name}")
    readme = read("README.md").split("\n")
    check(readme.count("<!-- bench -->") == 1 and readme.count("<!-- /bench -->") == 1, "README.md has no place for the table of make bench")


def test_options():
    """Names with a hyphen in back quotes are options, or commands, workloads and the like."""
    said = run([f"{BUILD}/midden", "options"])
    check(said.returncode == 0, "midden options", said.stderr)
    known = set(re.findall(r'^ *X\(\w+, "([\w-]+)"', read("include/midden/options.h"), re.M))
    check(known and all(name in said.stdout for name in known), "midden options leaves some out")
    claimed = {word for page in PAGES if page.startswith(("docs", "README")) for word in re.findall(r"`(\w+-\w+)`", prose(read(page)))}
    targets = {word for source in ["Makefile", *sources()] if source.endswith(("Makefile", ".mk")) for word in re.findall(r"\w+-\w+", read(source))}
    unknown = claimed - known - targets - WORDS
    check(not unknown, "pages name options that are not there", " ".join(sorted(unknown)))


def main():
    test_programs()
    for compiler in compilers():
        test_fast_paths(compiler)
    with tempfile.TemporaryDirectory() as folder:
        test_classes(folder)
    test_names()
    test_map()
    test_options()
    test_table(check)
    print(f"{passed} passed, {failed} failed")
    return failed != 0


sys.exit(main())
