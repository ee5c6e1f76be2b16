#!/bin/sh
# Starts PostgreSQL: creates the cluster if there is none, updates roles and privileges, serves.
set -eu

home=/var/lib/postgresql
data=$home/data
export PGHOST=/run/postgresql PGUSER=postgres PGDATABASE=postgres

# If the pod is ended early, the kubelet must not wait for the whole grace period.
trap 'exit 143' TERM INT

if [ ! -d "$data" ]; then
    # An incomplete cluster never gets the final name.
    rm -rf "$data.new"
    locale='--locale=C.UTF-8'
    # Since PostgreSQL 17 a builtin locale, whose order does not change with the C library.
    if initdb --help | grep -q builtin-locale; then
        locale='--locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C.UTF-8'
    fi
    # shellcheck disable=SC2086 (several options)
    initdb --pgdata="$data.new" --username=postgres --encoding=UTF8 $locale --data-checksums \
        --auth-local=trust --auth-host=scram-sha-256
    sync
    mv "$data.new" "$data"
    sync
fi

if [ ! -O "$data" ]; then
    echo "the volume belongs to user $(stat -c %u "$data") and this pod is user $(id -u):" \
        "give the operator's setting runAsUser its old value" >&2
    exit 1
fi
has=$(cat "$data/PG_VERSION")
is=$(postgres --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
if [ "$has" != "$is" ]; then
    echo "the volume holds a cluster of PostgreSQL $has and this image is PostgreSQL $is:" \
        "dump it with $has and restore it with $is" >&2
    exit 1
fi
# A volume driver can make the directory readable by its group; PostgreSQL then does not start.
chmod 0700 "$data"

# With a socket in the pod only, so that no client connects before roles and privileges are set.
# This start recovers from a crash, with a timeout of one day.
pg_ctl --pgdata="$data" --silent --wait --timeout=86400 \
    --options="-c config_file=/etc/postgresql/postgresql.conf -c listen_addresses=''" start
if ! psql --no-psqlrc --file=/etc/postgresql/bootstrap.sql; then
    pg_ctl --pgdata="$data" --silent --wait --mode=fast stop
    exit 1
fi
pg_ctl --pgdata="$data" --silent --wait --mode=fast stop

# Kubernetes sends TERM, on which PostgreSQL waits for its clients; INT ends their sessions.
postgres -D "$data" -c config_file=/etc/postgresql/postgresql.conf &
server=$!
trap 'kill -INT "$server"' TERM INT
set +e
# A signal ends the first wait; the next ones wait for the end of PostgreSQL.
wait "$server"; status=$?
while kill -0 "$server" 2>/dev/null; do
    wait "$server"; status=$?
done
exit "$status"
