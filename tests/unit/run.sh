#!/bin/bash
# Run cmocka programs one after the other, show what they print, and end with `N passed, N failed`, counted in tests.
# A program that crashes or hangs counts as one failed test. RUN_UNDER is put before each (valgrind).
set -u
unset MIDDEN_OPTIONS
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
passed=0 failed=0
for program in "$@"; do
    echo "--- ${program##*/}"
    timeout -k 5 "${UNIT_TIMEOUT:-240}" ${RUN_UNDER:-} "$program" >"$log" 2>&1
    code=$?
    cat "$log"
    good=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$log" | tail -n 1)
    bad=$(sed -n 's/^ *\([0-9]*\) FAILED TEST.*/\1/p' "$log" | tail -n 1)
    if [ -z "$good" ] || { [ "$code" -ne 0 ] && [ "${bad:-0}" -eq 0 ]; }; then
        echo "${program##*/}: ended with status $code"
        bad=$((${bad:-0} + 1))
    fi
    passed=$((passed + ${good:-0}))
    failed=$((failed + ${bad:-0}))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
