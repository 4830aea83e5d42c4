# Part of test_lab.sh: replays, and the report made of them.

t=$dir/replayed
"$midden" record -o "$t" -- "$subject" threads 2>/dev/null
live=$(python3 $here/trace_check.py "$t" | sed -n 's/^end_live_bytes //p')
replays=
for heap in midden boehm malloc mimalloc jemalloc; do
    file=$dir/$heap.json
    check "replay on $heap" "$midden" replay "$t" --heap $heap --idle 0.1 --json "$file"
    check "$heap: live bytes are those of the other reader" same "$(json "$file" live_bytes)" "$live"
    check "$heap: the heap's name" same "$(json "$file" heap)" "\"$heap\""
    check "$heap: memory was resident" at_least "$(json "$file" peak_net_rss_bytes)" "$live"
    grep -A 3 '"op":' "$file" | grep -E '"(op|live_bytes)"' | awk '/"op"/ && seen[$2]++ {exit} {print}' >"$dir/$heap.series"
    replays="$replays --replay $file"
done
check "the sampled live bytes are there" at_least "$(wc -l <"$dir/malloc.series")" 1000
for heap in midden boehm mimalloc jemalloc; do
    check "live bytes over time are the same on $heap and malloc" cmp "$dir/$heap.series" "$dir/malloc.series"
done
check "boehm, scanning what blocks hold" "$midden" replay "$t" --heap boehm --variant plain --touch 0 --json "$dir/plain.json"
check "its variant is in the file" same "$(json "$dir/plain.json" variant)" '"plain"'
check "no block is read with --touch 0" same "$(json "$dir/plain.json" reads)" 0
at_least_read() { "$midden" replay "$t" --heap malloc --touch 3 --json "$cut" && at_least "$(json "$cut" reads)" "$(json "$dir/malloc.json" reads)"; }
check "more are read with --touch 3" at_least_read
head -c $((65536 * 3)) "$t" >"$cut"
check "a cut trace is replayed in part" "$midden" replay "$cut" --partial --heap midden --json "$dir/part.json"
grep -q '"partial": true' "$dir/part.json"
check "and says so" same $? 0
check "a file that cannot be written" status 1 "$midden" replay "$t" --heap malloc --json "$dir/none/x"

explained() { "$midden" explain "$@" >"$dir/table"; }
# In each row: pools after are the optimal ones, what was moved is the least; and the rows add up to the row "all".
rows_hold() {
    awk '$1 ~ /^[0-9]+$/ && NF >= 7 && $2 ~ /^[0-9]+$/ && $3 ~ /^[0-9]+$/ {rows++; for (i = 3; i <= 7; i++) sum[i] += $i
             if ($5 != $4 || $6 != $7) bad = 1}
         $1 == "all" {for (i = 3; i <= 7; i++) if ($(i - 1) != sum[i]) bad = 1; all = 1}
         END {exit !(rows > 3 && all && !bad)}' "$dir/table"
}
"$midden" record -o "$dir/sparse" -- "$subject" sparse 2>/dev/null
check "explain" explained "$dir/sparse"
check "every class is at its optimum, with the least moved" rows_hold
column() { awk -v row="$1" -v at="$2" '$1 == row {print $at}' "$dir/table"; }
check "something was moved" at_least "$(column all 5)" 1000000
check "of large objects, too" at_least "$(column regions 5)" 1000000
check "to no more than the pages that are needed" same "$(column pages 4)" "$(column pages 3)"
check "explain at half of it" explained "$dir/sparse" --until 50
check "where nothing is sparse" same "$(column regions 5) $(sed -n '1s/.*, //p' "$dir/table")" "0 $(awk '{print int($2 / 2)}' <<<"$("$midden" replay --check "$dir/sparse" | head -n 1)") of $("$midden" replay --check "$dir/sparse" | sed -n 's/^operations //p') operations"
check "explain a cut trace in part" explained "$cut" --partial
check "explain what is no trace" status 1 "$midden" explain "$dir/page.html"

check "report" "$midden" report $replays -o "$dir/page.html"
check "a chart each of footprint, stops, calls" same "$(grep -c '<svg' "$dir/page.html")" 3
check "the page asks for nothing from outside" same "$(grep -oE '(src|href)="?[^#]|@import|url\(' "$dir/page.html" | wc -l)" 0
check "a row for each heap and phase" same "$(grep -c '^<tr>' "$dir/page.html")" 10
mkdir "$dir/nothing"
without_gnuplot() { PATH=$dir/nothing "$midden" report $replays -o "$dir/plain.html" 2>"$dir/said" >"$dir/table"; }
check "report without gnuplot" without_gnuplot
check "it says what is missing, once" same "$(grep -c gnuplot "$dir/said")" 1
check "its tables are whole" same "$(grep -c '^<tr>' "$dir/plain.html") $(wc -l <"$dir/table")" "10 11"
check "a file of another kind" status 1 "$midden" report --replay "$dir/part.json" --bench "$dir/part.json"
check "a file that is no JSON" status 1 "$midden" report --replay "$t"
