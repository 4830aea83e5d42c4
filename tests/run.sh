#!/bin/bash
# Run the suites named by make targets, leave out those that do not exist, and end with the sum: `N passed, N failed`.
# A suite that gives no such line, or fails without counting a failure, counts as one failed test.
set -u
make=${MAKE:-make}
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
# Compilation uses every processor, unless whoever called make has said how many.
jobs=-j$(nproc)
case ${MAKEFLAGS:-} in *-j*) jobs= ;; esac
passed=0 failed=0
for suite in "$@"; do
    grep -qsE "^([^#=:]* )?$suite( [^=:]*)?:" Makefile tests/*/rules.mk || continue
    echo "=== $suite"
    $make --no-print-directory $jobs "$suite" 2>&1 | tee "$log"
    code=${PIPESTATUS[0]}
    line=$(sed -nE 's/^([a-z-]+: )?([0-9]+ passed, [0-9]+ failed)$/\2/p' "$log" | tail -n 1)
    if [ -z "$line" ]; then
        echo "$suite: no result, status $code"
        failed=$((failed + 1))
        continue
    fi
    bad=${line#* passed, } bad=${bad% failed}
    [ "$code" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    passed=$((passed + ${line%% *}))
    failed=$((failed + bad))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
