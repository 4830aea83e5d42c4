#!/bin/sh
# long.sh FOLDER...: the tester with many threads in sanitized builds: five seeds a minute each with collection and compaction
# all the time, and a minute of each of the other modes. Ends with `N passed, N failed`.
passed=0
failed=0
seconds=${STRESS_SECONDS:-60}
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1}"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1}"
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

try() {
    if timeout $((seconds * 20)) "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $*"
    fi
}

for programs in "$@"; do
    echo "=== $programs"
    for seed in 201 202 203 204 205; do
        try "$programs/stress-threads" --seed $seed --threads 8 --seconds "$seconds" --mode gc-every-safepoint
    done
    try "$programs/stress-threads" --seed 206 --threads 8 --seconds "$seconds"
    try "$programs/stress-threads" --seed 207 --threads 20 --seconds "$seconds"
    try "$programs/stress-threads-debug" --seed 208 --threads 8 --seconds "$seconds" --mode gc-every-safepoint
    try "$programs/stress-threads-daemon" --seed 209 --threads 8 --seconds "$seconds" --mode daemon
done
echo "stress-threads-long: $passed passed, $failed failed"
[ $failed -eq 0 ]
