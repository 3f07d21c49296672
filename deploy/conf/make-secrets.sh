#!/bin/sh
# Draws the passwords of docker-compose.yml into ./secrets (or the folder given), once: what is there is kept.
#
# The folder is closed to other users of the host (0700). The files in it are readable (0444), because Compose mounts
# them as they are and the containers read them as users of their own.
set -eu
folder="${1:-secrets}"
umask 077
mkdir -p "$folder"
if [ -e "$folder/postgres_password" ]; then
    echo "$folder holds secrets already; nothing changed" >&2
    exit 0
fi
draw() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
postgres="$(draw)"
broker="$(draw)"
put() { printf '%s' "$2" >"$folder/$1" && chmod 0444 "$folder/$1"; }
put database_url "postgresql://dicom_node:$postgres@postgres:5432/dicom_node"
put broker_url "redis://:$broker@valkey:6379/0"
put broker_auth "requirepass $broker
"
put postgres_password "$postgres"
echo "secrets written to $folder" >&2
