#!/usr/bin/env bash
# Installs dicom-node from a wheel as systemd services: install.sh [--dry-run] WHEEL. Once, as root; later versions: upgrade.sh.
# It starts nothing. docs/install.md says what to configure before the first start.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/systemd/release.sh
. "$here/release.sh"
root=${ROOT:-} # another root folder, for packages and tests: users and units are not activated there
read_arguments "$@"
[ ! -e "$prefix/current" ] || fail "$prefix/current exists: use upgrade.sh"

install_release
use_release "$release"
run install -D -m 0644 "$here/sysusers.conf" "$root/usr/lib/sysusers.d/dicom-node.conf"
run install -D -m 0644 "$here/tmpfiles.conf" "$root/usr/lib/tmpfiles.d/dicom-node.conf"
run install -D -m 0644 "$here/logrotate.conf" "$root/etc/logrotate.d/dicom-node"
for unit in "$here"/system/*.service "$here"/system/*.target "$here"/system/*/*.conf; do
    run install -D -m 0644 "$unit" "$root/usr/lib/systemd/system/${unit#"$here"/system/}"
done
run systemd-sysusers ${root:+--root="$root"} dicom-node.conf
run systemd-tmpfiles ${root:+--root="$root"} --create dicom-node.conf
if [ ! -e "$root/etc/dicom-node/node.toml" ]; then
    owner=(-o root -g dicom-node)
    [ -z "$root" ] || owner=()
    run install -m 0640 "${owner[@]}" "$here/node.toml" "$root/etc/dicom-node/node.toml"
fi
[ -n "$root" ] || run systemctl daemon-reload
