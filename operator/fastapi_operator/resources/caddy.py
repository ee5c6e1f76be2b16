"""Caddy: its configuration and its scripts."""

from dataclasses import dataclass
from typing import Any

from fastapi_operator.parts import Part
from fastapi_operator.resources import proxy_engine
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.proxy_engine import STATIC_ROOT, TLS_DIRECTORY, Engine
from fastapi_operator.resources.templates import render
from fastapi_operator.resources.versions import versions
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.proxy import ProxyPlan

# The directories and times of Caddy, as its templates name them.
_DIRECTORIES = {"config_directory": "/etc/caddy", "run_directory": "/run/caddy"}
_TIMES = {
    "interval_seconds": figures.RELOADER_INTERVAL_SECONDS,
    "announce_seconds": figures.CADDY_ANNOUNCE_SECONDS,
}

_HEXADECIMAL = "0123456789abcdef"
_DIGITS = len(_HEXADECIMAL)
# So many digits of a random id decide its version: 1 % is 41 of 4,096 values.
_PLACES = 3


def engine(inputs: Inputs, plan: ProxyPlan) -> Engine:
    """Returns Caddy as the proxy, which has neither a cache nor a rate limit of its own."""
    values = proxy_engine.template_values(inputs, plan) | _version_values(inputs, plan)
    return Engine(
        name="caddy",
        image=inputs.settings.images.caddy.reference,
        files={"Caddyfile": render("Caddyfile.j2", **_DIRECTORIES, **_TIMES, **values)},
        config_directory=_DIRECTORIES["config_directory"],
        run_directory=_DIRECTORIES["run_directory"],
        cache_directory=None,
        start=render(
            "caddy-start.sh.j2",
            static_root=STATIC_ROOT if plan.static_volume_bytes is not None else None,
            **_DIRECTORIES,
        ),
        reload=render(
            "caddy-reload.sh.j2",
            terminates_tls=inputs.terminates_tls,
            tls_directory=TLS_DIRECTORY,
            **_DIRECTORIES,
            **_TIMES,
        ),
    )


@dataclass(frozen=True)
class _Upstream:
    """The pods of a version, for a kind of requests.

    Attributes:
        name: Its name in the configuration.
        service: The Service to use if there is no other way to the pods.
        pods: The name in DNS that has the addresses of the pods.
        most: The most requests of a pod; None without a limit.
    """

    name: str
    service: str
    pods: str
    most: int | None


def _version_values(inputs: Inputs, plan: ProxyPlan) -> dict[str, Any]:
    """Returns the values by which the template divides the requests between two versions."""
    divided, numbers = versions(inputs), plan.numbers()
    app, pods = inputs.name_of(Part.APP), inputs.name_of(Part.APP, "pods")
    most, reserved = numbers["pod_connections"], numbers["pod_reserved"]
    upstreams = [_Upstream("app", app, pods, most)]
    streams = [("streams", app)] if numbers.get("stream_timeout_seconds") is not None else []
    if reserved:
        upstreams.append(_Upstream("reserved", app, pods, reserved + (most or 0)))
    if divided is not None:
        service = app if most is not None else divided.service
        upstreams.append(_Upstream("canary", service, divided.service, most))
        streams += [(f"canary_{name}", divided.service) for name, _ in streams]
    return {
        "upstreams": upstreams,
        "stream_upstreams": streams,
        "fallbacks": [name for name, *_ in streams[:1]]
        + [it.name for it in upstreams if it.name != "canary"],
        "versions": divided,
        "version_header": inputs.plan.canary.version_header if inputs.plan.canary else "",
        "canary_ids": _least_ids(divided.percent) if divided is not None else "",
    }


def _least_ids(percent: int) -> str:
    """Returns an expression for the first digits of a share of all random ids in hexadecimal.

    A larger share has the ids of a smaller one.
    """
    number = round(percent * _DIGITS**_PLACES / 100)
    if number == _DIGITS**_PLACES:
        return ""
    digits, known, ranges = f"{number:0{_PLACES}x}", "", []
    for digit in digits:
        if digit != "0":
            ranges.append(f"{known}[{_HEXADECIMAL[: int(digit, _DIGITS)]}]")
        known += digit
    return f"(?:{'|'.join(ranges)})"
