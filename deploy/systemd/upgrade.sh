#!/usr/bin/env bash
# Upgrades an installation of install.sh to another wheel: upgrade.sh [--dry-run] WHEEL, as root. The new version is installed first;
# then stop, back up, migrate, start. If the backup or the migration fails, or the terminal is lost before the migration, the old version
# is started again: a migration is one transaction, and nothing has changed.
set -Eeuo pipefail # E: the trap below also holds inside functions
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/systemd/release.sh
. "$here/release.sh"
config=${CONFIG:-/etc/dicom-node/node.toml}
secrets=${SECRETS:-/etc/dicom-node/secrets}
backups=${BACKUPS:-/var/backups/dicom-node}
read_arguments "$@"
[ -L "$prefix/current" ] || fail "there is no $prefix/current: use install.sh"
old=$(readlink "$prefix/current")
[ "$old" != "$release" ] || fail "$release is the version that is installed; if its upgrade was interrupted: systemctl start dicom-node.target"

# Run a command of a release with the node's configuration; only this script and the migration know the superuser of the database.
node() {
    run env "DICOM_NODE_CONFIG=$config" "DICOM_NODE_DATABASE__URL_FILE=$secrets/database_url" \
        "DICOM_NODE_DATABASE__ADMIN_URL_FILE=$secrets/database_admin_url" "DICOM_NODE_BROKER__URL_FILE=$secrets/broker_url" "$@"
}

back_to_old_version() {
    trap '' ERR INT TERM HUP
    set +e # there may be no terminal any more to write to
    say "failed: the version before is started again, the database is as it was"
    use_release "$old"
    run systemctl start dicom-node.target
    exit 1
}

install_release
node "$release/bin/dicom-node" conformance >/dev/null || fail "the new version does not read $config; nothing has been stopped"
backup=$backups/$(date -u +%Y%m%dT%H%M%SZ)-$(basename "$old")
trap back_to_old_version ERR INT TERM HUP
run systemctl stop dicom-node.target 'dicom-node-*.service'
node "$prefix/current/bin/dicom-node" db backup "$backup.dump"
run cp -p "$config" "$backup.toml"
trap - INT TERM HUP # who is interrupted from here on does not know whether the migration was committed
use_release "$release"
node "$prefix/current/bin/dicom-node" db upgrade
trap - ERR
run systemctl start dicom-node.target
if [ -n "$dry_run" ]; then
    say "dry run: nothing was changed"
    exit 0
fi
say "upgraded from $(basename "$old") to $(basename "$release"); the database and the configuration before are $backup.dump and $backup.toml"
say "the files of the images are unchanged; to go back after work has been done, see docs/install.md"
