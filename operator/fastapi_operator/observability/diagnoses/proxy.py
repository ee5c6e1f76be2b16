"""Rules on the proxy."""

import math

from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis
from fastapi_operator.observability.signals import Signals
from fastapi_operator.observability.units import percent
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


def overloaded(signals: Signals) -> Diagnosis | None:
    """More requests arrive than the pods serve in time."""
    by_processes = sum(pod.shed for pod in signals.app)
    shed = signals.shed_by_proxy + by_processes
    # The metrics of the app include the requests that its processes reject.
    served = max(0.0, signals.requests - by_processes)
    offered = served + shed
    if not signals.app or shed <= bounds.SHED * offered:
        return None
    seconds = max(signals.seconds, 1.0)
    most = len(signals.app) * min(offered / max(served, 1.0), bounds.OVERLOAD_FACTOR_MAX)
    return Diagnosis(
        rule="overloaded",
        diagnosis=f"{percent(shed / offered)} of the requests are rejected with 503, because the "
        "pods can serve no more in time",
        change="remove the other findings first. Then the pods are too few, or have too little "
        "CPU: raise replicas, the CPU limit, or if the CPU is idle, proxy.maxConnectionsPerPod",
        signals={
            "offered": f"{offered / seconds:.1f} requests/s",
            "served": f"{served / seconds:.1f}/s",
            "rejected by the proxy": f"{signals.shed_by_proxy / seconds:.1f}/s",
            "rejected by processes and their pools": f"{by_processes / seconds:.1f}/s",
        },
        effect=shed / seconds,
        field="spec.scaling.minReplicas",
        value=math.ceil(most),
        is_symptom=True,
    )
