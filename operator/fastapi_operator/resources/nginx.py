"""nginx: its configuration and its scripts."""

import itertools
from collections.abc import Iterator

from fastapi_operator.api.proxy import Proxy
from fastapi_operator.judge.counts import BOUNDS_SECONDS
from fastapi_operator.parts import METRICS, Part
from fastapi_operator.resources import proxy_engine
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.proxy_engine import Engine
from fastapi_operator.resources.templates import render
from fastapi_operator.resources.versions import versions
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.proxy import ProxyPlan
from fastapi_operator.tuning.routes import Handling

# The directories of nginx, as its templates name them.
_DIRECTORIES = {
    "config_directory": "/etc/nginx",
    "run_directory": "/run/nginx",
    "cache_directory": "/var/cache/nginx",
    "resolver_file": "/etc/resolv.conf",
}
# The module that runs counts.js: where the official image and Debian have it.
_COUNTS_MODULE = "/usr/lib/nginx/modules/ngx_http_js_module.so"
# Headers that only the proxy sets.
_PROXY_HEADERS = (
    "X-Request-ID",
    "X-Request-Start",
    "X-Real-IP",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
)


def engine(inputs: Inputs, plan: ProxyPlan) -> Engine:
    """Returns nginx as the proxy."""
    config_directory = _DIRECTORIES["config_directory"]
    files = {
        "nginx.conf": _nginx_conf(inputs, plan),
        "upstreams.conf": render(
            "nginx-upstreams.conf.j2",
            upstreams=tuple(_upstreams(inputs, plan)),
            **proxy_engine.template_values(inputs, plan),
        ),
        **_ipv6_listeners(inputs, plan),
    }
    if inputs.counts_requests:
        files |= _counts(inputs)
    if any(route.handling is Handling.STATIC for route in plan.routes):
        # The mounted directory hides the file of the image.
        files["mime.types"] = render("mime.types.j2")
    return Engine(
        name="nginx",
        image=inputs.settings.images.nginx.reference,
        files=files,
        config_directory=config_directory,
        run_directory=_DIRECTORIES["run_directory"],
        cache_directory=_DIRECTORIES["cache_directory"],
        start=render("nginx-start.sh.j2", counts_module=_COUNTS_MODULE, **_DIRECTORIES),
        reload=render(
            "nginx-reload.sh.j2",
            app=inputs.name_of(Part.APP),
            balances_pods=plan.pod_connections is not None,
            terminates_tls=inputs.terminates_tls,
            tls_directory=proxy_engine.TLS_DIRECTORY,
            interval_seconds=figures.RELOADER_INTERVAL_SECONDS,
            stale_seconds=_stale_seconds(inputs, plan),
            **_DIRECTORIES,
        ),
    )


def _counts(inputs: Inputs) -> dict[str, str]:
    """Returns the files by which nginx counts requests."""
    divided = versions(inputs)
    return {
        "counts-module.conf": f"load_module {_COUNTS_MODULE};\n",
        "counts-requests.conf": render(
            "nginx-counts.conf.j2",
            counts_bytes=figures.PROXY_COUNTS_BYTES,
            metrics_port=Part.PROXY.record.ports[METRICS],
            **_DIRECTORIES,
        ),
        "counts.js": render(
            "nginx-counts.js.j2",
            bounds=[f"{bound / 1000:g}" for bound in figures.REQUEST_BUCKETS_MILLISECONDS],
            version_bounds=[f"{bound:g}" for bound in BOUNDS_SECONDS] if inputs.plan.canary else (),
            canary=divided.canary if divided else "",
            counts_most=figures.PROXY_COUNTS_BYTES // figures.PROXY_COUNT_BYTES,
        ),
    }


def _stale_seconds(inputs: Inputs, plan: ProxyPlan) -> int:
    """Returns how long after its expiry a response may be served; 0 if never."""
    cache = (inputs.spec.proxy or Proxy()).cache
    if cache is None or plan.cache_idle_seconds is None:
        return 0
    given = cache.stale_seconds
    return plan.cache_idle_seconds.value if given is None else given


def _ipv6_listeners(inputs: Inputs, plan: ProxyPlan) -> dict[str, str]:
    """Returns the ports of IPv6, which nginx can open only if the node has IPv6."""
    values = proxy_engine.template_values(inputs, plan)
    option = " proxy_protocol" if values["proxy_protocol"] else ""
    port, tls_port = f"[::]:{values['port']}", values["tls_port"]
    entry = f"listen {port} default_server{option};\n"
    files = {"listen-private.conf": f"listen [::]:{values['private_port']};\n"}
    if inputs.counts_requests:
        files["listen-metrics.conf"] = f"listen [::]:{Part.PROXY.record.ports[METRICS]};\n"
    for further in values["entry_ports"]:
        entry += f"listen [::]:{further} default_server;\n"
    if tls_port is not None:
        entry += f"listen [::]:{tls_port} ssl default_server{option};\n"
        files["listen-redirect.conf"] = f"listen {port}{option};\n"
    return {"listen-entry.conf": entry, **files}


def _upstreams(inputs: Inputs, plan: ProxyPlan) -> Iterator[tuple[str, int | None, str, str]]:
    """Yields name, limit for each pod, Service and shared memory of each upstream."""
    numbers, divided = plan.numbers(), versions(inputs)
    requests, streams = numbers["pod_connections"], numbers["pod_streams"]
    service = inputs.name_of(Part.APP, *(("pods",) if requests else ()))
    yield "app", requests, service, "app"
    yield "streams", streams, service, "streams"
    if numbers["pod_reserved"]:
        yield "reserved", numbers["pod_reserved"], service, "reserved"
    if divided is not None:
        # A reload keeps the pods that a shared memory knows, so that each canary has its own.
        for name, most in (("canary", requests), ("canary_streams", streams)):
            yield name, most, divided.service, f"{name}_{divided.canary}"


def _fallbacks(plan: ProxyPlan) -> Iterator[tuple[str, str]]:
    """Yields the kinds of requests that the stable version serves for a canary, with upstreams."""
    yield "", "app"
    if any(route.handling is Handling.STREAM for route in plan.routes):
        yield "_streams", "streams"
    if any(route.reserved for route in plan.routes):
        yield "_reserved", "app"


def _nginx_conf(inputs: Inputs, plan: ProxyPlan) -> str:
    version_header = inputs.plan.canary.version_header if inputs.plan.canary else ""
    own_headers = (*_PROXY_HEADERS, *((version_header,) if version_header else ()))
    return render(
        "nginx.conf.j2",
        counts=inputs.counts_requests,
        misspelled_headers=[other for name in own_headers for other in _misspelled(name)],
        versions=versions(inputs),
        version_header=version_header,
        fallbacks=tuple(_fallbacks(plan)),
        **_DIRECTORIES,
        **proxy_engine.template_values(inputs, plan),
    )


def _misspelled(header: str) -> Iterator[str]:
    """Yields the other spellings of a header with underscores in place of hyphens."""
    first, *words = header.split("-")
    for separators in itertools.product("-_", repeat=len(words)):
        if "_" in separators:
            yield first + "".join(map("".join, zip(separators, words, strict=True)))
