#!/bin/sh
# bugs.sh [NAME...]: each bug of bugs/ alone, in a copy of the core: does the tester find it? (All, or those whose file names
# contain a NAME.) Ends with `N passed, N failed`; a bug that survives, or no longer applies, is a failure.
#
# A bug is a file: the source it is for, what it is, then the exact text that it replaces, which must occur once.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 1' INT TERM

cp -r "$root/alloc" "$root/gc" "$root/include" "$root/Makefile" "$copy"
mkdir -p "$copy/tests"
cp -r "$here" "$copy/tests/stress"

build() {
    make -s -C "$copy" stress-core CFLAGS=-Wno-error >"$copy/log" 2>&1
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

# Runs until one fails; prints where it did.
hunt() {
    for seed in 1 2 3 4 5 6; do
        for run in "stress --ops 20000" "stress --ops 3000 --mode gc-every-safepoint --live 400" \
                   "stress --ops 20000 --live 5000" "stress --ops 10000 --heap-limit 4194304" "stress-debug --ops 10000"; do
            # shellcheck disable=SC2086
            timeout 20 "$copy/build/tests/"${run%% *} --seed $seed ${run#* } >"$copy/out" 2>&1
            status=$?
            [ $status -eq 0 ] && continue
            [ $status -eq 124 ] && echo "hangs: --seed $seed ($run)" && return 0
            said=$(sed -n 's/^.*MISMATCH: //p' "$copy/out" | head -n 1)
            echo "${said:-status $status: --seed $seed ($run)}"
            return 0
        done
    done
    return 1
}

if ! build; then
    cat "$copy/log"
    echo "check-bugs: the core does not build"
    exit 1
fi
if found=$(hunt); then
    echo "check-bugs: the tester finds something without any bug seeded: $found"
    exit 1
fi

passed=0
failed=0
for bug in "$here"/bugs/*.bug; do
    name=$(basename "$bug" .bug)
    wanted=$([ $# -eq 0 ] && echo yes)
    for part in "$@"; do
        case $name in *"$part"*) wanted=yes ;; esac
    done
    [ -n "$wanted" ] || continue
    file=$(head -n 1 "$bug")
    if ! apply "$bug"; then
        verdict="DOES NOT APPLY to $file"
    elif ! build; then
        verdict="DOES NOT BUILD: $(grep -m 1 error "$copy/log")"
    elif found=$(hunt); then
        verdict=
    else
        verdict="SURVIVES"
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
