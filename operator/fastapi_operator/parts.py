"""The parts of a service, and one record of facts for each.

A part names files, plan sections, labels and conditions. To add one, add a member to ``Part`` and
its record to ``PARTS``, and a builder in ``resources/build.py``; an import without them fails.
"""

import graphlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

Value = TypeVar("Value")

# The name of the port with metrics, in each pod and Service that has one.
METRICS = "metrics"
# The ports of the app's runtime for probes, and for profiles on loopback.
PROBES = "probes"
DIAGNOSTICS = "diagnostics"
# The variable with the latter, from which commands read it in a running pod.
DIAGNOSTICS_VARIABLE = "DIAGNOSTICS_PORT"
# The ports of the pods that run the app, of each version.
_APP_PORTS = {"http": 8000, METRICS: 9000, PROBES: 9001, DIAGNOSTICS: 9002}

# The sidecar that makes a server read changed files; a change of these files needs no restart.
RELOADER = "reload"
# The sidecar of a migration that checks the database.
CHECKS = "checks"
# The init containers of the proxy that copy static files, each with a number.
COPY_STATIC = "copy-static"


class Part(StrEnum):
    """A part of a provisioned service; its value is the component label of its objects."""

    APP = "app"
    CANARY = "canary"
    BACKGROUND = "background"
    SCHEDULES = "schedules"
    PROXY = "proxy"
    CACHE = "cache"
    QUEUE = "queue"
    DATABASE = "database"
    BACKUP = "backup"
    POOLER = "pooler"
    PREFLIGHT = "preflight"
    MIGRATION = "migration"
    EXPOSURE = "exposure"
    AUTOSCALING = "autoscaling"
    NETWORK = "network"
    OBSERVABILITY = "observability"

    @property
    def record(self) -> "PartRecord":
        """The facts of this part."""
        return PARTS[self]

    @property
    def condition(self) -> str:
        """The type of the status condition that shows whether this part is ready."""
        return self.record.condition

    @property
    def port(self) -> int:
        """The port that the part's clients use.

        Raises:
            StopIteration: The part has no port.
        """
        return self.record.ports[self.record.port_name]


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """The sidecar that exposes the metrics of a part.

    Attributes:
        container: The name of its container.
        port: The port of its metrics: the default of the program.
    """

    container: str
    port: int


@dataclass(frozen=True, kw_only=True)
class PartRecord:
    """The facts of a part that are the same for every service.

    Attributes:
        condition: The type of its status condition.
        help: What it is, as a noun phrase.
        page: Its page in ``docs/parts``.
        sections: The sections of the plan with its numbers, and what each of them holds.
        required: Whether the service is Ready only if this part is.
        depends_on: The parts that it needs to become ready. If several parts are unready, those
            on which the others depend are reported as the cause.
        suffix: What follows the service's name in the names of its objects; empty if they have
            the service's own name.
        pods: The section of the plan that is present if the part has pods; empty if it has none.
        container: The name of its main container; empty if the engine or the user chooses it.
        runs_app_image: Whether its pods run the user's image.
        isolated: Whether its pods open no connection, also if they run the user's image.
        meshed: Whether its pods may get the sidecars of a service mesh. The others decline them:
            a Job never ends beside one, and the policies of a store reject its connections.
        resources: The field of the spec with the resources of its main container; empty if that
            is ``resources`` of ``spec.parts``.
        ports: Its ports by name, the one that its clients use first. Those of the app are
            defaults.
        clients: The parts that connect to it; None is a client of the service. If one of these
            parts is absent, its own clients connect instead.
        exporter: The sidecar with its metrics; None if it has none.
        others: The names of its other containers, without the number of one of several.
    """

    condition: str
    help: str
    page: str
    sections: Mapping[str, str] = field(default_factory=dict)
    required: bool = True
    depends_on: tuple[Part, ...] = ()
    suffix: str = ""
    pods: str = ""
    container: str = ""
    runs_app_image: bool = False
    isolated: bool = False
    meshed: bool = False
    resources: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    clients: tuple[Part | None, ...] = ()
    exporter: Exporter | None = None
    others: tuple[str, ...] = ()

    @property
    def named_containers(self) -> tuple[str, ...]:
        """The containers beside the main one that ``spec.parts`` can name."""
        return (*self.others, *((self.exporter.container,) if self.exporter else ()))

    @property
    def port_name(self) -> str:
        """The name of the port that its clients use.

        Raises:
            StopIteration: The part has no port.
        """
        return next(iter(self.ports))


def for_each_part(table: Mapping[Part, Value], *, entry: str, place: str) -> Mapping[Part, Value]:
    """Returns a table that has an entry for each part.

    Args:
        table: The table.
        entry: What an entry is, for the message.
        place: Where the entry is to be added, for the message.

    Raises:
        LookupError: A part has no entry.
    """
    missing = [f"Part.{part.name}" for part in Part if part not in table]
    if missing:
        raise LookupError(f"{', '.join(missing)} has no {entry}: add one to {place}")
    return table


# The parts that run the app's image after its migration; a migration runs the next one.
_RELEASED = (Part.APP, Part.CANARY, Part.BACKGROUND, Part.SCHEDULES)
_IMAGE = (*_RELEASED, Part.MIGRATION)
# The needs of the released parts.
_BEFORE_RELEASE = (Part.POOLER, Part.CACHE, Part.QUEUE, Part.PREFLIGHT, Part.MIGRATION)

# In the order in which a reader follows a response back: stores first, entry last.
PARTS: Mapping[Part, PartRecord] = for_each_part(
    {
        Part.DATABASE: PartRecord(
            condition="DatabaseReady",
            help="PostgreSQL",
            page="database.md",
            sections={
                "database": "the connections that PostgreSQL grants; pools and replicas follow "
                "from them",
                "postgres": "the PostgreSQL of the service: how it uses its CPU and memory",
                "postgres_pod": "the pod of that PostgreSQL",
            },
            depends_on=(Part.NETWORK,),
            suffix="postgres",
            pods="postgres_pod",
            container="postgres",
            resources="spec.postgres.resources",
            ports={"postgres": 5432},
            clients=(Part.POOLER, Part.BACKUP, Part.MIGRATION),
            exporter=Exporter(container="postgres-exporter", port=9187),
            others=(RELOADER,),
        ),
        Part.BACKUP: PartRecord(
            condition="BackupReady",
            help="scheduled dumps of the database",
            page="database.md",
            sections={"backup": "the dumps of that database, from which it can be restored"},
            # A dump that failed last night does not keep the service from serving.
            required=False,
            depends_on=(Part.DATABASE,),
            suffix="postgres-backup",
            pods="backup",
            container="backup",
        ),
        Part.POOLER: PartRecord(
            condition="PoolerReady",
            help="PgBouncer between the app and the database",
            page="pooler.md",
            sections={
                "pool": "the database connections that each process of the app keeps",
                "pooler": "PgBouncer, which lets many processes share few database connections",
            },
            # Its configuration waits for the migration.
            depends_on=(Part.DATABASE, Part.PREFLIGHT, Part.MIGRATION),
            suffix="pooler",
            pods="pooler",
            container="pgbouncer",
            ports={"postgres": 5432},
            clients=_RELEASED,
            exporter=Exporter(container="pgbouncer-exporter", port=9127),
            others=(RELOADER,),
        ),
        Part.CACHE: PartRecord(
            condition="CacheReady",
            help="the cache: a Redis or Valkey that evicts keys when it is full",
            page="cache.md",
            sections={
                "cache": "the server that keeps responses and results for a while",
                "cache_pool": "the connections to the cache that each process of the app keeps",
            },
            depends_on=(Part.NETWORK,),
            suffix="redis",
            pods="cache",
            container="redis",
            ports={"redis": 6379},
            clients=_IMAGE,
            exporter=Exporter(container="redis-exporter", port=9121),
            others=(RELOADER,),
        ),
        Part.QUEUE: PartRecord(
            condition="QueueReady",
            help="the broker of background work: a Redis or Valkey that never evicts",
            page="queue.md",
            sections={"queue": "the broker that hands work to background processes"},
            depends_on=(Part.NETWORK,),
            suffix="queue",
            pods="queue",
            container="redis",
            ports={"redis": 6379},
            clients=_IMAGE,
            exporter=Exporter(container="redis-exporter", port=9121),
            others=(RELOADER,),
        ),
        Part.PREFLIGHT: PartRecord(
            condition="PreflightReady",
            help="the Job that imports the app of a new image before its migration",
            page="preflight.md",
            sections={
                "preflight": "the pod that imports the app of a new image before it is rolled out"
            },
            depends_on=(Part.NETWORK,),
            suffix="preflight",
            pods="preflight",
            container="preflight",
            runs_app_image=True,
            isolated=True,
            resources="spec.resources",
        ),
        Part.MIGRATION: PartRecord(
            condition="MigrationsReady",
            help="the Job that changes the database's schema before a new version serves",
            page="migrations.md",
            sections={
                "migration": "the command that changes the database's schema before a new "
                "version serves",
            },
            depends_on=(Part.DATABASE, Part.PREFLIGHT),
            suffix="migrate",
            pods="migration",
            container="migrate",
            runs_app_image=True,
            resources="spec.postgres.migrations.resources",
            others=(CHECKS,),
        ),
        Part.APP: PartRecord(
            condition="ApplicationReady",
            help="the FastAPI application",
            page="application.md",
            sections={
                "server": "the processes that run the app in each pod",
                "compute": "the CPU and memory of each app pod: the request is reserved for it, "
                "the limit is the most that it can use",
                "leak_guard": "the memory of a running pod, and when a leak is acted on",
            },
            depends_on=_BEFORE_RELEASE,
            suffix="app",
            pods="server",
            container="app",
            runs_app_image=True,
            meshed=True,
            resources="spec.resources",
            ports=_APP_PORTS,
            clients=(Part.PROXY,),
        ),
        Part.CANARY: PartRecord(
            condition="CanaryReady",
            help="the new version of the app, which gets a share of the requests",
            page="canary.md",
            sections={"canary": "how a new version gets its share of the requests"},
            # The released version serves, whatever the new one does.
            required=False,
            depends_on=_BEFORE_RELEASE,
            suffix="canary",
            pods="canary",
            container="app",
            runs_app_image=True,
            meshed=True,
            resources="spec.resources",
            ports=_APP_PORTS,
            clients=(Part.PROXY,),
        ),
        Part.BACKGROUND: PartRecord(
            condition="BackgroundReady",
            help="processes that run beside the app, for example the workers of a queue",
            page="background.md",
            sections={"background": "a process that runs beside the app"},
            depends_on=_BEFORE_RELEASE,
            suffix="background",
            pods="background",
            runs_app_image=True,
            meshed=True,
            resources="spec.background[].resources",
        ),
        Part.SCHEDULES: PartRecord(
            condition="SchedulesReady",
            help="commands of the app's image that run at set times",
            page="background.md",
            sections={"schedules": "a command that runs at set times"},
            # A run that failed last night does not keep the service from serving.
            required=False,
            depends_on=_BEFORE_RELEASE,
            suffix="schedules",
            pods="schedules",
            runs_app_image=True,
            resources="spec.schedules[].resources",
        ),
        Part.PROXY: PartRecord(
            condition="ProxyReady",
            help="the reverse proxy in front of the app: nginx or Caddy",
            page="proxy.md",
            sections={
                "proxy": "the web server in front of the app: it handles slow clients, large "
                "bodies and files",
            },
            depends_on=(Part.APP,),
            suffix="proxy",
            pods="proxy",
            meshed=True,
            ports={"http": 8080, "private": 8081, "https": 8443, METRICS: 9113},
            clients=(None,),
            others=(RELOADER, COPY_STATIC),
        ),
        Part.EXPOSURE: PartRecord(
            condition="ExposureReady",
            help="the route, Ingress or load balancer for clients outside of the cluster",
            page="exposure.md",
            sections={"gateway": "how long the Gateway waits, and what it repeats"},
            depends_on=(Part.PROXY,),
        ),
        Part.AUTOSCALING: PartRecord(
            condition="AutoscalingReady",
            help="the autoscaler of the app",
            page="autoscaling.md",
            sections={"scaling": "how many app pods there are, and when that number changes"},
            # Without metrics the number of pods stays as it is.
            required=False,
            depends_on=(Part.APP,),
        ),
        Part.NETWORK: PartRecord(
            condition="NetworkReady",
            help="the NetworkPolicies of the service",
            page="network.md",
        ),
        Part.OBSERVABILITY: PartRecord(
            condition="ObservabilityReady",
            help="monitors, recording rules and dashboards of the service",
            page="exporters.md",
            sections={"observability": "what is measured, and when an alert fires"},
            # The service serves without its monitors.
            required=False,
        ),
    },
    entry="record",
    place="PARTS in fastapi_operator/parts.py",
)


# Each part after those on which it depends; a circle fails the import (graphlib.CycleError).
CAUSES_FIRST: tuple[Part, ...] = tuple(
    graphlib.TopologicalSorter(
        {part: record.depends_on for part, record in PARTS.items()}
    ).static_order()
)
