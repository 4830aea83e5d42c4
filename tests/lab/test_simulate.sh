# Part of test_lab.sh: `midden simulate`. Nothing here depends on speed: what is compared is computed.

simulate() { "$midden" simulate "$@"; }
into() { local file=$1; shift; simulate "$@" >"$dir/$file"; }
sum() { sed -n "s/.*$2 \([0-9][0-9.]*\).*/\1/p" "$1" | tail -n 1; }
day() { # MORE: a day of the same
    printf '0 mutator=running allocate=4M garbage=20 live=64M object=64 %s\n86400\n' "$1"
}
malformed() { # LINE TEXT: refused, and the line is named
    local got=0
    printf "$2" | simulate - >"$dir/refused" 2>&1 || got=$?
    [ "$got" -eq 1 ] && grep -q "${1:+line $1: }" "$dir/refused" || { echo "status $got: $(cat "$dir/refused")"; return 1; }
}
# In `figures` column $1 lies between $2 and $3 on each line after the first hours.
column_within() { awk -F, -v c="$1" -v low="$2" -v high="$3" 'NR > 6 && ($c < low || $c > high) { print; bad = 1 } END { exit bad || NR < 20 }' "$dir/figures"; }

check "the example is simulated" into first $here/example.pressure
check "and again" into second $here/example.pressure
check "it is the same" cmp "$dir/first" "$dir/second"
check "a day was simulated" same "$(sum "$dir/first" seconds)" 86400.000
check "what presses at noon is heard" grep -q '^+43202.000s note: stalls, calm -> compact' "$dir/first"
check "the service manager is heard" grep -q '^+50000.000s note: watch, .* -> compact' "$dir/first"
check "and acted upon" grep -q '^+50000.*sweep: pressure (watch) compact' "$dir/first"
check "a program that sleeps is trimmed" grep -q '^+72000.*trim: idle' "$dir/first"
check "three days" into three $here/example.pressure --times 3
check "three days were simulated" same "$(sum "$dir/three" seconds)" 259200.000
check "each day's noon" same "$(grep -c '^+[0-9]*.000s note: stalls, calm -> compact' "$dir/three")" 3

day "" >"$dir/constant"
check "constant load" into load "$dir/constant"
check "constant load: no level" same "$(sum "$dir/load" 'levels changed')" 0
check "constant load: collected" at_least "$(sum "$dir/load" sweep)" 100
simulate "$dir/constant" --csv --every 3600 >"$dir/figures"
check "constant load: a line an hour" same "$(wc -l <"$dir/figures")" 25
# Live 64 MiB, growth of 75 % before a sweep, as much again in holes and empty pools at most, and the handle table.
check "constant load: committed memory neither grows nor is given up" column_within 8 67108864 184549376
day "some=60 machine=8G free=1G" >"$dir/pressed"
check "constant pressure" into press "$dir/pressed"
check "constant pressure: one change of level in a day" same "$(sum "$dir/press" 'levels changed')" 1
check "constant pressure: less memory" test "$(sum "$dir/press" 'on average')" -lt "$(sum "$dir/load" 'on average')"
check "constant pressure: at most half of a processor" test "$(sum "$dir/press" 'share of a processor' | cut -d. -f1)" -lt 50
day "" | sed 's/running/busy/' >"$dir/busy"
check "a program that comes to no safepoint" into postponed "$dir/busy"
check "it is postponed, and moves nothing" grep -q '^moved 0 bytes, returned 0 bytes' "$dir/postponed"
check "and the log says why" grep -q 'a thread did not reach a safepoint' "$dir/postponed"
check "limit: steered by options" into limited "$dir/constant" --options soft-limit=96M
check "limit: less memory" test "$(sum "$dir/limited" 'on average')" -lt "$(sum "$dir/load" 'on average')"

check "malformed: nothing" malformed "" ''
check "malformed: one line" malformed "" '0 live=1\n'
check "malformed: no time" malformed 2 '0\nlive=1\n'
check "malformed: time goes back" malformed 3 '0\n2 live=1\n1\n'
check "malformed: a key" malformed 1 '0 lives=1\n1\n'
check "malformed: a value" malformed 1 '0 live=-1\n1\n'
check "malformed: out of range" malformed 1 '0 garbage=101\n1\n'
check "malformed: a word" malformed 1 '0 mutator=asleep\n1\n'
check "malformed: no value" malformed 1 '0 live\n1\n'
check "malformed: too long" malformed 1 "0 $(printf '%05000d' 0)\n1\n"
check "extremes end" simulate <(printf '0 allocate=1024G live=65536G garbage=100 object=8\n1 live=0\n2\n')
for line in "simulate" "simulate a b" "simulate a --every" "simulate a --every 0" "simulate a --times x" "simulate a --options x=1" "simulate --what a"; do
    check "midden $line: status 2" status 2 "$midden" $line
done
check "no such recording" status 1 "$midden" simulate "$dir/none"
