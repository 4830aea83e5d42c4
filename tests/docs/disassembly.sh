#!/bin/bash
# disassembly.sh [COMPILER]: what the inline calls become. Compiles fast_paths.c with -O2 and prints its functions, without
# padding, branch targets as the numbers at the left. The first line names the compiler. docs/design/objects.md quotes it.
set -eu
cd "$(dirname "$0")/../.."
cc=${1:-gcc}
object=$(mktemp)
trap 'rm -f "$object"' EXIT
"$cc" -std=gnu11 -Wall -Wextra -Werror -O2 -fcf-protection=none -fno-stack-protector -fno-pic -fno-unroll-loops -Iinclude -c tests/docs/fast_paths.c -o "$object"
echo "$("$cc" -dumpmachine) $(basename "$cc") $("$cc" -dumpfullversion 2>/dev/null || "$cc" -dumpversion) -O2"
syntax=
case $("$cc" -dumpmachine) in x86_64-*) syntax='-M intel' ;; esac
# Relocations stand after the instruction that they belong to: a call then shows whom it calls.
objdump -dr --no-show-raw-insn $syntax "$object" | awk '
    function flush() { if (line != "") print line; line = "" }
    /^[0-9a-f]+ <.*>:$/ { flush(); gsub(/[<>:]/, "", $2); print ""; print $2 ":"; next }
    /R_[A-Z0-9_]+/ { if (line ~ /(call|jmp|b|bl) /) { sub(/ [0-9a-f]+$/, "", line); target = $3; sub(/[-+].*/, "", target); line = line " " target }; next }
    /^ *[0-9a-f]+:/ {
        flush()
        if ($0 ~ /\tnop|\tcs nop|\tdata16|\txchg +ax,ax/) next
        sub(/ *#.*/, ""); gsub(/ PTR /, " ")
        at = $1; $1 = ""; sub(/^ */, ""); sub(/ <[^>]*>$/, "")
        line = sprintf("%5s %s", at, $0)
    }
    END { flush() }'
