#!/bin/sh
# Creates the passwords of docker-compose.yml in ./secrets (or the given folder). Existing passwords are kept.
#
# The folder is closed to other users of the host (0700). The files in it are readable (0444), because Compose mounts
# them with their modes and the containers read them as other users.
set -eu
folder="${1:-secrets}"
umask 077
mkdir -p "$folder"
if [ -e "$folder/postgres_password" ]; then
    echo "$folder contains secrets already; nothing was changed" >&2
    exit 0
fi
random_hex() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
postgres="$(random_hex)"
broker="$(random_hex)"
write_secret() { printf '%s' "$2" >"$folder/$1" && chmod 0444 "$folder/$1"; }
write_secret database_url "postgresql://dicom_node:$postgres@postgres:5432/dicom_node"
write_secret broker_url "redis://:$broker@valkey:6379/0"
write_secret broker_auth "requirepass $broker
"
write_secret postgres_password "$postgres"
echo "secrets written to $folder" >&2
