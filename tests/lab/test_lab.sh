#!/bin/bash
# Tests of the program, the recorder, the traces and the replay. Run by `make test-lab`, which sets B, CC, MAKE, SANITIZE.
set -u -o pipefail
midden=$B/midden subject=$B/lab/subject here=tests/lab
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

# check NAME COMMAND...: the command succeeds.
check() {
    local name=$1
    shift
    if "$@" >"$dir/out" 2>"$dir/err"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
        head -n 5 "$dir/out" "$dir/err"
    fi
}
# status WANTED COMMAND...
status() {
    local wanted=$1 got=0
    shift
    "$@" || got=$?
    [ "$got" -eq "$wanted" ] || { echo "status $got instead of $wanted"; return 1; }
}
same() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
at_least() { [ "$1" -ge "$2" ] || { echo "$1 is less than $2"; return 1; }; }
# The program's own figures of a trace, and those of the other reader.
figures() { "$midden" replay --check "$@" | grep -Ev '^(peak|whole|command)'; }
figure() { "$midden" replay --check "$2" ${3:+"$3"} | sed -n "s/^$1 //p" || echo failed; }
# Every trace beside $1 is valid and in order, and both readers get the same out of it; there are $2 of them.
traces_valid() {
    local traces=("$1") trace
    for trace in "$1".*; do
        [ ! -f "$trace" ] || traces+=("$trace")
    done
    for trace in "${traces[@]}"; do
        figures "$trace" || { echo "$trace"; return 1; }
    done >"$dir/ours"
    python3 $here/trace_check.py "${traces[@]}" >"$dir/theirs" && cmp "$dir/ours" "$dir/theirs" && same "${#traces[@]}" "$2"
}
# The trace is refused: status 1, and a message that names offset $1.
refused_at() {
    local offset=$1 got=0
    shift
    "$midden" replay --check "$@" 2>"$dir/refusal" || got=$?
    [ "$got" -eq 1 ] && grep -q "offset $offset: " "$dir/refusal" || { echo "status $got: $(cat "$dir/refusal")"; return 1; }
}
bytes_at() { printf "$2" | dd of="$1" bs=1 seek="$3" conv=notrunc status=none; }
json() { sed -n "s/^ \"$2\": \([^,]*\),\{0,1\}$/\1/p" "$1"; }

. $here/test_record.sh
. $here/test_trace.sh
. $here/test_replay.sh
. $here/test_ctl.sh
. $here/test_balance.sh
. $here/test_simulate.sh
. $here/test_program.sh

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
