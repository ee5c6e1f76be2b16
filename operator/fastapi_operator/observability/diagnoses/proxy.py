"""Rules on the proxy."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis
from fastapi_operator.observability.signals import Signals
from fastapi_operator.tuning import figures


def keep_alive_race(signals: Signals) -> Diagnosis | None:
    """The app closes idle connections before the proxy does."""
    proxy, planned = signals.proxy, signals.planned
    if (
        proxy is None
        or min(proxy.closed_early, proxy.bad_gateways) < bounds.BAD_GATEWAYS_MIN
        or proxy.bad_gateways > bounds.BAD_GATEWAY_SHARE * proxy.requests
    ):
        return None
    keep_alive_seconds = planned.proxy_idle_seconds + figures.KEEP_ALIVE_MARGIN_SECONDS
    own = "your command must pass the value to the server (Uvicorn: --timeout-keep-alive)"
    return Diagnosis(
        rule="keep-alive-race",
        diagnosis="the app closes idle connections while the proxy sends a request on them: "
        "occasional 502, without an entry in the app's log",
        change="keep idle connections open longer in the app than in the proxy"
        + (f"; {own}" if planned.own_command else ""),
        signals={
            "502 of the proxy": f"{proxy.bad_gateways} of {proxy.requests} requests",
            "connections closed by the app": str(proxy.closed_early),
            "keep-alive of the proxy": f"{planned.proxy_idle_seconds} s",
        },
        effect=proxy.bad_gateways * figures.PROXY_READ_TIMEOUT_SECONDS / max(signals.seconds, 1.0),
        field="spec.server.keepAliveSeconds",
        value=keep_alive_seconds,
    )
