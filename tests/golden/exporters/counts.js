// The counts of nginx, managed by fastapi-operator. Each number has a key of words: its family, the
// values of its labels, and in a histogram the bound of its bucket, or "sum".

// The bucket of a request's duration.
function bucket(seconds) {
    if (seconds <= 0.005) { return '0.005'; }
    if (seconds <= 0.01) { return '0.01'; }
    if (seconds <= 0.025) { return '0.025'; }
    if (seconds <= 0.05) { return '0.05'; }
    if (seconds <= 0.075) { return '0.075'; }
    if (seconds <= 0.1) { return '0.1'; }
    if (seconds <= 0.25) { return '0.25'; }
    if (seconds <= 0.5) { return '0.5'; }
    if (seconds <= 0.75) { return '0.75'; }
    if (seconds <= 1) { return '1'; }
    if (seconds <= 2.5) { return '2.5'; }
    if (seconds <= 5) { return '5'; }
    if (seconds <= 7.5) { return '7.5'; }
    if (seconds <= 10) { return '10'; }
    return '+Inf';
}

// Counts a request that has ended. Without room for a new number this ends with an error, which
// changes nothing for the request.
function count(request) {
    const counts = ngx.shared.counts, found = request.variables;
    const seconds = Number(found.request_time);
    const series = `request ${found.known_method} ${found.status} `;
    counts.incr(series + bucket(seconds), 1);
    counts.incr(`${series}sum`, seconds);
    if (found.upstream_cache_status) {
        counts.incr(`cache ${found.upstream_cache_status}`, 1);
    }
    if (found.shed) {
        // nginx rejected the request itself.
        counts.incr(`shed ${found.shed}`, 1);
    } else if (found.upstream_response_time) {
        const waited = last(found.upstream_response_time);
        if (waited >= 0) {
            counts.incr(`upstream ${bucket(waited)}`, 1);
            counts.incr('upstream sum', waited);
        }
    }
    return '';
}

// The seconds of the last pod, if a request was sent to several.
function last(seconds) {
    return Number(seconds.slice(seconds.lastIndexOf(' ') + 1));
}

// The page of metrics, as Prometheus reads it.
function page(request) {
    const families = [
        {
            key: 'request',
            name: 'fastapi_proxy_request_duration_seconds',
            labels: ['http_request_method', 'http_response_status_code'],
            bounds: [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
        },
        {
            key: 'upstream',
            name: 'fastapi_proxy_upstream_duration_seconds',
            labels: [],
            bounds: [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
        },
        { key: 'cache', name: 'fastapi_proxy_cache_answers_total', labels: ['cache_status'] },
        { key: 'shed', name: 'fastapi_proxy_shed_total', labels: ['reason'] },
    ];
    const counts = ngx.shared.counts;
    const numbers = counts.items(8192).map((item) => {
        return { key: item[0], words: item[0].split(' '), value: item[1] };
    });
    const lines = [
        '# TYPE fastapi_proxy_connections gauge',
        `fastapi_proxy_connections ${request.variables.connections_active}`,
    ];
    families.forEach((family) => {
        show(lines, family, numbers.filter((number) => number.words[0] === family.key));
    });
    request.headersOut['Content-Type'] = 'text/plain; version=0.0.4';
    request.return(200, `${lines.join('\n')}\n`);
}

// Adds the lines of a family.
function show(lines, family, numbers) {
    const series = {};
    numbers.forEach((number) => {
        const labels = family.labels.map((label, at) => `${label}="${number.words[at + 1]}"`);
        const name = labels.join(',');
        series[name] = series[name] || {};
        series[name][number.words[labels.length + 1] || 'value'] = number.value;
    });
    lines.push(`# TYPE ${family.name} ${family.bounds ? 'histogram' : 'counter'}`);
    Object.keys(series).sort().forEach((labels) => {
        const found = series[labels], all = labels ? `{${labels}}` : '';
        if (!family.bounds) {
            lines.push(`${family.name}${all} ${found.value}`);
            return;
        }
        const before = labels ? `${labels},` : '';
        let total = 0;
        family.bounds.concat(['+Inf']).forEach((bound) => {
            total += found[bound] || 0;
            lines.push(`${family.name}_bucket{${before}le="${bound}"} ${total}`);
        });
        lines.push(`${family.name}_sum${all} ${found.sum || 0}`);
        lines.push(`${family.name}_count${all} ${total}`);
    });
}

export default { count, page };
