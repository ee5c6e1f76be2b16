"""The connection budget: from the processes at their peak to the database's last slot."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import figures

APP = "app"
CANARY = "canary"


def canary_pods(replicas: int, percent: int) -> int:
    """Returns the pods of a canary with a share of the requests, of which all need ``replicas``."""
    return max(1, math.ceil(replicas * percent / 100)) if percent else 0


def pods_at_peak(replicas: int, surge: int | str, canary_percent: int = 0) -> int:
    """Returns the pods during a rollout at full size.

    Args:
        replicas: The pods of the app.
        surge: Those that a rollout adds, as a number or a share: 25%.
        canary_percent: The largest share of the requests that a canary gets.
    """
    canary = canary_pods(replicas, canary_percent)
    if isinstance(surge, int):
        return replicas + surge + canary
    # Kubernetes rounds a share up.
    return replicas + math.ceil(replicas * int(surge.rstrip("%")) / 100) + canary


def most_replicas(pods: int, surge: int | str, canary_percent: int = 0) -> int:
    """Returns the largest number of replicas whose rollout stays within so many pods."""
    replicas = pods
    while replicas > 0 and pods_at_peak(replicas, surge, canary_percent) > pods:
        replicas -= 1
    return replicas


@dataclass(frozen=True)
class Claim:
    """Processes that hold connections to the database at the same time.

    Attributes:
        name: Their owner: ``app``, ``canary``, or the name of a background process or schedule.
        path: The section of the spec that declares them.
        processes: Their number at peak, a rollout's surge included.
        per_process: Connections that one may open (pool and overflow).
    """

    name: str
    path: str
    processes: int
    per_process: int

    @property
    def demand(self) -> int:
        """Connections that they may request at once."""
        return self.processes * self.per_process


@dataclass(frozen=True)
class Step:
    """One narrowing on the way to the database.

    Attributes:
        name: The connections that are counted.
        demand: Connections requested at peak.
        capacity: Connections available.
        enforced_by: The setting that bounds the demand, even if an app ignores its environment.
    """

    name: str
    demand: int
    capacity: int
    enforced_by: str

    @property
    def slack(self) -> int:
        """Connections left; negative if the step does not fit."""
        return self.capacity - self.demand


class ConnectionRoom(NamedTuple):
    """The connections that all processes share, before their number is known.

    Attributes:
        connections: The connections available.
        per_process: The fewest that one process of the app needs.
        others: Those that background processes and schedules claim.
    """

    connections: int
    per_process: int
    others: int


@dataclass(frozen=True)
class ConnectionBudget:
    """The connections that each part may open at its peak.

    Attributes:
        claims: The processes, the app's first.
        pooler_clients: Client connections accepted with one pooler instance lost; None without
            a pooler.
        pooler_servers: Server connections that all pooler instances may open, and those that end
            while they are replaced.
        max_connections: Connections that the database accepts, or grants this service.
        reserved: Kept for superusers, migrations and monitoring.
        direct: Connections of processes that bypass the pooler.
    """

    claims: tuple[Claim, ...]
    pooler_clients: int | None
    pooler_servers: int | None
    max_connections: int
    reserved: int
    direct: int = 0

    @property
    def processes(self) -> int:
        """Processes of all claims."""
        return sum(claim.processes for claim in self.claims)

    @property
    def demand(self) -> int:
        """Connections that all processes may request at once."""
        return sum(claim.demand for claim in self.claims)

    def steps(self) -> tuple[Step, ...]:
        """The budget step by step, from the processes to the database."""
        direct = (
            Step(
                name="direct connections to database connections",
                demand=self.direct,
                capacity=self._unreserved - (self.pooler_servers or self.demand),
                enforced_by="the processes that open them",
            ),
        )
        return (*self._pooled_steps(), *(direct if self.direct else ()))

    def _pooled_steps(self) -> tuple[Step, ...]:
        available = self._unreserved - self.direct
        if self.pooler_clients is None or self.pooler_servers is None:
            return (
                Step(
                    name="processes to database connections",
                    demand=self.demand,
                    capacity=available,
                    enforced_by="the app's own pools",
                ),
            )
        return (
            Step(
                name="processes to pooler clients",
                demand=self.demand,
                capacity=self.pooler_clients,
                enforced_by="PgBouncer max_client_conn",
            ),
            Step(
                name="pooler servers to database connections",
                demand=self.pooler_servers,
                capacity=available,
                enforced_by="PgBouncer max_db_connections",
            ),
        )

    @property
    def _unreserved(self) -> int:
        """Connections of the service's processes and its pooler."""
        return self.max_connections - self.reserved

    def problems(
        self, *, max_replicas: int, surge: int | str, external: bool, pooler_path: str
    ) -> Iterator[Problem]:
        """Reports each step that does not fit, with the values that would fit.

        Args:
            max_replicas: The ceiling of the app's pods.
            surge: Pods that a rollout adds to it, or their share.
            external: Whether the size of the database is not in the spec.
            pooler_path: The field that decides the server connections of the pooler.
        """
        processes, *servers = self._pooled_steps()
        if processes.slack < 0:
            limit = (
                f"the pooler accepts {processes.capacity}: {figures.POOLER_CLIENTS_MAX} for each "
                "instance at most, with one lost"
                if servers
                else f"the database accepts {processes.capacity}"
            )
            remedies = (
                self._smaller_claim(processes.capacity, max_replicas, surge),
                self._more_instances() if servers else "remove spec.postgres.pooler.engine: None",
                "" if servers else _larger_database(self.demand, pooled=False, external=external),
            )
            yield Problem(
                severity=Severity.ERROR,
                stage=Stage.PLAN,
                path=self._largest.path,
                message=f"{self._claimed()} would open {self.demand} connections at peak, {limit}",
                remedy=_either(remedies) or "lower the workers or processes in each pod",
            )
        for step in servers:
            if step.slack < 0:
                yield Problem(
                    severity=Severity.ERROR,
                    stage=Stage.PLAN,
                    path=pooler_path,
                    message=f"{step.demand} server connections exceed the {step.capacity} that "
                    "the database has for them",
                    remedy=_either(
                        (
                            f"set instances to at most {step.capacity // 2}"
                            if step.capacity > 1
                            else "",
                            _larger_database(step.demand, pooled=True, external=external),
                        )
                    ),
                )

    @property
    def _largest(self) -> Claim:
        return max(self.claims, key=lambda claim: claim.demand)

    def _claimed(self) -> str:
        shares = [
            f"{claim.processes} processes of {claim.name} at {claim.per_process}"
            for claim in sorted(self.claims, key=lambda claim: -claim.demand)
            if claim.demand
        ]
        return " and ".join((", ".join(shares[:-1]), shares[-1])) if shares[1:] else shares[0]

    def _smaller_claim(self, capacity: int, max_replicas: int, surge: int | str) -> str:
        if self._largest.name not in (APP, CANARY):
            return f"lower replicas, processes or connectionsPerProcess of {self._largest.name}"
        app = self._largest
        pods = pods_at_peak(max_replicas, surge)
        left = capacity - (self.demand - app.demand)
        fitting = most_replicas(left * pods // app.demand, surge) if app.demand else 0
        return f"set maxReplicas to at most {fitting}" if fitting > 0 else ""

    def _more_instances(self) -> str:
        instances = 1 + math.ceil(self.demand / figures.POOLER_CLIENTS_MAX)
        available = self._unreserved - self.direct
        most = min(figures.POOLER_INSTANCES_MAX, available // 2)
        return f"set spec.postgres.pooler.instances to {instances}" if instances <= most else ""


def _either(remedies: Iterable[str]) -> str:
    return ", or ".join(remedy for remedy in remedies if remedy)


def _larger_database(connections: int, *, pooled: bool, external: bool) -> str:
    """Returns the size of a database that has so many connections for the service."""
    if external:
        reserved = figures.SUPERUSER_RESERVED + figures.ADMIN_RESERVED
        least = min(connections + reserved, math.ceil(connections / (1 - figures.RESERVED_SHARE)))
        return f"have the database grant a spec.postgres.maxConnections of {least}"
    if pooled:
        active = figures.POOLER_SHARE * connections / figures.ACTIVE_SLACK
        cores = math.ceil((active - 1) / figures.ACTIVE_PER_CORE)
        return f"set spec.postgres.resources.limits.cpu to {cores}"
    memory = connections * figures.BACKEND_MEMORY_BYTES / figures.BACKENDS_MEMORY_SHARE
    gibibytes = math.ceil(memory / figures.GIB)
    return f"set spec.postgres.resources.limits.memory to {gibibytes}Gi"
