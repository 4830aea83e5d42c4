#!/bin/sh
# bugs.sh [NAME...]: each bug of bugs/ alone, in a copy of the core: is it found? (All, or those whose file names contain a
# NAME.) Ends with `N passed, N failed`; a bug that survives, or no longer applies, is a failure. bugs.sh --apply [NAME...] only
# says which no longer do.
#
# A bug is a file: the source it is for, what it is, then the exact text that it replaces, which must occur once. A third line
# `by: SUITE` says who finds it:
#   stress         the tester with a model (when nothing is said)
#   threads        the tester with many threads
#   threads-tsan   the same under TSan
#   delays         both, collecting in steps, each of them delayed (gc/delay.h)
#   stale, trial, alloc, freeze, trace, interplay, weakmap..., deep...   the unit test of that name, where no tester meets the moment
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 1' INT TERM
export TSAN_OPTIONS=halt_on_error=1

cp -r "$root/alloc" "$root/gc" "$root/daemon" "$root/include" "$root/Makefile" "$copy"
mkdir -p "$copy/tests"
cp -r "$here" "$root/tests/unit" "$copy/tests"

build() {
    case $1 in
    stress) set -- stress-core ;;
    threads) set -- stress-threads-core ;;
    threads-tsan) set -- B=build/tsan SANITIZE=thread stress-threads-core ;;
    delays) set -- stress-delays-core ;;
    stale | trial | alloc | freeze | trace | interplay | weakmap* | deep*) set -- "build/unit/test_$1" ;;
    *) echo "error: no suite is called $1" >"$copy/log" && return 1 ;;
    esac
    make -s -C "$copy" CFLAGS=-Wno-error "$@" >"$copy/log" 2>&1
}

# Replace in place; the exit status tells whether the text was there, once.
apply() {
    awk -v bug="$1" -v root="$copy" '
        function slurp(name,   all, line) {
            while ((getline line < name) > 0) all = all line "\n"
            close(name)
            return all
        }
        BEGIN {
            getline file < bug; getline what < bug
            while ((getline line < bug) > 0) {
                if (line == "was:" || line == "becomes:") part = line
                else if (line == "end") part = ""
                else if (part == "was:") was = was line "\n"
                else if (part == "becomes:") becomes = becomes line "\n"
            }
            # A piece of a line is written without its line end.
            text = slurp(root "/" file)
            if (!index(text, was)) { sub(/\n$/, "", was); sub(/\n$/, "", becomes) }
            at = index(text, was)
            rest = substr(text, at + length(was))
            if (was == "" || !at || index(rest, was)) exit 1
            printf "%s", substr(text, 1, at - 1) becomes rest > (root "/" file)
        }'
}

# try FOLDER SECONDS PROGRAM FLAG...: fails, silently, if nothing is found; else says what.
try() {
    folder=$1 seconds=$2 program=$3
    shift 3
    timeout "$seconds" "$folder/$program" "$@" >"$copy/out" 2>&1
    status=$?
    [ $status -eq 0 ] && return 1
    [ $status -eq 124 ] && echo "hangs: $program $*" && return 0
    said=$(sed -nE 's/^.*(MISMATCH|SUMMARY|ERROR +\] ---)[: ]+//p' "$copy/out" | sed "s|$copy/||" | head -n 1)
    echo "${said:-status $status: $program $*}"
}

# Runs until one fails; prints where it did.
hunt() {
    plain=$copy/build/tests
    tsan=$copy/build/tsan/tests
    delays=$copy/build/delays/tests
    for seed in 1 2 3 4 5 6; do
        case $1 in
        stress)
            try "$plain" 20 stress --seed $seed --ops 20000 ||
                try "$plain" 20 stress --seed $seed --ops 3000 --mode gc-every-safepoint --live 400 ||
                try "$plain" 20 stress --seed $seed --ops 20000 --live 5000 --max-objects 65536 ||
                try "$plain" 20 stress --seed $seed --ops 10000 --heap-limit 4194304 ||
                try "$plain" 20 stress-debug --seed $seed --ops 10000
            ;;
        threads)
            try "$plain" 60 stress-threads --seed $seed --ops 10000 ||
                try "$plain" 60 stress-threads --seed $seed --ops 2000 --mode gc-every-safepoint ||
                try "$plain" 60 stress-threads-debug --seed $seed --ops 5000 ||
                try "$plain" 60 stress-threads --seed $seed --ops 4000 --threads 24
            ;;
        threads-tsan)
            try "$tsan" 60 stress-threads --seed $seed --ops 2000 ||
                try "$tsan" 60 stress-threads --seed $seed --ops 500 --mode gc-every-safepoint
            ;;
        delays)
            try "$delays" 60 stress-threads --seed $seed --ops 100000 --mode steps ||
                try "$delays" 30 stress --seed $seed --ops 15000 --mode steps
            ;;
        stale | trial | alloc | freeze | trace | interplay | weakmap* | deep*) try "$copy/build/unit" 60 "test_$1" ;;
        esac && return 0
    done
    return 1
}

suite_of() {
    suite=$(sed -n '3s/^by: //p' "$1")
    echo "${suite:-stress}"
}

apply_only=
[ "${1:-}" = --apply ] && apply_only=1 && shift

wanted=
for bug in "$here"/bugs/*.bug; do
    [ $# -eq 0 ] && wanted="$wanted $bug"
    for part in "$@"; do
        case $(basename "$bug" .bug) in *"$part"*) wanted="$wanted $bug" ;; esac
    done
done

if [ -n "$apply_only" ]; then
    stale=0
    for bug in $wanted; do
        file=$(head -n 1 "$bug")
        [ -f "$root/$file" ] && apply "$bug" && cp "$root/$file" "$copy/$file" && continue
        echo "$(basename "$bug" .bug): its text is not in $file, once"
        stale=1
    done
    exit $stale
fi

for suite in $(for bug in $wanted; do suite_of "$bug"; done | sort -u); do
    if ! build "$suite"; then
        cat "$copy/log"
        echo "check-bugs: the core does not build for $suite"
        exit 1
    fi
    if found=$(hunt "$suite"); then
        echo "check-bugs: $suite finds something without any bug seeded: $found"
        exit 1
    fi
done

passed=0
failed=0
for bug in $wanted; do
    name=$(basename "$bug" .bug)
    file=$(head -n 1 "$bug")
    suite=$(suite_of "$bug")
    if ! apply "$bug"; then
        verdict="DOES NOT APPLY to $file"
    elif ! build "$suite"; then
        verdict="DOES NOT BUILD: $(grep -m 1 error "$copy/log")"
    elif found=$(hunt "$suite"); then
        verdict=
    else
        verdict="SURVIVES $suite"
    fi
    if [ -z "$verdict" ]; then
        passed=$((passed + 1))
        printf '%-26s found: %.150s\n' "$name" "$found"
    else
        failed=$((failed + 1))
        printf '%-26s %s\n' "$name" "$verdict"
    fi
    cp "$root/$file" "$copy/$file"
done
echo "check-bugs: $passed passed, $failed failed"
[ $failed -eq 0 ]
