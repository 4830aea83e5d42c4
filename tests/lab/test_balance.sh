# Part of test_lab.sh: `midden balance` and programs that join.

cat >"$dir/joins.c" <<'C'
#include <midden/balance.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    mid_heap *heap;
    mid_daemon *daemon;
    char byte;
    if (argc != 2)
        return 3;
    if (mid_heap_open(&heap, 0) != MID_OK || mid_daemon_start(heap, &daemon) != MID_OK || mid_balance_join(daemon, argv[1]) != MID_OK)
        return 1;
    for (int i = 0; i < 10000 && mid_balance_limit(daemon) == 0; i++)
        usleep(10000);
    printf("%s\n", mid_balance_limit(daemon) != 0 ? "limited" : "never limited");
    fflush(stdout);
    while (read(0, &byte, 1) == 1) {
    }
    return mid_daemon_stop(daemon) != MID_OK || mid_heap_close(heap) != MID_OK;
}
C
check "a program that joins compiles" $CC -Wall -Werror ${SANITIZE:+-fsanitize=$SANITIZE} -Iinclude -o "$dir/joins" "$dir/joins.c" \
    "$B/lib/libmidden-daemon.a" "$B/lib/libmidden.a" $(pkg-config --libs libevent_core libevent_extra libevent_pthreads jansson) -ldw -lpthread
until_said() { while kill -0 "$2" 2>/dev/null && ! [ -s "$1" ]; do sleep 0.05; done; }
: >"$dir/balance.said"
"$midden" balance --budget 256M --socket "$dir/balance" >"$dir/balance.said" 2>"$dir/balance.told" &
balance=$!
until_said "$dir/balance.said" $balance
check "balance says where" same "$(cat "$dir/balance.said")" "$dir/balance"
check "its socket is its user's alone" same "$(stat -c %a "$dir/balance")" 600
check "a second one at the same path: status 1" status 1 "$midden" balance --budget 256M --socket "$dir/balance"
balance_says() { ! "$midden" balance --budget 256M --socket "$1" 2>"$dir/balance.no" && grep -q "$2" "$dir/balance.no"; }
check "... and that somebody is there" balance_says "$dir/balance" "somebody listens there"
check "a path that is too long is said to be" balance_says "$dir/$(printf %0120d 0)" "longer than a socket's path can be"
check "so is what is no socket" balance_says "$dir/joins.c" "what is there is no socket"
mkfifo "$dir/joins.until" && : >"$dir/joins.1" && : >"$dir/joins.2"
"$dir/joins" "$dir/balance" <"$dir/joins.until" >"$dir/joins.1" &
joins_1=$!
"$dir/joins" "$dir/balance" <"$dir/joins.until" >"$dir/joins.2" &
joins_2=$!
exec 7>"$dir/joins.until"
until_said "$dir/joins.1" $joins_1 && until_said "$dir/joins.2" $joins_2
check "two processes are told a limit" same "$(cat "$dir/joins.1" "$dir/joins.2")" $'limited\nlimited'
kill -USR1 $balance
until_said "$dir/balance.told" $balance
check "asked, it says what it has given" grep -qE '^midden: balance: 2 heaps, [0-9]+ bytes given$' "$dir/balance.told"
kill -KILL $balance
{ check "killed" status 137 wait $balance; } 2>/dev/null # bash would say so
exec 7>&-
check "those who had joined go on" wait $joins_1
check "... both of them" wait $joins_2
check "what it left is replaced" test -S "$dir/balance"
: >"$dir/balance.said"
"$midden" balance --socket "$dir/balance" --budget 1G >"$dir/balance.said" &
balance=$!
until_said "$dir/balance.said" $balance
kill -TERM $balance
check "ended, status 0" wait $balance
check "its socket is gone, too" test ! -e "$dir/balance"
check "no such folder: status 1" status 1 "$midden" balance --budget 1G --socket "$dir/none/balance"
check "a path that is too long: status 1" status 1 "$midden" balance --budget 1G --socket "$dir/$(printf 'x%.0s' {1..200})"
for line in "" "--budget" "--budget 0 --socket x" "--budget 1K --socket x" "--budget 5X --socket x" "--budget 2GG --socket x" \
    "--budget 99999999999T --socket x" "--budget -1 --socket x" "--budget 1G --socket" "--budget 1G --nothing x" "2G"; do
    check "midden balance $line: status 2" status 2 "$midden" balance $line
done
check "no socket and no XDG_RUNTIME_DIR: status 2" status 2 env -u XDG_RUNTIME_DIR "$midden" balance --budget 1G
