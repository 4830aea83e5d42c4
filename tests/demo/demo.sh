#!/bin/bash
# The demonstration: a real program's allocations, and the classic workloads, on midden and beside it. Run by `make run`,
# which sets B and CC. Takes about two minutes; prints one table and writes $B/report.html.
set -eu
midden=$B/midden
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
step=0
say() {
    step=$((step + 1))
    printf '[%d/6] %s\n' "$step" "$*" >&2
}

# The compiler driver starts its passes as children, after fork and exec; link-time optimization lets one of them see the
# whole program. The biggest trace is the one worth replaying.
say "recording gcc as it compiles midden itself, with link-time optimization"
"$midden" record -o "$dir/gcc.trace" -- gcc -O2 -g -flto -flto-partition=one -fPIC -shared -D_GNU_SOURCE \
    -Iinclude -I. alloc/*.c gc/*.c daemon/*.c -o "$dir/midden.so"
compiler=$(ls -S "$dir"/gcc.trace* | head -n 1)
mv "$compiler" "$dir/compiler"

say "recording python3 as it parses its own library, objects from malloc"
PYTHONMALLOC=malloc "$midden" record -o "$dir/py.trace" -- python3 -S -c '
import ast, os
where = os.path.dirname(ast.__file__)
names = sorted(name for name in os.listdir(where) if name.endswith(".py"))[:60]
trees = [ast.parse(open(os.path.join(where, name), "rb").read()) for name in names]'
parser=$(ls -S "$dir"/py.trace* | head -n 1)
mv "$parser" "$dir/python"

say "replaying both on midden, boehm and malloc, then idling for two seconds"
files=()
for trace in compiler python; do
    for heap in midden boehm malloc; do
        "$midden" replay "$dir/$trace" --heap $heap --idle 2 --json "$dir/$trace-$heap.json" >&2
        files+=(--replay "$dir/$trace-$heap.json")
    done
done

bench() {
    "$midden" bench "$@" --json "$dir/$step.json" >"$dir/said"
    files+=(--bench "$dir/$step.json")
}
say "r3: fill 512 MiB, free a random 90 %, idle, fill again; midden's daemon at work"
bench --workload r3 --heap midden --heap boehm --heap malloc
say "binary-trees, depth 18"
bench --workload binary-trees --heap midden --heap boehm
say "gcbench"
bench --workload gcbench --heap midden --heap boehm

"$midden" report "${files[@]}" -o "$B/report.html"
echo
echo "The same with curves: $B/report.html"
