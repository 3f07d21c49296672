#!/bin/sh
# Creates the passwords of docker-compose.yml in ./secrets (or the given folder). Existing passwords are kept.
#
# The folder is closed to other users of the host (0700). The files in it are readable (0444), because Compose mounts
# them with their modes and the containers read them as other users.
set -eu
folder="${1:-secrets}"
umask 077
mkdir -p "$folder"
random_hex() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
write_secret() { printf '%s' "$2" >"$folder/$1" && chmod 0444 "$folder/$1"; }
admin="$(random_hex)"
write_admin() { write_secret database_admin_url "postgresql://dicom_node_admin:$admin@postgres:5432/dicom_node"; }
if [ -e "$folder/database_admin_url" ]; then
    echo "$folder contains secrets already; nothing was changed" >&2
    exit 0
fi
if [ -e "$folder/postgres_password" ]; then  # of a version in which the node's own role was the superuser
    write_admin
    echo "secrets/database_admin_url is new. Make its role once, before the next 'docker compose up':" >&2
    echo "docker compose exec postgres psql --username=dicom_node -c \"CREATE ROLE dicom_node_admin SUPERUSER LOGIN PASSWORD '$admin'\"" >&2
    exit 0
fi
node="$(random_hex)"
broker="$(random_hex)"
write_admin
write_secret database_url "postgresql://dicom_node:$node@postgres:5432/dicom_node"
write_secret broker_url "redis://:$broker@valkey:6379/0"
write_secret broker_auth "requirepass $broker
"
write_secret postgres_password "$admin"
echo "secrets written to $folder" >&2
