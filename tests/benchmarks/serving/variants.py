"""The variants: the tuned pod, the article's line, the server's defaults, and a grid."""

import copy
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_operator.api.parse import parse_service
from fastapi_operator.facts import Facts
from fastapi_operator.parts import Part
from fastapi_operator.resources.build import build
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive

SERVICE, NAMESPACE = "bench", "bench"
PORT = 8000
_BIND = ("--host", "0.0.0.0", "--port", str(PORT))

# Variables that only make the app reachable and able to connect: every variant has them.
CONNECTIONS = frozenset({"DATABASE_USERNAME", "DATABASE_PASSWORD", "DATABASE_URL"})


@dataclass(frozen=True)
class Workload:
    """One kind of work.

    Attributes:
        name: Its route.
        traffic: The value of ``spec.traffic``.
        grid: The environment variables of the grid and WEB_CONCURRENCY, with their values.
        workers: The worker counts of the grid.
    """

    name: str
    traffic: Mapping[str, int]
    grid: Mapping[str, tuple[int, ...]]
    workers: tuple[int, ...]


WORKLOADS = (
    Workload("awaiting", {"p95Milliseconds": 25, "cpuMillisecondsPerRequest": 1}, {}, (1, 2, 3)),
    Workload("json", {"p95Milliseconds": 5, "cpuMillisecondsPerRequest": 3}, {}, (1, 2, 3)),
    Workload(
        "database",
        {
            "p95Milliseconds": 10,
            "cpuMillisecondsPerRequest": 2,
            "databaseMillisecondsPerRequest": 3,
        },
        {"DATABASE_POOL_SIZE": (5, 10, 20)},
        (1, 2, 3),
    ),
    Workload(
        "blocking",
        {
            "p95Milliseconds": 25,
            "cpuMillisecondsPerRequest": 1,
            "blockingMillisecondsPerRequest": 20,
        },
        {"THREAD_TOKENS": (10, 40, 100)},
        (1, 2, 3),
    ),
)


@dataclass(frozen=True)
class Variant:
    """One way to run the app.

    Attributes:
        name: Its name in the tables.
        command: The server's command.
        environment: Variables except those of connections.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


def service(image: str, limit: str, traffic: Mapping[str, int]) -> dict[str, Any]:
    """Returns the service that is tuned, as a user would write it."""
    return {
        "apiVersion": "fastapi-operator.io/v1alpha1",
        "kind": "FastAPIService",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        "spec": {
            "image": image,
            "app": "main:app",
            "port": PORT,
            "resources": {"limits": {"cpu": limit}},
            "traffic": dict(traffic),
            "scaling": {"replicas": 1},
            "proxy": {"engine": "None"},
            "postgres": {},
        },
    }


def tuned_container(body: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The container that the operator makes of a service: the same core, without a cluster."""
    parsed, problems = parse_service(body)
    assert parsed is not None, problems
    plan = derive(parsed, settings, Facts())
    (deployment,) = [
        item
        for item in build(parsed, plan, settings, Facts())
        if item.part is Part.APP and item.key.kind == "Deployment"
    ]
    container: dict[str, Any] = deployment.body["spec"]["template"]["spec"]["containers"][0]
    return container


def tuned(container: Mapping[str, Any]) -> Variant:
    """The operator's own choice."""
    return Variant("tuned", tuple(container["command"]), _own_variables(container))


def grid(workload: Workload, container: Mapping[str, Any]) -> Iterator[Variant]:
    """The tuned pod with other numbers of workers, threads or connections; nine at most."""
    base = _own_variables(container)
    for workers, *values in itertools.product(workload.workers, *workload.grid.values()):
        chosen = dict(zip(workload.grid, map(str, values), strict=True))
        if "DATABASE_POOL_SIZE" in chosen:
            chosen["DATABASE_MAX_OVERFLOW"] = "0"
        name = ", ".join([f"W={workers}", *(f"{key}={value}" for key, value in chosen.items())])
        environment = {**base, **chosen, "WEB_CONCURRENCY": str(workers)}
        if workers > 1:
            environment["PROMETHEUS_MULTIPROC_DIR"] = "/tmp"
        yield Variant(name, tuple(container["command"]), environment)


def defaults() -> Variant:
    """Returns the server with its defaults."""
    return Variant("defaults", ("uvicorn", "main:app", *_BIND), {})


def article(cores: int) -> Variant:
    """Returns the well-known line on a node with this many cores; it ignores the pod's limit."""
    workers = str(2 * cores + 1)
    command = (
        *("gunicorn", "main:app", "--workers", workers, "--timeout", "120"),
        *("--worker-class", "uvicorn.workers.UvicornWorker", "--bind", f"0.0.0.0:{PORT}"),
        *("--worker-tmp-dir", "/tmp", "--no-control-socket"),
    )
    return Variant(f"article, {cores} cores", command, {})


def pod(name: str, variant: Variant, container: Mapping[str, Any], limit: str) -> dict[str, Any]:
    """A pod of one variant: the tuned container with another command and environment.

    Its memory is not limited, so that the memory of a variant is visible.
    """
    body = copy.deepcopy(dict(container))
    for field in ("lifecycle", "startupProbe", "livenessProbe", "readinessProbe"):
        body.pop(field, None)
    connections = [entry for entry in body["env"] if entry["name"] in CONNECTIONS]
    given = [{"name": key, "value": value} for key, value in variant.environment.items()]
    body |= {
        "command": list(variant.command),
        "env": [*connections, *given],
        "resources": {"limits": {"cpu": limit}, "requests": {"cpu": "10m"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"benchmark": "serving"}},
        "spec": {
            "containers": [body],
            "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory"}}],
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        },
    }


def _own_variables(container: Mapping[str, Any]) -> dict[str, str]:
    """Returns the operator's variables, except for connections and metrics of several workers."""
    return {
        entry["name"]: entry["value"]
        for entry in container["env"]
        if "value" in entry
        and entry["name"] not in CONNECTIONS
        and entry["name"] != "PROMETHEUS_MULTIPROC_DIR"
    }
