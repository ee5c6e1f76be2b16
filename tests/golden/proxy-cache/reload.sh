...
remove_stale() {
    find /var/cache/nginx -type f ! -name '*.*' -mmin +1 >/tmp/cached
    xargs -r head -q -c 16 </tmp/cached | od -An -v -t d8 -w16 | paste - /tmp/cached |
        awk -v oldest="$(($(date +%s) - 60))" '$2 < oldest { print $3 }' |
        xargs -r rm -f
}
rounds=0
...
    rounds=$((rounds + 1))
    [ $((rounds % 12)) -ne 0 ] || remove_stale
...
