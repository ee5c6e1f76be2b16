# Writes the line of the database from the values of Secret shop-database, which no other file has.
set -eu
# A value can have every character except a line break; quotes are doubled for PgBouncer.
value() {
    file=/etc/pgbouncer/database/$1
    if [ ! -s "$file" ]; then
        echo "Secret shop-database is missing, or its key $2 is" >&2
        exit 1
    fi
    text=$(cat "$file")
    if [ "$(printf '%s' "$text" | wc -l)" -ne 0 ]; then
        echo "key $2 of Secret shop-database has more than one line" >&2
        exit 1
    fi
    printf '%s' "$text" | sed "s/'/''/g"
}
host=$(value host host)
dbname=$(value dbname dbname)
username=$(value username username)
password=$(value password password)
umask 077
{
    echo '[databases]'
    printf "%s = host='%s' port=%s dbname='%s' user='%s' password='%s'%s\n" \
        app "$host" 5432 "$dbname" "$username" "$password" \
        ""
} >/run/pgbouncer/databases.ini.new
mv /run/pgbouncer/databases.ini.new /run/pgbouncer/databases.ini
