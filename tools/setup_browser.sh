#!/bin/sh
# The browser journeys run in the system's Chromium. Installs it where that is possible without asking.
set -eu

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done

need="Chromium is missing and the browser journeys need it. Install it (Debian: apt-get install chromium fonts-noto-cjk) and run this again."
command -v apt-get >/dev/null 2>&1 || { echo "$need" >&2; exit 1; }
if [ "$(id -u)" -eq 0 ]; then
    root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    root="sudo"
else
    echo "$need" >&2
    exit 1
fi

echo "Installing Chromium and a font for Chinese"
$root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
$root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium fonts-noto-cjk >/dev/null \
    || { echo "$need" >&2; exit 1; }
