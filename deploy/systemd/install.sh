#!/usr/bin/env bash
# Installs dicom-node from a wheel as systemd services: install.sh [--dry-run] WHEEL. Once, as root; later versions: upgrade.sh.
# It starts nothing. docs/install.md says what to configure before the first start.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/systemd/release.sh
. "$here/release.sh"
read_arguments "$@"
[ ! -e "$prefix/current" ] || fail "$prefix/current exists: use upgrade.sh"

install_release
use_release "$release"
run install -D -m 0644 "$here/logrotate.conf" "$root/etc/logrotate.d/dicom-node"
install_units "$here"
if [ ! -e "$root/etc/dicom-node/node.toml" ]; then
    owner=(-o root -g dicom-node)
    [ -z "$root" ] || owner=()
    run install -m 0640 "${owner[@]}" "$here/node.toml" "$root/etc/dicom-node/node.toml"
fi
[ -n "$root" ] || run systemctl daemon-reload
