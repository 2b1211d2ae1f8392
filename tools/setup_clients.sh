#!/bin/sh
# The clients of other people that tests/clients signs in with: Node.js libraries by their lock file, Apache's module.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

if ! { command -v node && command -v npm; } >/dev/null 2>&1; then
    "$here/debian.sh" "Node.js and npm" nodejs npm
fi
if ! [ -f /usr/lib/apache2/modules/mod_auth_openidc.so ]; then
    "$here/debian.sh" "Apache with mod_auth_openidc" apache2-bin libapache2-mod-auth-openidc
fi

cd "$here/../tests/clients"
# npm writes this file last: it is younger than the lock exactly when node_modules holds what the lock says.
if ! [ node_modules/.package-lock.json -nt package-lock.json ]; then
    echo "Installing tests/clients/package-lock.json"
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
fi
