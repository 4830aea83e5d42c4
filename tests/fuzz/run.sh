#!/bin/bash
# run.sh FOLDER TARGET...: run each fuzzer in FOLDER for FUZZ_SECONDS, beginning with its corpus; what it finds worth keeping goes
# to FOLDER/found-TARGET, an input that fails to FOLDER/failed-TARGET-*. Ends with `N passed, N failed`.
set -u
cd "$(dirname "$0")/../.." || exit 1
folder=$1 passed=0 failed=0
shift
for target in "$@"; do
    mkdir -p "$folder/found-$target"
    if "$folder/$target" -max_total_time="${FUZZ_SECONDS:-600}" -max_len=6000 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$folder/failed-$target-" "$folder/found-$target" "tests/fuzz/corpus/$target" >"$folder/$target.log" 2>&1; then
        passed=$((passed + 1))
        echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$folder/$target.log") inputs, none failed"
    else
        failed=$((failed + 1))
        echo "$target: failed"
        tail -n 40 "$folder/$target.log"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
