#!/bin/sh
# tools/debian.sh WHAT PACKAGE...: install Debian packages for WHAT where that is possible without asking.
set -eu
what=$1
shift

need="$what: missing, and the tests need it. Install it (Debian: apt-get install $*) and run this again."
command -v apt-get >/dev/null 2>&1 || { echo "$need" >&2; exit 1; }
if [ "$(id -u)" -eq 0 ]; then
    root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    root="sudo"
else
    echo "$need" >&2
    exit 1
fi

echo "Installing $what"
$root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
$root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null \
    || { echo "$need" >&2; exit 1; }
