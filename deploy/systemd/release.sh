# What install.sh and upgrade.sh share; it is read, not executed.
# shellcheck shell=bash
prefix=${PREFIX:-/opt/dicom-node}
extra=${EXTRA:-worker} # node: a machine without worker
python=${PYTHON:-python3}
root=${ROOT:-} # another root folder, for packages and tests: users and units are not activated there
units=$root/usr/lib/systemd/system
dry_run=
wheel=

exec 3>&1 # the commands are printed here, also where the output of one is discarded
say() { printf '%s\n' "$*" >&2; }
fail() {
    say "$0: $*"
    exit 1
}

# Print a command, and carry it out unless this is a dry run.
run() {
    printf '+ %s\n' "$*" >&3
    [ -n "$dry_run" ] || "$@"
}

read_arguments() {
    local argument
    for argument in "$@"; do
        case $argument in
        --dry-run) dry_run=yes ;;
        -*) fail "unknown option $argument; usage: $(basename "$0") [--dry-run] WHEEL" ;;
        *) wheel=$argument ;;
        esac
    done
    [ -n "$wheel" ] || fail "usage: $(basename "$0") [--dry-run] WHEEL"
    [ -f "$wheel" ] || fail "$wheel does not exist; build it with: make wheel"
    local name=${wheel##*/}
    case $name in
    dicom_node-*-py3-none-any.whl) ;;
    *) fail "$name is not a wheel of dicom-node (dicom_node-VERSION-py3-none-any.whl)" ;;
    esac
    release=$prefix/releases/$(echo "$name" | cut -d- -f2)-$(sha256sum "$wheel" | cut -c1-8)
}

# A virtual environment of its own for each version: the old one stays as it is, and `current` names the one that runs.
install_release() {
    run mkdir -p "$prefix/releases"
    # shellcheck disable=SC2086
    run "$python" -m venv ${VENV_OPTIONS:-} "$release"
    # PINS: pins with hashes, written by requirements/hashed.py of the same version; then pip installs no other file.
    [ -z "${PINS:-}" ] || run "$release/bin/python" -m pip install --quiet --require-hashes -r "$PINS"
    run "$release/bin/python" -m pip install --quiet "$wheel[$extra]"
    run "$release/bin/dicom-node" --version
}

# The units, users and folders of a version, from its folder deploy/systemd.
install_units() {
    local unit
    run install -D -m 0644 "$1/sysusers.conf" "$root/usr/lib/sysusers.d/dicom-node.conf"
    run install -D -m 0644 "$1/tmpfiles.conf" "$root/usr/lib/tmpfiles.d/dicom-node.conf"
    for unit in "$1"/system/*.service "$1"/system/*.target "$1"/system/*/*.conf; do
        run install -D -m 0644 "$unit" "$units/${unit#"$1"/system/}"
    done
    run systemd-sysusers ${root:+--root="$root"} dicom-node.conf
    run systemd-tmpfiles ${root:+--root="$root"} --create dicom-node.conf
}

use_release() { run ln -sfn "$1" "$prefix/current"; }
