# Part of test_lab.sh: the recorder, on programs that make its life hard.

t=$dir/record
recorded() { "$midden" record -o "$t" -- "$@" 2>"$dir/said"; }

check "threads, fork, exec: the command's status" status 0 recorded "$subject" threads
check "threads, fork, exec: three traces, in order" traces_valid "$t" 3
check "all threads are in the trace" at_least "$(figure threads "$t")" 17
check "the program's own trace" same "$(figure forked "$t") $(figure unknown "$t")" "0 0"
for trace in "$t".*; do
    case "$(figure command "$trace")" in
    *steps) executed=$trace ;;
    *) forked=$trace ;;
    esac
done
check "the child of fork freed 256 blocks of its parent's" same "$(figure forked "$forked") $(figure unknown "$forked")" "1 256"
check "the child of fork made 256 and kept 128" same "$(figure allocations "$forked") $(figure end_live_bytes "$forked")" "256 12800"
check "what the executed program did, to the byte" same "$(figure end_live_blocks "$executed") $(figure end_live_bytes "$executed")" "50 151275"
check "the executed program is no child of fork" same "$(figure forked "$executed")" 0

check "children made by a bare clone" status 0 recorded "$subject" bare
check "bare clone: three traces, in order" traces_valid "$t" 3
check "_exit after closing every descriptor" status 7 recorded "$subject" closed
check "closed descriptors: the trace is whole" traces_valid "$t" 1
check "closed descriptors: recording went on after" at_least "$(figure threads "$t")" 33
check "another file under the recorder's number is left alone" same \
    "$("$midden" record -o "$t" -- "$subject" closed 2>/dev/null | wc -c)" 0
check "abort" status 134 recorded "$subject" aborts
check "abort: the trace is whole" traces_valid "$t" 1
check "exec" status 0 recorded "$subject" execs
check "exec: both programs" traces_valid "$t" 2
check "old traces of children are removed" status 0 recorded "$subject" steps
check "old traces of children are gone" traces_valid "$t" 1

# Killed at any moment: wait until it has written a megabyte, then SIGKILL.
"$midden" record -o "$t" -- sh -c 'echo $$; exec "$1" endless' sh "$subject" >"$dir/pid" 2>/dev/null &
until [ "$(stat -c %s "$t".* 2>/dev/null | sort -n | tail -n 1)" -gt 1048576 ] 2>/dev/null; do
    kill -0 $! 2>/dev/null || break
    sleep 0.05
done
kill -9 "$(head -n 1 "$dir/pid")"
killed=0
wait $! || killed=$?
check "killed: status" same $killed 137
check "killed: nothing but what was in flight is lost" at_least "$(figure operations "$(ls -S "$t".* | head -n 1)" --partial)" 50000

for command in "ls -l /usr" "sh -c 'ls /usr | sort | wc -l; (echo a; echo b) | cat'" "python3 -c 'print(sorted(str(i) for i in range(999)))'"; do
    check "$command prints the same" same "$(eval "$midden record -o $t -- $command" 2>/dev/null)" "$(eval "$command")"
    count=$(ls "$t" "$t".* 2>/dev/null | wc -l)
    check "$command: $count traces" traces_valid "$t" "$count"
done
check "status of the command" status 5 recorded sh -c 'exit 5'
check "status of a signal" status 143 recorded sh -c 'kill -TERM $$'
check "no such command" status 127 recorded "$dir/none"
echo text >"$dir/text"
check "a file that is no trace is not overwritten" status 1 "$midden" record -o "$dir/text" -- true
check "it holds what it held" same "$(cat "$dir/text")" text
check "a folder that is not there" status 1 "$midden" record -o "$dir/none/trace" -- true

# A file-size limit, as a full disk would, ends the recording: one line, and the program carries on.
limited() { (ulimit -f 900 && recorded "$subject" closed); }
check "file-size limit: the program carries on" status 7 limited
check "file-size limit: one line says so" same "$(grep -c 'recording stops here' "$dir/said")" 1
check "file-size limit: refused" refused_at 44 "$t"
check "file-size limit: what was recorded is in order" at_least "$(figure operations "$t" --partial)" 5000
if unshare -rm true 2>/dev/null; then
    mkdir "$dir/small"
    on_full_disk() {
        unshare -rm sh -c 'mount -t tmpfs -o size=900k none "$1/small" && "$2" record -o "$1/small/t" -- "$3" closed 2>"$1/said"
            echo $? && cp "$1/small/t" "$1/full"' sh "$dir" "$midden" "$subject"
    }
    check "full disk: the program carries on" same "$(on_full_disk)" 7
    check "full disk: one line says so" same "$(grep -c 'No space left on device; recording stops here' "$dir/said")" 1
    check "full disk: refused" refused_at 44 "$dir/full"
    check "full disk: what was recorded is in order" at_least "$(figure operations "$dir/full" --partial)" 5000
fi
