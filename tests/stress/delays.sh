#!/bin/sh
# delays.sh FOLDER...: both testers where every step of proposal and proof dawdles (gc/delay.h), collected while they run; five
# seeds in each build. Trials must have been committed, and members dropped. Ends with `N passed, N failed`.
passed=0
failed=0
seconds=${STRESS_SECONDS:-20}
all=$(mktemp)
output=$(mktemp)
trap 'rm -f "$all" "$output"' EXIT
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1}"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1}"
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

try() {
    if timeout $((seconds * 20)) "$@" >"$output" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed ($?): $*"
    fi
    cat "$output"
    cat "$output" >>"$all"
}

# How often the collector came by a place, in all runs.
came_by() {
    sum=$(sed -n "s/.*[:,] \([0-9]*\) $1\(,.*\|\)$/\1/p" "$all" | awk '{ sum += $1 } END { print sum + 0 }')
    echo "  $1: $sum"
    [ "$sum" -gt 0 ] && passed=$((passed + 1)) && return
    failed=$((failed + 1))
    echo "failed: the collector never came to $1"
}

for programs in "$@"; do
    echo "=== $programs"
    for seed in 301 302 303 304 305; do
        try "$programs/stress-threads" --seed $seed --threads 8 --seconds "$seconds" --mode steps
        try "$programs/stress-threads-daemon" --seed $seed --threads 8 --seconds "$seconds" --mode daemon
        try "$programs/stress" --seed $seed --ops 20000 --mode steps
        try "$programs/stress-daemon" --seed $seed --ops 10000 --mode daemon
    done
done
for place in trials commits dropped "touched late" "given up"; do
    came_by "$place"
done
echo "stress-delays: $passed passed, $failed failed"
[ $failed -eq 0 ]
