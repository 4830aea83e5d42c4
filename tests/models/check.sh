#!/bin/bash
# check.sh [NAME...]: explore each model exhaustively, then each of its mutations, which must be refuted. (All models, or those
# whose file names contain a NAME.) Ends with `N passed, N failed`.
#
# A model says in its head comment what is run besides itself:
#   also: DEFINES ...                    it must hold so too
#   live: [DEFINES ...]                  and something must come of it: no cycle goes on for ever, weak fairness given
#   refute: BUG_NAME [MORE=DEFINES ...]  it must not hold; `refute live:` if it is a cycle that shows it
# Every BUG_ name it uses must be there. It must have no line that is never reached.
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
passed=0 failed=0

verdict() { # NAME WHY: without a reason it has passed
    if [ -z "$2" ]; then
        passed=$((passed + 1))
        printf '%-32s %s\n' "$1" "$3"
    else
        failed=$((failed + 1))
        printf '%-32s FAILED: %s\n' "$1" "$2"
    fi
}

# explore MODEL [DEFINE...]: what the verifier says is in $work/said; fails if there is no verifier. With $live, for cycles.
# Compiling takes longer than most runs: no -O2.
live=
explore() {
    local model=$1 build=${live:+-DNP}
    shift
    rm -f "$work"/pan* "$work"/*.trail "$work/said"
    (cd "$work" && spin -a -o3 "${@/#/-D}" "$model" && ${CC:-gcc} ${build:--DSAFETY} -DCOLLAPSE -DMEMLIM=1000 -o pan pan.c) >"$work/log" 2>&1 || return
    (cd "$work" && timeout 300 ./pan ${live:+-l -f} -m1000000 -w24) >"$work/said" 2>&1
    return 0
}

errors() {
    sed -nE 's/.*errors: ([0-9]+).*/\1/p' "$work/said"
}

states() {
    sed -nE 's/^ *([0-9.e+]+) states, stored.*/\1/p' "$work/said"
}

# Lines of the model that no run reaches: no statement of theirs is reached, wherever an inline put it.
unreached() {
    (cd "$work" && ./pan -d) | awk '
        FNR == NR && /^proctype/ { proc = $2 }
        FNR == NR && /^\tstate/ && match($0, /[^ ]*:[0-9]+ =>/) {
            line = substr($0, RSTART, RLENGTH - 3)
            if (!($2 in seen) || seen[$2] != proc) all[line]++
            seen[$2] = proc
        }
        FNR != NR && /^unreached in proctype/ { proc = $4 }
        FNR != NR && /, state [0-9]+, / && !/"-end-"/ {
            line = $1; sub(/,$/, "", line)
            if (!dead[proc, $3]++) none[line]++
        }
        END { for (line in all) if (none[line] >= all[line]) { sub(/.*\//, "", line); print line } }' - "$work/said" | sort | tr '\n' ' '
}

holds() {
    local left
    explore "$@" || { echo "no verifier: $(head -n 1 "$work/log")"; return; }
    [ "$(errors)" = 0 ] || { grep -m 1 '^pan:' "$work/said" || echo "no result"; return; }
    grep -qE 'reached -DMEMLIM|out of memory|max search depth too small|Search not completed|interrupted' "$work/said" && { echo "truncated"; return; }
    left=$([ -n "$live" ] || unreached)
    [ -z "$left" ] || echo "never reached: $left"
}

refuted() {
    explore "$@" || { echo "no verifier: $(head -n 1 "$work/log")"; return; }
    [ "$(errors)" = 1 ] || echo "survives"
}

# listed WHAT: the lines of $model's head that say WHAT is run, a line of defines each.
listed() {
    sed -nE "s/^ \* $1:([A-Z_0-9= ]*)( \*\/)?\$/\1/p" "$model" | sed -E 's/^ +//; s/ +$//'
}

command -v spin >/dev/null || { echo "check-models: spin is not installed"; exit 1; }
for model in "$here"/*.pml; do
    name=$(basename "$model" .pml)
    wanted=$([ $# -eq 0 ] && echo yes)
    for part in "$@"; do
        case $name in *"$part"*) wanted=yes ;; esac
    done
    [ -n "$wanted" ] || continue
    why=$(holds "$model")
    verdict "$name" "$why" "$(states) states"
    while read -r -a defines; do
        why=$(holds "$model" "${defines[@]}")
        verdict "$name ${defines[*]}" "$why" "$(states) states"
    done < <(listed also)
    while read -r -a defines; do
        why=$(live=yes holds "$model" "${defines[@]}")
        verdict "$name${defines[*]/#/ }: no cycle" "$why" "$(states) states"
    done < <(listed live)
    said=$({ listed refute; listed 'refute live'; } | cut -d ' ' -f 1 | sort -u)
    used=$(sed -nE 's/^#(ifn?def|if|elif) .*(BUG_[A-Z_]+).*/\2/p' "$model" | sort -u)
    verdict "$name: mutations" "$([ -n "$used" ] && [ "$said" = "$used" ] || echo "its head does not list what it has")" "$(echo "$used" | wc -l)"
    for live in '' yes; do
        while read -r -a defines; do
            why=$(refuted "$model" "${defines[@]}")
            verdict "$name: ${defines[0]}" "$why" "$(sed -nE 's/^pan:[0-9]+: (.*) \(at depth.*/\1/p' "$work/said" | head -n 1)"
        done < <(listed "refute${live:+ live}")
    done
    live=
done
echo "check-models: $passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
