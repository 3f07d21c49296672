#!/usr/bin/env bash
# What the whole test suite wants from Debian: a PACS, a browser, DICOM tools and validators, a packaged PostgreSQL and Redis,
# and the typeface that draws Chinese and Japanese names on the page of a result.
# Installs only where it may (root with apt-get), and starts no service.
set -euo pipefail
packages=(orthanc orthanc-dicomweb orthanc-python chromium dcmtk dicom3tools pixelmed-apps redis-server postgresql fonts-droid-fallback)
missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed, and only root may: ${missing[*]}. The tests that need them will fail; install them, or run the tests as root." >&2
    exit 0
fi
echo "installing Debian packages: ${missing[*]} ..." >&2
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    # 101: action forbidden. The tests start their own servers on their own ports.
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    exit 1
fi
rm -f "$log"
