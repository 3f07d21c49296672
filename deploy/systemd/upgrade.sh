#!/usr/bin/env bash
# Upgrades an installation of install.sh to another wheel: upgrade.sh [--dry-run] WHEEL, as root. The new version is installed first;
# then stop, back up, install the units of the new version, migrate, start. If one of these fails, or the terminal is lost before the
# migration, the old version is started again with its own units: a migration is one transaction, and nothing has changed. Changes of units
# belong in drop-ins below /etc/systemd/system, which stay; so does the configuration.
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

# The files of the version that is installed, as they are: units of it that the new version does not have are removed with them.
own_units() {
    local unit
    for unit in "$units/dicom-node.target" "$units"/dicom-node-*.service "$units"/dicom-node-.service.d; do
        [ ! -e "$unit" ] || printf '%s\n' "$unit"
    done
}

# Take the units from the wheel: this script may be that of an older version.
unpack_units() {
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    "$python" -c 'import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extractall(sys.argv[2], [name for name in wheel.namelist() if name.startswith("deploy/systemd/")])' "$wheel" "$scratch"
    [ -f "$scratch/deploy/systemd/system/dicom-node.target" ] || fail "$wheel has no units; nothing has been stopped"
}

replace_units() {
    local before
    mapfile -t before < <(own_units)
    run mkdir -p "$backup.units"
    [ ${#before[@]} -eq 0 ] || run cp -a "${before[@]}" "$backup.units"
    units_saved=yes
    [ ${#before[@]} -eq 0 ] || run rm -r "${before[@]}"
    install_units "$scratch/deploy/systemd"
    run systemctl daemon-reload
}

back_to_old_version() {
    trap '' ERR INT TERM HUP
    set +e # there may be no terminal any more to write to
    say "failed: the version before is started again, the database is as it was"
    if [ -n "$units_saved" ]; then
        local after
        mapfile -t after < <(own_units)
        [ ${#after[@]} -eq 0 ] || run rm -r "${after[@]}"
        run cp -a "$backup.units/." "$units"
        run systemctl daemon-reload
    fi
    use_release "$old"
    run systemctl start dicom-node.target
    exit 1
}

unpack_units
install_release
node "$release/bin/dicom-node" conformance >/dev/null || fail "the new version does not read $config; nothing has been stopped"
units_saved=
backup=$backups/$(date -u +%Y%m%dT%H%M%SZ)-$(basename "$old")
trap back_to_old_version ERR INT TERM HUP
run systemctl stop dicom-node.target 'dicom-node-*.service'
node "$prefix/current/bin/dicom-node" db backup "$backup.dump"
run cp -p "$config" "$backup.toml"
replace_units
trap - INT TERM HUP # who is interrupted from here on does not know whether the migration was committed
use_release "$release"
node "$prefix/current/bin/dicom-node" db upgrade
trap - ERR
run systemctl start dicom-node.target
if [ -n "$dry_run" ]; then
    say "dry run: nothing was changed"
    exit 0
fi
say "upgraded from $(basename "$old") to $(basename "$release"); the database, the configuration and the units before are $backup.dump, $backup.toml and $backup.units"
say "the files of the images are unchanged; to go back after work has been done, see docs/install.md"
