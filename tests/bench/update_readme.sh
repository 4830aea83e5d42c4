#!/bin/sh
# update_readme.sh TABLE README: replace what README has between <!-- bench --> and <!-- /bench --> by the file TABLE.
set -eu
[ $# = 2 ] || { echo "usage: update_readme.sh TABLE README" >&2; exit 2; }
table=$1 readme=$2
[ -s "$table" ] || { echo "update_readme.sh: $table is missing or empty" >&2; exit 1; }
[ "$(grep -c '^<!-- bench -->$' "$readme")" = 1 ] && [ "$(grep -c '^<!-- /bench -->$' "$readme")" = 1 ] ||
    { echo "update_readme.sh: $readme needs one line <!-- bench --> and one <!-- /bench -->" >&2; exit 1; }
new=$(mktemp "$readme.XXXXXX")
trap 'rm -f "$new"' EXIT
awk -v table="$table" '
    $0 == "<!-- /bench -->" { inside = 0 }
    !inside { print }
    $0 == "<!-- bench -->" { inside = 1; while ((getline line < table) > 0) print line }
' "$readme" > "$new"
cat "$new" > "$readme"
