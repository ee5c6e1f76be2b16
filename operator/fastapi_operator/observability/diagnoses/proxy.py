"""Rules on the proxy."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis
from fastapi_operator.observability.signals import Signals
from fastapi_operator.tuning import figures


def keep_alive_race(signals: Signals) -> Diagnosis | None:
    """Row 24: the app closes connections that the proxy still uses."""
    proxy, planned = signals.proxy, signals.planned
    if (
        proxy is None
        or min(proxy.closed_early, proxy.bad_gateways) < bounds.BAD_GATEWAYS_MIN
        or proxy.bad_gateways > bounds.BAD_GATEWAY_SHARE * proxy.requests
    ):
        return None
    wanted = planned.proxy_idle_seconds + figures.KEEP_ALIVE_MARGIN_SECONDS
    own = "your command must pass it to the server (uvicorn: --timeout-keep-alive)"
    return Diagnosis(
        rule="keep-alive-race",
        diagnosis="the app closes idle connections just as the proxy uses them: 502 now and then, "
        "and nothing of it in the app's log",
        change="keep connections open in the app for longer than the proxy does"
        + (f"; {own}" if planned.own_command else ""),
        signals={
            "502 of the proxy": f"{proxy.bad_gateways} of {proxy.requests} requests",
            "connections closed by the app": str(proxy.closed_early),
            "idle at the proxy": f"{planned.proxy_idle_seconds} s",
        },
        effect=proxy.bad_gateways * figures.PROXY_READ_TIMEOUT_SECONDS / max(signals.seconds, 1.0),
        field="spec.server.keepAliveSeconds",
        value=wanted,
    )
