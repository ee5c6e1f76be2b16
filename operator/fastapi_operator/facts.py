"""Facts about the cluster: its version, the kinds that it serves, and its namespaces."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi_operator.limit_ranges import NO_LIMITS, Limits

CNPG_CLUSTER = "postgresql.cnpg.io/v1/Cluster"
SERVICE_MONITOR = "monitoring.coreos.com/v1/ServiceMonitor"
POD_MONITOR = "monitoring.coreos.com/v1/PodMonitor"
PROMETHEUS_RULE = "monitoring.coreos.com/v1/PrometheusRule"
GRAFANA_DASHBOARD = "grafana.integreatly.org/v1beta1/GrafanaDashboard"
HTTP_ROUTE = "gateway.networking.k8s.io/v1/HTTPRoute"
SCALED_OBJECT = "keda.sh/v1alpha1/ScaledObject"
# Optional fields of a rule of an HTTPRoute, and those of each release since Gateway API 1.2.
ROUTE_FIELDS = frozenset({"timeouts", "retry"})
ROUTE_FIELDS_OFFLINE = frozenset({"timeouts"})
CERTIFICATE = "cert-manager.io/v1/Certificate"

_KEYS = frozenset({"kubernetes", "apis", "httpRouteFields", "profiles", "limitRanges", "ipv6"})


@dataclass(frozen=True)
class Facts:
    """The facts about a cluster that the plan uses.

    Attributes:
        kubernetes: Version of Kubernetes, as ``major.minor``.
        apis: Optional kinds that the cluster serves, as ``group/version/Kind``.
        route_fields: Optional fields that a rule of the cluster's HTTPRoute has.
        profiles: Profile of each namespace that has the profile label.
        limits: The LimitRanges of each namespace that has any.
        ipv6: Whether the first address of a pod is one of IPv6.
    """

    kubernetes: str = "1.35"
    apis: frozenset[str] = field(default_factory=frozenset)
    route_fields: frozenset[str] = ROUTE_FIELDS_OFFLINE
    profiles: Mapping[str, str] = field(default_factory=dict, hash=False)
    limits: Mapping[str, Limits] = field(default_factory=dict, hash=False)
    ipv6: bool = False

    def offers(self, api: str) -> bool:
        """Whether the cluster serves an optional kind, as ``group/version/Kind``."""
        return api in self.apis

    def limits_of(self, namespace: str) -> Limits:
        """Returns the LimitRanges of a namespace."""
        return self.limits.get(namespace, NO_LIMITS)

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> "Facts":
        """Parses the mapping of a ``--facts`` file.

        Raises:
            ValueError: A key is unknown, or a value has the wrong type.
        """
        unknown = sorted(set(data) - _KEYS)
        if unknown:
            raise ValueError(
                f"facts: unknown key {unknown[0]!r}; known keys are {', '.join(sorted(_KEYS))}"
            )
        apis = data.get("apis", [])
        if not isinstance(apis, list) or not all(isinstance(api, str) for api in apis):
            raise ValueError(
                'facts: apis must be a list, for example ["monitoring.coreos.com/v1/PodMonitor"]'
            )
        route_fields = data.get("httpRouteFields", sorted(ROUTE_FIELDS_OFFLINE))
        if not isinstance(route_fields, list) or not ROUTE_FIELDS.issuperset(route_fields):
            raise ValueError("facts: httpRouteFields must be a list, for example [timeouts, retry]")
        profiles = data.get("profiles", {})
        if not isinstance(profiles, dict) or not all(
            isinstance(text, str) for item in profiles.items() for text in item
        ):
            raise ValueError("facts: profiles must be a mapping, for example {team-a: production}")
        ipv6 = data.get("ipv6", False)
        if not isinstance(ipv6, bool):
            raise ValueError("facts: ipv6 must be true or false")
        return cls(
            kubernetes=str(data.get("kubernetes", cls.kubernetes)),
            apis=frozenset(apis),
            route_fields=frozenset(route_fields),
            profiles=dict(profiles),
            limits=_limits(data.get("limitRanges", {})),
            ipv6=ipv6,
        )


def _limits(data: Any) -> dict[str, Limits]:
    try:
        return {
            namespace: Limits.of(("of the facts", dict(item)) for item in items)
            for namespace, items in data.items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            "facts: limitRanges must be a mapping of namespaces to items of LimitRanges, for "
            f"example {{team-a: [{{type: Container, min: {{cpu: 100m}}}}]}}: {error}"
        ) from error
