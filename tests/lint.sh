#!/bin/bash
# What a compiler does not complain of: headers that need others, includes that point upward, system calls outside
# their file, long files, words left open, exports with foreign names. Ends with `N passed, N failed`.
# Usage: tests/lint.sh BUILD-FOLDER
set -u
cd "$(dirname "$0")/.." || exit 1
build=${1:-build}
passed=0 failed=0

# check NAME COMMAND...: passes if the command succeeds and prints nothing.
check() {
    local name=$1 found code
    shift
    found=$("$@" 2>&1)
    code=$?
    if [ "$code" -eq 0 ] && [ -z "$found" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "lint: $name"
        [ -n "$found" ] && echo "$found" | sed 's/^/    /' | head -n 40
    fi
}

sources() {
    find alloc gc daemon include tests docs -name '*.[ch]' -not -path '*/build/*' | sort
}

# absent PATTERN FILE...: succeeds and prints nothing if no file has the pattern.
absent() {
    local pattern=$1
    shift
    [ $# -eq 0 ] && return 0
    ! grep -nE "$pattern" "$@"
}

headers_alone() {
    local cc header mode code=0
    for cc in gcc clang; do
        command -v "$cc" >/dev/null || continue
        for header in include/midden/*.h; do
            for mode in -UMIDDEN_DEBUG -DMIDDEN_DEBUG; do
                printf '#include "%s"\n' "${header#include/}" |
                    "$cc" -std=gnu11 -Wall -Wextra -Werror $mode -Iinclude -fsyntax-only -x c - || code=1
            done
        done
    done
    return $code
}

headers_in_cplusplus() {
    command -v g++ >/dev/null || return 0
    printf '#include "midden/midden.h"\n#include "midden/daemon.h"\n#include "midden/http.h"\n#include "midden/control.h"\n#include "midden/balance.h"\n#include "midden/symbols.h"\n' | g++ -Wall -Werror -Iinclude -fsyntax-only -x c++ -
}

file_lengths() {
    local file lines code=0
    for file in $(sources); do
        lines=$(wc -l <"$file")
        [ "$lines" -le 800 ] || { echo "$file: $lines lines"; code=1; }
    done
    return $code
}

top_level() {
    local entry code=0
    for entry in *; do
        case $entry in
        Makefile | gc | alloc | daemon | include | tests | docs | README.md | LICENSE | CHANGELOG.md) ;;
        *) git check-ignore -q "$entry" 2>/dev/null || [ "$entry" = "${build%%/*}" ] || { echo "$entry"; code=1; } ;;
        esac
    done
    return $code
}

# A folder says what it is in a README, or each of its files does in a comment at its head.
folders_introduced() {
    local folder file code=0
    for folder in $(find alloc gc daemon include tests docs -type d); do
        [ -e "$folder/README.md" ] && continue
        for file in "$folder"/*; do
            [ -f "$file" ] || continue
            case $file in *.c | *.h | *.sh | *.mk | *.py | *.gp) head -n 3 "$file" | grep -qE '^(/\*|#[^i!]|//)' || { echo "$file: no head comment, and no README"; code=1; } ;; esac
        done
    done
    return $code
}

exports() {
    local library code=0
    for library in "$build"/lib/libmidden.so "$build"/lib/libmidden-daemon.so; do
        [ -e "$library" ] || { echo "$library is not built"; return 1; }
        nm -D --defined-only "$library" | awk '$3 !~ /^mid_/ { print $3; bad = 1 } END { exit bad }' || code=1
    done
    return $code
}

static_checker() {
    command -v cppcheck >/dev/null || return 0
    # What is suppressed: headers of the system are not looked for, and findings must name a cause in this tree.
    cppcheck -q --error-exitcode=1 --enable=warning,portability --inline-suppr --std=c11 --suppress=missingIncludeSystem \
        -Iinclude -I. -D__linux__ -D__x86_64__ alloc gc daemon
}

open_words='\b(TO''DO|FIX''ME|XX''X|HA''CK)\b'
machine_paths='(/tmp/|/home/|/root/)'

check 'a public header does not compile alone' headers_alone
check 'the public headers are no C++' headers_in_cplusplus
check 'alloc/ includes from above' absent '#include "(gc|daemon)/' alloc/*.[ch]
check 'alloc/ includes public headers beyond os.h, status.h, version.h' \
    absent '#include "midden/(midden|heap|object|type|events|stats|options|inline|debug|daemon)\.h' alloc/*.[ch]
check 'gc/ includes from above' absent '#include "daemon/|#include "midden/daemon' gc/*.[ch]
check 'libevent below daemon/' absent '#include <event' alloc/*.[ch] gc/*.[ch] include/midden/*.h
check 'daemon/ reaches past gc/service.h' bash -c "! grep -nE '#include \"(gc|alloc)/' daemon/*.[ch] | grep -v 'gc/service.h'"
check 'memory from the system outside alloc/os*.c' bash -c \
    "! grep -nE '\\b(mmap|munmap|madvise|mprotect|mremap|brk|sbrk)\\(' alloc/*.[ch] gc/*.[ch] daemon/*.[ch] | grep -vE '^alloc/os[^/]*\\.c:'"
check 'malloc in the libraries' bash -c \
    "! grep -nE '\\b(malloc|calloc|realloc|strdup|asprintf)\\(' alloc/*.[ch] gc/*.[ch] gc/kinds/*.[ch] | grep -v '^alloc/raw.c:'"
check 'a file above 800 lines' file_lengths
check 'an entry of the top level that is not in the design' top_level
check 'a folder without introduction' folders_introduced
check 'a seeded bug whose text has moved or changed' tests/stress/bugs.sh --apply
check 'words left open' bash -c "! grep -rnwE '$open_words' --include='*.[ch]' --include='*.sh' --include='*.mk' --include='*.py' --include='*.md' Makefile alloc gc daemon include tests docs"
check 'paths of one machine' bash -c "! grep -rnE '$machine_paths' --include='*.[ch]' --include='*.sh' --include='*.mk' Makefile alloc gc daemon include tests | grep -v '^tests/lint.sh:'"
check 'white space at line ends, or tabs in C' bash -c "! grep -nE '[[:space:]]+\$|^ *'\$'\\t' \$(find alloc gc daemon include tests -name '*.[ch]')"
check 'an exported symbol that does not start with mid_' exports
check 'cppcheck' static_checker
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
