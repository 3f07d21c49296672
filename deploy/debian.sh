#!/usr/bin/env bash
# Installs the Debian packages that the test suite uses: a PACS, a browser, DICOM tools and validators, PostgreSQL and Redis,
# a syslog server with TLS, and a font with Chinese and Japanese characters for the PDF. Needs root and apt-get; no service is started.
set -euo pipefail
packages=(orthanc orthanc-dicomweb orthanc-python chromium dcmtk dicom3tools pixelmed-apps redis-server postgresql fonts-droid-fallback prometheus haproxy rsyslog rsyslog-gnutls faketime)
missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing packages, which only root can install: ${missing[*]}. The tests that need them will fail." >&2
    exit 0
fi
echo "installing Debian packages: ${missing[*]} ..." >&2
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    # 101: action forbidden. The tests start their servers themselves, on free ports.
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
