# Part of test_lab.sh: `midden ctl` and a program that listens.

cat >"$dir/listens.c" <<'C'
#include <midden/control.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    mid_heap *heap;
    mid_daemon *daemon;
    char byte;
    if (argc != 2)
        return 3;
    if (mid_heap_open(&heap, 0) != MID_OK || mid_daemon_start(heap, &daemon) != MID_OK ||
        mid_control_listen(daemon, argv[1]) != MID_OK || write(1, "listening\n", 10) != 10)
        return 1;
    while (read(0, &byte, 1) == 1) {
    }
    return mid_daemon_stop(daemon) != MID_OK || mid_heap_close(heap) != MID_OK;
}
C
check "a program that listens compiles" $CC -Wall -Werror ${SANITIZE:+-fsanitize=$SANITIZE} -Iinclude -o "$dir/listens" "$dir/listens.c" \
    "$B/lib/libmidden-daemon.a" "$B/lib/libmidden.a" $(pkg-config --libs libevent_core libevent_pthreads jansson) -ldw -lpthread
mkfifo "$dir/ctl.until" && : >"$dir/ctl.said"
"$dir/listens" "$dir/socket" <"$dir/ctl.until" >"$dir/ctl.said" &
listener=$!
exec 7>"$dir/ctl.until"
while kill -0 $listener 2>/dev/null && ! [ -s "$dir/ctl.said" ]; do sleep 0.05; done
ctl() { "$midden" ctl "$@"; }
field() { # NAME REQUEST...: of the answer as JSON
    local name=$1
    shift
    ctl --json "$dir/socket" "$@" | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$name"
}
check "ctl help lists itself" grep -q '^ *help ' <(ctl "$dir/socket" help)
check "ctl stats, for people" grep -qE '^  committed_bytes +[0-9]+$' <(ctl "$dir/socket" stats)
check "ctl stats, as JSON" same "$(field ok stats)" True
check "ctl collect" same "$(field done collect)" collect
check "ctl trim" ctl "$dir/socket" trim
check "ctl dump" ctl "$dir/socket" dump
check "ctl log, for people" grep -q 'collect: asked' <(ctl "$dir/socket" log 5)
check "ctl set" grep -qE '^  slice +1000$' <(ctl "$dir/socket" set slice=1ms)
check "what is refused: status 1" status 1 ctl "$dir/socket" set heap-limit=1G
check "what is refused: says why" grep -q 'heap-limit.*MID_EOPTION' <(ctl "$dir/socket" set heap-limit=1G 2>&1)
check "what is refused, as JSON: status 1" status 1 ctl --json "$dir/socket" nothing
check "what is refused, as JSON" grep -q '"error": "MID_EINVAL"' <(ctl --json "$dir/socket" nothing)
exec 7>&-
check "the program that listened ends" wait $listener
check "nobody listens: status 1" status 1 ctl "$dir/socket" help
check "its socket is gone" test ! -e "$dir/socket"
check "a path that is too long: status 1" status 1 ctl "$dir/$(printf 'x%.0s' {1..200})" help
if unshare -rm true 2>/dev/null; then
    mkdir "$dir/no-room"
    on_a_full_disk() {
        unshare -rm sh -c 'mount -t tmpfs -o nr_inodes=1 none "$1/no-room" && exec "$1/listens" "$1/no-room/socket" </dev/null' sh "$dir"
    }
    check "a full disk is a status, and the program ends as it likes" status 1 on_a_full_disk
fi
for line in "" "socket" "--nothing socket help" "--json" "--json socket"; do
    check "midden ctl $line: status 2" status 2 "$midden" ctl $line
done
check "a request of two lines: status 2" status 2 "$midden" ctl socket $'help\nhelp'
