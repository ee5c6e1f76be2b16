"""Words of PromQL that alerts and dashboards share."""

from fastapi_operator.naming import SERVICE_SERIES_LABEL

# What tells one service from another in the series of all its parts.
SERVICE = f"namespace, {SERVICE_SERIES_LABEL}"
COMPONENT = "app_kubernetes_io_component"
OF_SERVICES = f'{SERVICE_SERIES_LABEL}!=""'
# Caddy counts the first handlers that a request passes, and none within a route. Through this one
# goes each request for a service, and none of the private port.
CADDY_REQUESTS = 'handler="map"'


def by_service(expression: str, *further: str) -> str:
    """The sum for each service, and each value of further labels."""
    return f"sum by ({', '.join((SERVICE, *further))}) ({expression})"


def pods(where: str = OF_SERVICES) -> str:
    """One for each scraped pod of a service, with the labels of service and part.

    The kubelet and kube-state-metrics know pods by name alone; multiplying by this one adds the
    service, without their being told to export labels of pods.
    """
    return f"group by ({SERVICE}, {COMPONENT}, pod) (up{{{where}}})"


def joined(expression: str, where: str = OF_SERVICES) -> str:
    """Series of the kubelet or of kube-state-metrics with the service and part of their pod."""
    return (
        f"({expression}) * on (namespace, pod) "
        f"group_left ({SERVICE_SERIES_LABEL}, {COMPONENT}) {pods(where)}"
    )


def of_component(part: str) -> str:
    """A matcher of the pods of one part of any service."""
    return f'{OF_SERVICES}, {COMPONENT}="{part}"'


def service_from(label: str, pattern: str, expression: str) -> str:
    """Series that name a service only within another label, with the service as a label."""
    return f'label_replace({expression}, "{SERVICE_SERIES_LABEL}", "$1", "{label}", "{pattern}")'


# --- dashboards: one chosen service ---------------------------------------------------------------
CHOSEN = f'namespace="$namespace", {SERVICE_SERIES_LABEL}="$service"'


def chosen(*matchers: str) -> str:
    """The matchers of the service that a dashboard shows, and further ones."""
    return ", ".join((CHOSEN, *matchers))


def total(series: str, *by: str, where: str = CHOSEN) -> str:
    """The sum of a gauge, for each value of some labels."""
    return f"sum{_by(by)} ({series}{{{where}}})"


def rate(series: str, *by: str, where: str = CHOSEN) -> str:
    """How fast a counter grows, for each value of some labels."""
    return f"sum{_by(by)} (rate({series}{{{where}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, *by: str, where: str = CHOSEN) -> str:
    """A quantile of what a histogram observed, for each value of some labels."""
    buckets = rate(f"{histogram}_bucket", "le", *by, where=where)
    return f"histogram_quantile({share}, {buckets})"


def mean(histogram: str, *by: str, where: str = CHOSEN) -> str:
    """The mean of what a histogram observed, for each value of some labels."""
    sums, counts = (rate(f"{histogram}_{what}", *by, where=where) for what in ("sum", "count"))
    return f"{sums} / {counts}"


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""
