# Restores a new database from a dump, once. start.sh runs it before the server accepts clients.
set -eu
database=app
done=/var/lib/postgresql/restored
[ ! -e "$done" ] || exit 0

tables=$(psql -X -A -t -d "$database" -c "
    SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND nspname !~ '^(pg_|information_schema$)'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')")
if [ "$tables" -ne 0 ]; then
    echo "the database has data: the restore is skipped"
    echo "had data" >"$done"
    exit 0
fi

cd /dumps
# Names contain the time, so the last is the newest.
dump=$(ls | grep '\.dump$' | sort | tail -n 1)
if [ -z "$dump" ] || [ ! -f "$dump" ]; then
    echo "claim shop-postgres-backup has no dump ${dump:-at all}; its files: $(ls | tr '\n' ' ')" >&2
    exit 1
fi
echo "restoring $dump"
# In one transaction, so that a restore that was ended starts again.
pg_restore --dbname="$database" --single-transaction --exit-on-error "$dump"
vacuumdb --dbname="$database" --analyze-only --quiet
echo "$dump" >"$done"
sync
echo "restored $dump"
