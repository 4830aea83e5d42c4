# Part of test_lab.sh: the command line, the options' tables, installation.

for line in "" "nothing" "--nothing" "record" "record -x" "record -o" "record -o $dir/x" "record -o $dir/x --" "replay" \
    "replay a b" "replay --nothing" "replay a" "replay a --heap" "replay a --heap nothing" "replay a --heap malloc --variant x" \
    "replay a --heap malloc --touch x" "replay a --heap malloc --idle -1" "replay a --check --heap malloc" "explain" "explain a b" "explain a --until" "explain a --until x" \
    "explain a --until 101" "explain --nothing" "report" \
    "report --nothing" "report -o" "report -o x" "options x" "options --man x" "version x" "help x"; do
    check "midden $line: status 2" status 2 "$midden" $line
    check "midden $line: says why" at_least "$(wc -l <"$dir/err")" 1
done
check "help" same "$("$midden" help | grep -c '^  midden ')" 11
check "version" same "$("$midden" version)" "midden $(sed -n 's/.*VERSION_STRING "\(.*\)"/\1/p' include/midden/version.h)"
rows=$(sed -n '/define MID_OPTIONS(X)/,/^typedef/p' include/midden/options.h | grep -c ' X(')
check "each option is listed" same "$("$midden" options | grep -c '^[a-z-]*=')" "$rows"
check "each option is in the manual page" same "$("$midden" options --man | grep -c '^\.TP')" "$rows"
defaults=$("$midden" options | sed -n 's/^\([a-z-]*=[^ ]*\) .*/\1/p' | paste -sd,)
check "the listed defaults are what the parser reads" env MIDDEN_OPTIONS="$defaults" "$midden" replay "$t" --heap midden
check "the environment's options reach the heap" status 1 env MIDDEN_OPTIONS=heap-limit=1 "$midden" replay "$t" --heap midden

root=$dir/root
cat >"$dir/first.c" <<'C'
#include <midden/midden.h>
int main(void)
{
    mid_heap *heap;
    mid_thread *thread;
    if (mid_version() != MID_VERSION || mid_heap_open(&heap, 0) != MID_OK || mid_thread_attach(heap, &thread) != MID_OK)
        return 1;
    return mid_thread_detach(thread) != MID_OK || mid_heap_close(heap) != MID_OK;
}
C
cat >"$dir/second.c" <<'C'
#include <midden/daemon.h>
int main(void)
{
    mid_heap *heap;
    mid_daemon *daemon;
    if (mid_heap_open(&heap, 0) != MID_OK || mid_daemon_start(heap, &daemon) != MID_OK)
        return 1;
    return mid_daemon_stop(daemon) != MID_OK || mid_heap_close(heap) != MID_OK;
}
C
# Every header by itself and all of them together, in C and in C++, and a call of each part into the libraries.
cat >"$dir/third.c" <<'C'
#include <midden/kinds.h>
#include <midden/dict.h>
#include <midden/midden.h>
static const unsigned frames = 4;
int main(void)
{
    mid_heap *heap;
    mid_thread *thread;
    mid_kinds kinds;
    mid_handle list, text, dict, map;
    mid_trace_options trace;
    mid_trace_snapshot *snapshot;
    void *block;
    trace.struct_size = sizeof trace;
    trace.frames = frames;
    trace.sample = 0;
    if (mid_heap_open(&heap, 0) != MID_OK || mid_thread_attach(heap, &thread) != MID_OK || mid_kinds_open(heap, &kinds) != MID_OK ||
        mid_trace_start(heap, &trace) != MID_OK || mid_list_new(thread, &kinds, 0, &list) != MID_OK ||
        mid_text_intern(thread, &kinds, "word", 4, &text) != MID_OK || mid_list_append(thread, &kinds, list, text) != MID_OK ||
        mid_dict_new(thread, &mid_keys_identity, &dict) != MID_OK || mid_dict_set(thread, dict, text, list) != MID_OK ||
        mid_weak_map_new(thread, MID_WEAK_KEYS, &map) != MID_OK || mid_weak_map_set(thread, map, list, text) != MID_OK ||
        mid_mem_malloc(thread, 100, &block) != MID_OK || mid_mem_free(thread, block) != MID_OK || mid_freeze(thread) != MID_OK ||
        mid_unfreeze(thread) != MID_OK || mid_trace_take(heap, &snapshot) != MID_OK || !mid_is_tracked(thread, list))
        return 1;
    mid_trace_drop(snapshot);
    mid_release(thread, map);
    mid_release(thread, dict);
    mid_release(thread, text);
    mid_release(thread, list);
    return mid_collect(thread, 0) != MID_OK || mid_heap_close(heap) != MID_OK;
}
C
cp "$dir/third.c" "$dir/third.cc"
cat >"$dir/fourth.c" <<'C'
#include <midden/daemon.h>
#include <midden/symbols.h>
int main(void)
{
    mid_symbols *symbols;
    mid_symbol found;
    if (mid_symbols_open(&symbols) != MID_OK || mid_symbols_find(symbols, (const char *)(size_t)mid_symbols_open + 1, &found) != MID_OK)
        return 1;
    mid_symbols_close(symbols);
    return 0;
}
C
each_header() { # COMPILER SUFFIX: alone, with and without checked calls
    local header
    for header in "$root"/opt/midden/include/midden/*.h; do
        printf '#include <midden/%s>\n' "${header##*/}" >"$dir/one.$2"
        $1 -Wall -Wextra -Werror -fsyntax-only $(pc --cflags midden) "$dir/one.$2" &&
            $1 -DMIDDEN_DEBUG -Wall -Wextra -Werror -fsyntax-only $(pc --cflags midden) "$dir/one.$2" || return 1
    done
}
in_cplusplus() {
    g++ -Wall -Wextra -Werror ${SANITIZE:+-fsanitize=$SANITIZE} -o "$dir/third" "$dir/third.cc" $(pc --cflags --libs midden) &&
        LD_LIBRARY_PATH=$root/opt/midden/lib "$dir/third"
}
pc() { PKG_CONFIG_PATH=$root/opt/midden/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root pkg-config "$@"; }
compile() { # SOURCE PACKAGE: with the shared library, then with the static one
    local extra=${SANITIZE:+-fsanitize=$SANITIZE}
    $CC -Wall -Werror $extra -o "$dir/shared" "$dir/$1" $(pc --cflags --libs "$2") &&
        LD_LIBRARY_PATH=$root/opt/midden/lib "$dir/shared" &&
        $CC -Wall -Werror $extra -o "$dir/static" "$dir/$1" $(pc --cflags "$2") \
            $(pc --static --libs "$2" | sed 's/-lmidden-daemon/-l:libmidden-daemon.a/; s/-lmidden\b/-l:libmidden.a/') && "$dir/static"
}
installed() { "$root/opt/midden/bin/midden" "$@"; }
check "install" $MAKE --no-print-directory install DESTDIR="$root" PREFIX=/opt/midden
check "a program compiled against the installation" compile first.c midden
check "one with a daemon" compile second.c midden-daemon
check "one with values, maps, blocks, tracing" compile third.c midden
check "the same in C++" in_cplusplus
check "one that asks for names" compile fourth.c midden-daemon
check "all headers are there" same "$(ls "$root/opt/midden/include/midden")" "$(cd include/midden && ls *.h)"
check "each header by itself, in C" each_header "$CC -std=gnu11" c
check "each header by itself, in C++" each_header "g++ -std=c++17" cc
check "the soname's link" same "$(readlink "$root/opt/midden/lib/libmidden.so")" "$(basename "$root"/opt/midden/lib/libmidden.so.[0-9])"
check "the installed program records" installed record -o "$t" -- "$subject" steps
check "the installed program replays" installed replay "$t" --heap midden
check "the installed program benchmarks" installed bench --list
check "the manual pages" test -s "$root/opt/midden/share/man/man1/midden.1" -a -s "$root/opt/midden/share/man/man7/midden-options.7"
gdb_script=$root/opt/midden/share/gdb/auto-load/opt/midden/lib/$(basename "$root"/opt/midden/lib/libmidden.so.*.*.*)-gdb.py
check "the script for gdb, and the name by which gdb finds it" test -s "$root/opt/midden/share/midden/midden-gdb.py" -a \
    "$(readlink "$gdb_script")" = /opt/midden/share/midden/midden-gdb.py
check "uninstall" $MAKE --no-print-directory uninstall DESTDIR="$root" PREFIX=/opt/midden
check "nothing is left" same "$(find "$root" ! -type d; find "$root" -type d -name midden -path '*/midden/*/midden')" ""
