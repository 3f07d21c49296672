#!/bin/sh
# The part of the official image's docker-entrypoint.sh that docker-compose.yml relies on: a new data folder gets the
# user, the password and the database of the environment; other hosts sign in with SCRAM.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # Words of POSTGRES_INITDB_ARGS are separate arguments.
    # shellcheck disable=SC2086
    initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS
    echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl --wait --options="-c listen_addresses=''" start
    createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
    pg_ctl --wait --mode=fast stop
fi
exec "$@"
