#!/bin/sh
# suite.sh PROGRAMS: both testers over seeds and modes, in about a minute. Ends with `N passed, N failed`.
programs=$1
passed=0
failed=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT

try() {
    if timeout 300 "$@" >"$output" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed ($?): $*"
        cat "$output"
    fi
}

for seed in 1 2 3 4 5 6 7 8 9; do
    try "$programs/stress" --seed $seed --ops 60000
    try "$programs/stress" --seed 1$seed --ops 8000 --mode gc-every-safepoint --live 400 --max-objects 8192
    try "$programs/stress" --seed 2$seed --ops 30000 --heap-limit 4194304
done
# A table that is nearly full, and a larger graph.
try "$programs/stress" --seed 31 --ops 30000 --live 6500 --max-objects 8192 --heap-limit 1073741824
try "$programs/stress" --seed 32 --ops 30000 --live 8000 --max-objects 65536
for seed in 41 42 43; do
    try "$programs/stress-debug" --seed $seed --ops 40000
done
try "$programs/stress-debug" --seed 44 --ops 5000 --mode gc-every-safepoint --live 400
# A hundred misuses, each told, and none in a run without.
try "$programs/stress-debug" --seed 45 --ops 5000 --misuses 100
try "$programs/stress-debug" --seed 49 --ops 100000 --check-every 1000
for seed in 51 52 53; do
    try "$programs/stress-daemon" --seed $seed --ops 20000 --mode daemon
done
# Many threads.
for seed in 61 62 63; do
    try "$programs/stress-threads" --seed $seed --ops 10000
    try "$programs/stress-threads" --seed 1$seed --ops 1500 --mode gc-every-safepoint
done
try "$programs/stress-threads" --seed 64 --ops 4000 --threads 24
try "$programs/stress-threads" --seed 65 --ops 10000 --threads 3 --heap-limit 12582912
try "$programs/stress-threads-debug" --seed 66 --ops 5000
try "$programs/stress-threads-debug" --seed 67 --ops 1000 --mode gc-every-safepoint
try "$programs/stress-threads-daemon" --seed 68 --ops 5000 --mode daemon
# Collected piece by piece, while they run.
for seed in 71 72 73; do
    try "$programs/stress" --seed $seed --ops 20000 --mode steps
    try "$programs/stress-threads" --seed $seed --ops 10000 --mode steps
done
echo "test-stress: $passed passed, $failed failed"
[ $failed -eq 0 ]
