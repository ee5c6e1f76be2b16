"""The connection budget: from the app's processes at peak to the database's last slot."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import figures


def pods_at_peak(replicas: int, surge: int | str) -> int:
    """Pods while a full-size service rolls out; the surge is a number or a share such as 25%."""
    if isinstance(surge, int):
        return replicas + surge
    # Kubernetes rounds a share up.
    return replicas + math.ceil(replicas * int(surge.rstrip("%")) / 100)


@dataclass(frozen=True)
class Step:
    """One narrowing on the way to the database.

    Attributes:
        name: What is counted.
        demand: Connections asked for at peak.
        capacity: Connections there are.
        enforced_by: What bounds the demand, even for an app that ignores its environment.
    """

    name: str
    demand: int
    capacity: int
    enforced_by: str

    @property
    def slack(self) -> int:
        """Connections left; negative where the step does not hold."""
        return self.capacity - self.demand


@dataclass(frozen=True)
class ConnectionBudget:
    """Who may open how many connections, when everything runs at its peak.

    Attributes:
        pods: App pods at peak, rollout surge included.
        processes: Processes in those pods.
        per_process: Connections that one process may open (pool and overflow).
        pooler_clients: Client connections accepted with one pooler instance lost.
        pooler_servers: Server connections that all pooler instances may open.
        max_connections: What the database accepts.
        reserved: Kept for superusers, migrations and monitoring.
    """

    pods: int
    processes: int
    per_process: int
    pooler_clients: int
    pooler_servers: int
    max_connections: int
    reserved: int

    @property
    def demand(self) -> int:
        """Connections that all processes may ask for at once."""
        return self.processes * self.per_process

    def steps(self) -> tuple[Step, ...]:
        """The budget step by step, from the app to the database."""
        return (
            Step(
                name="app processes to pooler clients",
                demand=self.demand,
                capacity=self.pooler_clients,
                enforced_by="PgBouncer max_client_conn",
            ),
            Step(
                name="pooler servers to database connections",
                demand=self.pooler_servers,
                capacity=self.max_connections - self.reserved,
                enforced_by="PgBouncer max_db_connections",
            ),
        )

    def problems(self, *, max_replicas: int, surge: int | str) -> Iterator[Problem]:
        """What breaks the budget, each with the figure that would mend it.

        Args:
            max_replicas: The ceiling that was asked for, in pods.
            surge: Pods that a rollout adds to it, or their share.
        """
        clients, servers = self.steps()
        if clients.slack < 0:
            fitting = max_replicas
            per_pod = self.demand // self.pods
            while fitting and pods_at_peak(fitting, surge) * per_pod > self.pooler_clients:
                fitting -= 1
            instances = 1 + -(-self.demand // figures.POOLER_CLIENTS)
            yield Problem(
                severity=Severity.ERROR,
                stage=Stage.PLAN,
                path="spec.scaling.maxReplicas",
                message=f"{max_replicas} replicas would ask for {self.demand} connections at peak, "
                f"the pooler takes {self.pooler_clients}",
                remedy=f"set maxReplicas to at most {fitting} or spec.postgres.pooler.instances "
                f"to {instances}",
            )
        if servers.slack < 0:
            yield Problem(
                severity=Severity.ERROR,
                stage=Stage.PLAN,
                path="spec.postgres.pooler.instances",
                message=f"{self.pooler_servers} server connections exceed the "
                f"{servers.capacity} that the database has for them",
                remedy="set fewer instances or give spec.postgres.resources more CPU",
            )
