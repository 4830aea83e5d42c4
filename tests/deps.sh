#!/bin/sh
# Install the Debian packages named on the command line that are missing; where that cannot be done, print them.
set -u
missing=
for p in "$@"; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
as=
[ "$(id -u)" = 0 ] || as='sudo -n'
if command -v apt-get >/dev/null && { [ -z "$as" ] || sudo -n true 2>/dev/null; }; then
    echo "installing:$missing" >&2
    export DEBIAN_FRONTEND=noninteractive
    $as apt-get update -qq >/dev/null && $as apt-get install -y -qq --no-install-recommends $missing >/dev/null && exit 0
fi
echo "please install these packages:$missing" >&2
exit 1
