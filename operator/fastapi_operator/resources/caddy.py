"""Caddy: its configuration and its scripts."""

from fastapi_operator.resources import proxy_engine
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.proxy_engine import STATIC_ROOT, TLS_DIRECTORY, Engine
from fastapi_operator.resources.templates import render
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.proxy import ProxyPlan

# The directories and times of Caddy, as its templates name them.
_DIRECTORIES = {"config_directory": "/etc/caddy", "run_directory": "/run/caddy"}
_TIMES = {
    "interval_seconds": figures.RELOADER_INTERVAL_SECONDS,
    "announce_seconds": figures.CADDY_ANNOUNCE_SECONDS,
}


def engine(inputs: Inputs, plan: ProxyPlan) -> Engine:
    """Returns Caddy as the proxy, which has neither a cache nor a rate limit of its own."""
    values = proxy_engine.template_values(inputs, plan)
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
