# Part of test_lab.sh: traces that are damaged, foreign or wrong.

t=$dir/whole
"$midden" record -o "$t" -- "$subject" threads 2>/dev/null
size=$(stat -c %s "$t")
whole=$(figure operations "$t")
cut=$dir/cut

# Truncated: everywhere around the parts of the header and of the chunks, and in between.
offsets="0 1 7 8 79 80 4095 4175"
for chunk in 65536 131072 $((size - 65536)); do
    for step in -1 0 1 31 32 33 34 35 36 40 1000 40000; do offsets="$offsets $((chunk + step))"; done
done
offsets="$offsets $((size - 1))"
cuts_refused() {
    local offset
    for offset in $offsets; do
        head -c "$offset" "$t" >"$cut"
        refused_at "$offset" "$cut" || { echo "cut at $offset"; return 1; }
    done
}
cuts_read_in_part() {
    local offset before=0 now
    for offset in $(printf '%s\n' $offsets | sort -n); do
        [ "$offset" -ge 4176 ] || continue
        head -c "$offset" "$t" >"$cut"
        now=$(figure operations "$cut" --partial) || { echo "cut at $offset"; return 1; }
        at_least "$now" "$before" && at_least "$whole" "$now" || return 1
        before=$now
    done
    at_least "$before" 1
}
check "truncated at $(echo $offsets | wc -w) offsets: refused with the offset" cuts_refused
check "truncated: --partial reads what comes before the cut" cuts_read_in_part
check "the whole file is accepted" figures "$t"

altered() { # OFFSET BYTES: of the file as it is
    cp "$t" "$cut" && bytes_at "$cut" "$2" "$1" && refused_at "$1" "$cut" && refused_at "$1" "$cut" --partial
}
check "another magic" altered 0 'x'
check "another version" altered 8 '\2'
check "another byte order" altered 12 '\1'
check "another size of chunks" altered 16 '\1'
check "another size of addresses" altered 20 '\4'
check "no chunks" altered 48 '\0\0\0\0\0\0\0\0'
check "a command that is too long" altered 72 '\377\377\377\377'
check "another magic of a chunk" altered 65536 'x'
check "more records than a chunk holds" altered 65540 '\377\377\377\377'
check "an op that does not exist" altered 65568 '\377'
cp "$t" "$cut" && bytes_at "$cut" '\377\377\377\377' 56
check "more operations than the file can hold" refused_at 56 "$cut"
cp "$t" "$cut" && head -c 200000 "$t" >>"$cut"
check "a file that goes on" refused_at "$size" "$cut"

for foreign in "$midden" $here/README.md $here/trace.h; do
    check "foreign: $foreign" refused_at 0 "$foreign"
done
: >"$dir/empty"
check "foreign: an empty file" refused_at 0 "$dir/empty"
check "a folder" status 1 "$midden" replay --check "$dir"
check "a file that is not there" status 1 "$midden" replay --check "$dir/none"

for case in $(python3 $here/trace_forge.py --list); do
    offset=$(python3 $here/trace_forge.py "$case" "$cut")
    if [ -z "$offset" ]; then
        check "forged, $case" figures "$cut"
    else
        check "forged, $case" refused_at "$offset" "$cut"
    fi
done
