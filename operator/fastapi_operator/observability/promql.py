"""Expressions of PromQL that alerts and dashboards share."""

from fastapi_operator.naming import SERVICE_SERIES_LABEL
from fastapi_operator.parts import Part

# The labels that identify a service in the series of all its parts.
SERVICE = f"namespace, {SERVICE_SERIES_LABEL}"
COMPONENT = "app_kubernetes_io_component"
# Claims of a service, after its name: its stores, its dumps, the instances of CloudNativePG.
CLAIMS = "(?:(?:postgres|redis|queue)-(?:data|backup)|postgres-[0-9]+(?:-wal)?)"
OF_SERVICES = f'{SERVICE_SERIES_LABEL}!=""'
# Caddy counts only the first handlers that a request passes, not those within a route. Every
# request for a service passes this one, and no request to the private port does.
CADDY_REQUESTS = 'handler="map"'


def by_service(expression: str, *further: str) -> str:
    """The sum per service, and per value of further labels."""
    return f"sum by ({', '.join((SERVICE, *further))}) ({expression})"


def pods(where: str = OF_SERVICES) -> str:
    """The value 1 per scraped pod of a service, with the labels of service and part.

    Series of the kubelet and of kube-state-metrics have only the name of a pod. A multiplication by
    this adds the service, so that no allowlist of pod labels is needed.
    """
    return f"group by ({SERVICE}, {COMPONENT}, pod) (up{{{where}}})"


def joined(expression: str, where: str = OF_SERVICES) -> str:
    """Series of the kubelet or of kube-state-metrics, with the service and part of their pod."""
    return (
        f"({expression}) * on (namespace, pod) "
        f"group_left ({SERVICE_SERIES_LABEL}, {COMPONENT}) {pods(where)}"
    )


def container_of(part: Part) -> str:
    """Returns the matcher of the main container of a part's pods."""
    return f'container="{part.record.container}"'


def of_component(part: Part) -> str:
    """The matchers of the pods of one part, of all services."""
    return f'{OF_SERVICES}, {COMPONENT}="{part}"'


def service_from(label: str, pattern: str, expression: str) -> str:
    """Adds the service as a label to series that have it only within another label."""
    return f'label_replace({expression}, "{SERVICE_SERIES_LABEL}", "$1", "{label}", "{pattern}")'


# --- dashboards: one selected service -------------------------------------------------------------
CHOSEN = f'namespace="$namespace", {SERVICE_SERIES_LABEL}="$service"'
# The same service, by the labels of alerts and of the rules of an SLO.
OF_RULES = 'namespace="$namespace", service="$service"'


def chosen(*matchers: str) -> str:
    """The matchers of the selected service, and further ones."""
    return ", ".join((CHOSEN, *matchers))


def total(series: str, *by: str, where: str = CHOSEN) -> str:
    """The sum of a gauge, per value of some labels."""
    return f"sum{_by(by)} ({series}{{{where}}})"


def rate(series: str, *by: str, where: str = CHOSEN) -> str:
    """The rate of a counter, per value of some labels."""
    return f"sum{_by(by)} (rate({series}{{{where}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, *by: str, where: str = CHOSEN) -> str:
    """A quantile of a histogram, per value of some labels."""
    buckets = rate(f"{histogram}_bucket", "le", *by, where=where)
    return f"histogram_quantile({share}, {buckets})"


def mean(histogram: str, *by: str, where: str = CHOSEN) -> str:
    """The mean of a histogram, per value of some labels."""
    sums, counts = (rate(f"{histogram}_{suffix}", *by, where=where) for suffix in ("sum", "count"))
    return f"{sums} / {counts}"


def largest(count: int, expression: str, labels: str) -> str:
    """The series with the largest values of the whole time range, as many as a panel can show.

    ``topk`` alone chooses again at each step, so that a panel could show any number of series.
    """
    return _extreme("topk", "max", count, expression, labels)


def smallest(count: int, expression: str, labels: str) -> str:
    """The series with the smallest values of the whole time range, as ``largest``."""
    return _extreme("bottomk", "min", count, expression, labels)


def _extreme(choice: str, reduction: str, count: int, expression: str, labels: str) -> str:
    range_ = f"({expression})[$__range:$__interval] @ end()"
    return f"{expression} and on ({labels}) {choice}({count}, {reduction}_over_time({range_}))"


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""
