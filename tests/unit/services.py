"""Services for tests: a body from a spec, and a strategy that draws specs of every shape."""

from typing import Any

from hypothesis import strategies as st

from fastapi_operator.api.parse import parse_service
from fastapi_operator.api.service import FastAPIService


def body(spec: dict[str, Any], name: str = "shop") -> dict[str, Any]:
    return {
        "apiVersion": "fastapi-operator.io/v1alpha1",
        "kind": "FastAPIService",
        "metadata": {"name": name, "namespace": "default", "generation": 1, "uid": "u-1"},
        "spec": spec,
    }


def service(**spec: Any) -> FastAPIService:
    """A service that must be valid; ``image`` is given."""
    parsed, problems = parse_service(body({"image": "registry.example.com/shop:1"} | spec))
    assert parsed is not None, problems
    return parsed


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


CPU = st.sampled_from(["100m", "250m", "500m", "0.9", "1", "1.5", "2", 3, "4", "16", "64"])
MEMORY = st.sampled_from(["128Mi", "256Mi", "0.5Gi", "512Mi", "1G", "1Gi", "2Gi", "8Gi", "64Gi"])
AMOUNTS = _optional(cpu=CPU, memory=MEMORY)
RESOURCES = _optional(requests=AMOUNTS, limits=AMOUNTS)
POOLER = st.one_of(
    st.just({"engine": "None"}),
    _optional(engine=st.just("PgBouncer"), instances=st.integers(1, 16)),
)
MILLISECONDS = st.integers(min_value=1, max_value=2000)
ENGINE = st.sampled_from(["Redis", "Valkey"])
SCALING = st.one_of(
    st.fixed_dictionaries({"replicas": st.integers(0, 1000)}),
    st.tuples(st.integers(1, 1000), st.integers(1, 1000)).map(
        lambda bounds: {"minReplicas": min(bounds), "maxReplicas": max(bounds)}
    ),
    _optional(targetCpuPercent=st.integers(10, 100)),
)
SERVER = st.one_of(
    st.fixed_dictionaries(
        {"workerPolicy": st.just("Fixed"), "workers": st.integers(1, 64)},
    ),
    _optional(
        workerPolicy=st.sampled_from(["Quota", "TwoNPlusOne"]),
        threads=st.integers(1, 1000),
        keepAliveSeconds=st.integers(1, 3600),
        gracefulSeconds=st.integers(1, 3600),
    ),
    _optional(
        engine=st.sampled_from(["Gunicorn", "Granian"]),
        keepAliveSeconds=st.integers(1, 60),
        gracefulSeconds=st.integers(1, 1800),
    ),
)
PROCESS = _optional(
    connectionsPerProcess=st.integers(0, 20),
    resources=RESOURCES,
    gracefulSeconds=st.integers(1, 86_400),
)
BACKGROUND = st.tuples(
    _optional(replicas=st.integers(0, 100), processes=st.integers(1, 16))
    | st.just({"singleton": True}),
    PROCESS,
).map(lambda parts: {"name": "worker", "command": ["work"], **parts[0], **parts[1]})
SCHEDULE = _optional(
    concurrency=st.sampled_from(["Forbid", "Allow", "Replace"]),
    connectionsPerProcess=st.integers(0, 20),
    resources=RESOURCES,
).map(lambda given: {"name": "report", "schedule": "@daily", "command": ["report"], **given})
SPECS = st.fixed_dictionaries(
    {"image": st.just("registry.example.com/shop:1")},
    optional={
        "server": SERVER,
        "resources": RESOURCES,
        "traffic": _optional(
            peakRequestsPerSecond=st.integers(1, 1_000_000),
            p95Milliseconds=MILLISECONDS,
            cpuMillisecondsPerRequest=MILLISECONDS,
            blockingMillisecondsPerRequest=MILLISECONDS,
            databaseMillisecondsPerRequest=MILLISECONDS,
        ),
        "scaling": SCALING,
        "redis": st.one_of(
            _optional(memory=MEMORY, engine=ENGINE, persistence=_optional(size=MEMORY)),
            st.fixed_dictionaries(
                {"mode": st.just("External"), "secretRef": st.just({"name": "cache"})},
                optional={"maxClients": st.integers(1, 1_000_000)},
            ),
        ),
        "queue": st.one_of(
            _optional(memory=MEMORY, engine=ENGINE, persistence=_optional(size=MEMORY)),
            st.just({"mode": "External", "secretRef": {"name": "broker"}}),
        ),
        "postgres": _optional(
            driver=st.sampled_from(["Async", "Blocking"]),
            resources=RESOURCES,
            deletionPolicy=st.sampled_from(["Retain", "Delete"]),
            pooler=POOLER,
            migrations=st.just({}),
        )
        | st.fixed_dictionaries(
            {
                "mode": st.just("External"),
                "secretRef": st.just({"name": "shop-database"}),
                "maxConnections": st.integers(1, 1000),
            },
            optional={"pooler": POOLER},
        ),
        "rollout": _optional(
            canary=_optional(
                steps=st.lists(st.integers(1, 100), min_size=1, max_size=4, unique=True).map(sorted)
            )
        ),
        "background": BACKGROUND.map(lambda entry: [entry]),
        "schedules": SCHEDULE.map(lambda entry: [entry]),
        "proxy": st.one_of(
            st.just({"engine": "None"}),
            _optional(
                engine=st.just("Nginx"),
                replicas=st.integers(1, 100),
                maxBodySize=MEMORY,
                timeouts=_optional(readSeconds=st.integers(1, 3600)),
            ),
        ),
    },
)

# Every part that makes decisions, and each that it makes only where it is asked to.
EVERYTHING = service(
    server={"engine": "Granian", "priorities": ["/checkout"]},
    redis={"persistence": {}},
    queue={},
    postgres={"backup": {}, "migrations": {}},
    proxy={
        "cache": {"routes": [{"path": "/items", "seconds": 10}]},
        "rateLimit": {"requestsPerSecond": 50},
        "static": [{"path": "/static", "directory": "/app/static"}],
        "streamingPaths": ["/events"],
        "trustedNetworks": ["10.0.0.0/8"],
    },
    rollout={"canary": {}, "preflight": "Enabled"},
    tuning={"leakGuard": "Automatic"},
    background=[{"name": "worker", "command": ["work"]}],
    schedules=[{"name": "report", "schedule": "@daily", "command": ["report"]}],
    observability={
        "metrics": {"exporters": True},
        "slo": {"latencyMilliseconds": 300},
        "traces": {"endpoint": "http://collector:4318"},
    },
)
