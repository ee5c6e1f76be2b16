"""The kinds that the operator owns: their APIs, and the rules for their health."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from fastapi_operator import naming
from fastapi_operator.facts import Facts


class Judge(StrEnum):
    """The rule by which the health of an object is read from its status."""

    PRESENT = "present"
    ROLLOUT = "rollout"
    STATEFUL = "stateful"
    JOB = "job"
    PERSISTENT_VOLUME_CLAIM = "claim"
    AUTOSCALER = "autoscaler"
    SCHEDULE = "schedule"
    LOAD_BALANCER = "load balancer"
    INGRESS = "ingress"
    CONDITION = "condition"
    ROUTE = "route"
    CERTIFICATE = "certificate"


class Wave(StrEnum):
    """When an object is written within a reconciliation; pods need the objects that they mount."""

    CONFIGURATION = "1 configuration"
    NETWORK = "2 network"
    WORKLOAD = "3 workload"
    AROUND = "4 around"


@dataclass(frozen=True)
class Kind:
    """A namespaced kind of the Kubernetes API.

    Attributes:
        group: API group; empty for the core API.
        version: API version.
        plural: The resource in URLs and in RBAC rules.
        kind: The kind in bodies.
        optional: Whether a cluster may lack it; it is then neither watched nor written.
        judge: The rule for the health of an object.
        wave: When an object is written within a reconciliation.
    """

    group: str
    version: str
    plural: str
    kind: str
    optional: bool = False
    judge: Judge = Judge.PRESENT
    wave: Wave = Wave.CONFIGURATION

    @property
    def api_version(self) -> str:
        """``apiVersion`` of a body."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def api(self) -> str:
        """The kind as ``Facts.apis`` has it: ``group/version/Kind``."""
        return f"{self.api_version}/{self.kind}"

    def path(self, namespace: str | None, name: str | None = None, subresource: str = "") -> str:
        """Returns the path of the collection or of one object."""
        root = f"/apis/{self.group}" if self.group else "/api"
        parts = [root, self.version]
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


SERVICE = Kind(naming.GROUP, naming.VERSION, naming.PLURAL, naming.KIND)
POD = Kind("", "v1", "pods", "Pod")
NAMESPACE = Kind("", "v1", "namespaces", "Namespace")
LIMIT_RANGE = Kind("", "v1", "limitranges", "LimitRange")
EVENT = Kind("events.k8s.io", "v1", "events", "Event")
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
CONTROLLER_REVISION = Kind("apps", "v1", "controllerrevisions", "ControllerRevision")
DEPLOYMENT = Kind(
    "apps", "v1", "deployments", "Deployment", judge=Judge.ROLLOUT, wave=Wave.WORKLOAD
)
STATEFUL_SET = Kind(
    "apps", "v1", "statefulsets", "StatefulSet", judge=Judge.STATEFUL, wave=Wave.WORKLOAD
)
JOB = Kind("batch", "v1", "jobs", "Job", judge=Judge.JOB, wave=Wave.WORKLOAD)
CRON_JOB = Kind("batch", "v1", "cronjobs", "CronJob", judge=Judge.SCHEDULE, wave=Wave.WORKLOAD)
CNPG_CLUSTER = Kind(
    "postgresql.cnpg.io",
    "v1",
    "clusters",
    "Cluster",
    optional=True,
    judge=Judge.CONDITION,
    wave=Wave.WORKLOAD,
)
SECRET = Kind("", "v1", "secrets", "Secret")
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
PERSISTENT_VOLUME_CLAIM = Kind(
    "",
    "v1",
    "persistentvolumeclaims",
    "PersistentVolumeClaim",
    judge=Judge.PERSISTENT_VOLUME_CLAIM,
    wave=Wave.NETWORK,  # after its credentials: without them, its data cannot be read
)

INGRESS = Kind(
    "networking.k8s.io", "v1", "ingresses", "Ingress", judge=Judge.INGRESS, wave=Wave.AROUND
)
HTTP_ROUTE = Kind(
    "gateway.networking.k8s.io",
    "v1",
    "httproutes",
    "HTTPRoute",
    optional=True,
    judge=Judge.ROUTE,
    wave=Wave.AROUND,
)

CERTIFICATE = Kind(
    "cert-manager.io",
    "v1",
    "certificates",
    "Certificate",
    optional=True,
    judge=Judge.CERTIFICATE,
    wave=Wave.NETWORK,
)

_MONITORING = "monitoring.coreos.com"

OWNED: tuple[Kind, ...] = (
    SECRET,
    CONFIG_MAP,
    Kind("", "v1", "serviceaccounts", "ServiceAccount"),
    PERSISTENT_VOLUME_CLAIM,
    Kind("", "v1", "services", "Service", judge=Judge.LOAD_BALANCER, wave=Wave.NETWORK),
    Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", wave=Wave.NETWORK),
    CONTROLLER_REVISION,
    DEPLOYMENT,
    STATEFUL_SET,
    JOB,
    CRON_JOB,
    CNPG_CLUSTER,
    Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", wave=Wave.AROUND),
    Kind(
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        judge=Judge.AUTOSCALER,
        wave=Wave.AROUND,
    ),
    Kind(
        "keda.sh",
        "v1alpha1",
        "scaledobjects",
        "ScaledObject",
        optional=True,
        judge=Judge.CONDITION,
        wave=Wave.AROUND,
    ),
    INGRESS,
    HTTP_ROUTE,
    CERTIFICATE,
    Kind(_MONITORING, "v1", "servicemonitors", "ServiceMonitor", optional=True, wave=Wave.AROUND),
    Kind(_MONITORING, "v1", "podmonitors", "PodMonitor", optional=True, wave=Wave.AROUND),
    Kind(_MONITORING, "v1", "prometheusrules", "PrometheusRule", optional=True, wave=Wave.AROUND),
    Kind(
        "grafana.integreatly.org",
        "v1beta1",
        "grafanadashboards",
        "GrafanaDashboard",
        optional=True,
        wave=Wave.AROUND,
    ),
)

_BY_NAME: Mapping[tuple[str, str], Kind] = {(kind.group, kind.kind): kind for kind in OWNED}


def owned_kind(group: str, kind: str) -> Kind:
    """Returns the owned kind of that group and name.

    Raises:
        KeyError: The operator does not own such a kind: its table and RBAC rules lack it.
    """
    try:
        return _BY_NAME[group, kind]
    except KeyError:
        raise KeyError(f"{group}/{kind} is not among the kinds that the operator owns") from None


def on_offer(facts: Facts) -> tuple[Kind, ...]:
    """Returns the owned kinds that the cluster serves."""
    return tuple(kind for kind in OWNED if not kind.optional or facts.offers(kind.api))


def optional_apis(kinds: Iterable[Kind] = OWNED) -> frozenset[str]:
    """Returns the optional kinds as ``Facts.apis`` has them."""
    return frozenset(kind.api for kind in kinds if kind.optional)
