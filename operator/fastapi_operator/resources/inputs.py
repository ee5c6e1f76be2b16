"""The input of every builder: the service, its plan, the operator's settings and the facts."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from fastapi_operator import naming
from fastapi_operator.api.connections import Connections
from fastapi_operator.api.part_settings import PartSettings
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.api.service import FastAPIService, Spec
from fastapi_operator.facts import Facts
from fastapi_operator.limit_ranges import Limits
from fastapi_operator.parts import DIAGNOSTICS, METRICS, PROBES, Part
from fastapi_operator.platforms import MESH_LABELS
from fastapi_operator.profiles import Profile
from fastapi_operator.resources.stage import Stage
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.plan import Plan, ProcessPlan

# The database and the roles of a managed PostgreSQL. One of the app's two roles is active, so that
# a rotation can give the other one a new password and then activate it.
DATABASE = "app"
APP_ROLE = "app"
ALTERNATE_ROLE = "app_alternate"
APP_ROLES = (APP_ROLE, ALTERNATE_ROLE)
MIGRATOR_ROLE = "migrator"
# Can read statistics and no data, in PostgreSQL, PgBouncer and Redis.
MONITOR_ROLE = "monitor"
# The user of Redis clients that know only a password.
DEFAULT_USER = "default"


@dataclass(frozen=True)
class Inputs:
    """The input of a builder; all numbers come from the plan.

    Attributes:
        service: The service.
        plan: The numbers that were derived for it.
        settings: The operator's settings.
        facts: The APIs that the cluster serves.
        stage: The step of a new version that runs beside the released one; None if none does.
        process: The background process or schedule that is built; None for other parts.
    """

    service: FastAPIService
    plan: Plan
    settings: Settings
    facts: Facts
    stage: Stage | None = None
    process: ProcessPlan | None = None

    @classmethod
    def of(
        cls,
        service: FastAPIService,
        plan: Plan,
        settings: Settings,
        facts: Facts,
        stage: Stage | None = None,
    ) -> Self:
        """Returns the inputs with the service's profile applied to service and settings."""
        settings = settings.of_profile(plan.profile)
        # Without a section in the spec, a new version replaces the released one at once.
        return cls(plan.planned(service), plan, settings, facts, stage if plan.canary else None)

    @property
    def spec(self) -> Spec:
        """The spec, with the defaults of the profile and within its ceilings."""
        return self.service.spec

    @property
    def profile(self) -> Profile:
        """The service's profile, for settings without a field in the spec: labels, CPU limits."""
        return self.plan.profile

    @property
    def name(self) -> str:
        """The service's name, the prefix of the name of each object."""
        return self.service.metadata.name

    @property
    def namespace(self) -> str:
        """The namespace of the service and of all its objects."""
        return self.service.metadata.namespace

    @property
    def runs_database(self) -> bool:
        """Whether the service has a managed database."""
        postgres = self.spec.postgres
        return postgres is not None and postgres.mode in (None, "Managed")

    @property
    def runs_cluster(self) -> bool:
        """Whether CloudNativePG runs the database, as a Cluster of this service."""
        postgres = self.spec.postgres
        return postgres is not None and postgres.mode == "CloudNativePG"

    def default_user(self, part: Part) -> bool:
        """Whether clients of the cache or the queue connect as its default user."""
        connections = self.spec.connections or Connections()
        section = connections.redis if part is Part.CACHE else connections.queue
        return section is not None and section.user == "Default"

    def has_pods(self, part: Part) -> bool:
        """Whether the service has pods of a part."""
        return part in self.plan.parts_with_pods

    @property
    def has_exporters(self) -> bool:
        """Whether the pods of operands have exporters."""
        return self.plan.observability.exporters.value

    @property
    def counts_requests(self) -> bool:
        """Whether nginx is the proxy and counts requests."""
        if self.plan.proxy is None or self.proxied_by_caddy:
            return False
        # By its counts the versions are judged, also without Prometheus.
        return self.has_exporters or self.plan.canary is not None

    @property
    def limits(self) -> Limits:
        """The LimitRanges of the namespace."""
        return self.facts.limits_of(self.namespace)

    def settings_of(self, part: Part) -> PartSettings:
        """Returns what ``spec.parts`` sets for a part."""
        # A new version has the settings of the app.
        named = Part.APP if part is Part.CANARY else part
        parts = (self.spec.parts or {}).items()
        return next((settings for name, settings in parts if name == named.value), PartSettings())

    def child(self, *suffix: str) -> str:
        """Returns the name of an object of the service."""
        return naming.child_name(self.name, *suffix)

    def name_of(self, part: Part, *suffix: str) -> str:
        """Returns the name of an object of a part, also the host name of its Service."""
        return self.child(part.record.suffix, *suffix)

    def labels(self, part: Part) -> dict[str, str]:
        """Returns the labels of an object of a part."""
        # The operator's own labels last: a profile's label must not hide an object from it.
        return {**self.profile.labels, **self._own_labels(part)}

    def pod_labels(self, part: Part) -> dict[str, str]:
        """Returns the labels of a part's pods."""
        mesh = {} if part.record.meshed else MESH_LABELS
        of_part = self.settings_of(part).pod_labels or {}
        return {**self.profile.labels, **mesh, **of_part, **self._own_labels(part)}

    def _own_labels(self, part: Part) -> dict[str, str]:
        return naming.labels(self.name, part) | self._process_label

    def selector(self, part: Part) -> dict[str, str]:
        """Returns the labels that select the pods of a part, or of the process."""
        return naming.selector(self.name, part) | self._process_label

    @property
    def _process_label(self) -> dict[str, str]:
        return {naming.PROCESS_LABEL: self.process.name} if self.process else {}

    @property
    def app_port(self) -> int:
        """The port on which the app serves requests."""
        return self.spec.port or Part.APP.port

    @property
    def root_path(self) -> str:
        """The path prefix that the app's server adds to each path; empty for none."""
        return self.spec.server.effective_root_path if self.spec.server else ""

    @property
    def terminates_tls(self) -> bool:
        """Whether the proxy terminates TLS."""
        exposure = self.plan.exposure
        return exposure is not None and exposure.terminates

    @property
    def proxied_by_caddy(self) -> bool:
        """Whether the proxy is Caddy, which has metrics of its own."""
        return self.plan.proxy is not None and (self.spec.proxy or Proxy()).engine == "Caddy"

    @property
    def metrics_port(self) -> int | None:
        """The private port with the app's metrics; None if they are disabled."""
        observability = self.spec.observability
        metrics = observability.metrics if observability else None
        if metrics is not None and metrics.enabled is False:
            return None
        return self._private_ports[METRICS]

    @property
    def probe_port(self) -> int | None:
        """The port on which the runtime in the app responds to probes; None if it does not."""
        probes = self.spec.server.probes if self.spec.server else None
        return self._private_ports[PROBES] if probes and probes.source == "Runtime" else None

    @property
    def diagnostics_port(self) -> int | None:
        """The port on loopback with profiles of the app; None if they are disabled."""
        observability = self.spec.observability
        profiling = observability.profiling if observability else None
        if self.metrics_port is None or (profiling is not None and profiling.enabled is False):
            return None
        return self._private_ports[DIAGNOSTICS]

    @property
    def _private_ports(self) -> dict[str, int]:
        """The ports of the runtime: from 9000, without those of the app and of its sidecars."""
        ports = Part.APP.record.ports
        names = [METRICS, PROBES, DIAGNOSTICS]
        taken = {self.app_port, *self._sidecar_ports()}
        free = (port for port in itertools.count(ports[METRICS]) if port not in taken)
        return dict(zip(names, free, strict=False))

    def _sidecar_ports(self) -> Iterator[int]:
        """Yields the ports that the user's containers declare; containers of a pod share them."""
        for container in (*(self.spec.containers or ()), *(self.spec.init_containers or ())):
            for port in container.get("ports") or ():
                number = port.get("containerPort")
                if isinstance(number, int):
                    yield number
