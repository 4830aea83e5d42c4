#!/bin/sh
# long.sh SANITIZED PROGRAMS: a million operations at each of five seeds in the sanitized build, a few under valgrind,
# the heap checked after every hundred. Ends with `N passed, N failed`.
sanitized=$1
programs=$2
passed=0
failed=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

try() {
    begin=$(date +%s)
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $*"
    fi
    echo "  $(($(date +%s) - begin)) s"
}

for seed in 101 102 103 104 105; do
    try "$sanitized/stress" --seed $seed --ops 1000000 --check-every 100
done
try "$sanitized/stress" --seed 106 --ops 100000 --check-every 100 --mode gc-every-safepoint --live 400
try "$sanitized/stress-debug" --seed 107 --ops 100000 --check-every 100
try "$programs/stress-debug" --seed 108 --ops 1000000 --check-every 1000
for seed in 111 112; do
    try valgrind --quiet --error-exitcode=3 "$programs/stress" --seed $seed --ops 100000 --check-every 100 --live 700
done
echo "stress-long: $passed passed, $failed failed"
[ $failed -eq 0 ]
