#!/usr/bin/env bash
# Makes the base images of docker-compose.yml and deploy/images on a machine that reaches no image registry: Debian by
# debootstrap, the servers as Debian packages in it, under the names of the real images. An image that exists is kept, so
# real images that were pulled are used. docs/containers.md lists the differences. Needs root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
debian=localhost/debian:bookworm-slim
say() { printf '%s\n' "$*" >&2; }

make_debian() {
    local root
    root=$(mktemp -d "${TMPDIR:-/var/tmp}/dicom-node-debian-XXXXXX")
    # shellcheck disable=SC2064
    trap "rm -rf '$root'" EXIT
    say "debootstrap (minutes) ..."
    debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; exit 1; }
    import_debian "$root"
    rm -f "$root.log"
}

# What Debian's own slim images leave out as well, and services do not start when packages are installed.
import_debian() {
    rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/* "$1"/var/log/*.log \
        "$1"/usr/share/{doc,man,info,locale,groff,linda,lintian}/*
    printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d" && chmod 755 "$1/usr/sbin/policy-rc.d"
    printf 'path-exclude /usr/share/%s/*\n' doc man info locale >"$1/etc/dpkg/dpkg.cfg.d/slim"
    printf 'deb %s bookworm main\ndeb %s-security bookworm-security main\n' "$mirror" "$mirror" >"$1/etc/apt/sources.list"
    tar -C "$1" --numeric-owner -c . | podman import --quiet --change 'CMD ["bash"]' - "$debian" >/dev/null
}

build() {  # build NAME DOCKERFILE [OPTION...]
    local name=$1 file=$2
    shift 2
    if podman image exists "$name"; then
        say "$name: present"
        return
    fi
    say "$name: $file"
    buildah bud --quiet --isolation chroot --ulimit nofile=1024:1024 --format docker \
        --label org.opencontainers.image.ref.name=stand-in "$@" --file "$file" --tag "$name" . >/dev/null
}

podman image exists "$debian" || make_debian
build docker.io/library/python:3.11-slim-bookworm python.Dockerfile
build docker.io/library/postgres:17-bookworm postgres.Dockerfile
build docker.io/valkey/valkey:8.1-alpine valkey.Dockerfile
build docker.io/orthancteam/orthanc:24.10.3 orthanc.Dockerfile
if [ $# -gt 0 ]; then  # the folder of the built viewer
    build docker.io/ohif/app:v3.13.2 ohif.Dockerfile --build-context "ohif=$1"
fi
