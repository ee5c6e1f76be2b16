"""The environment contract: the variables of each process."""

import re

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.resources.environment import CONTRACT, environment
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.variable import Process
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.services import service


def variables(process: Process = Process.APP, **spec: object) -> dict[str, object]:
    given = service(**spec)
    inputs = Inputs(given, derive(given, Settings(), Facts()), Settings(), Facts())
    return {
        entry["name"]: entry.get("value", entry.get("valueFrom"))
        for entry in environment(inputs, process)
    }


def test_a_service_without_stores_has_no_variables_for_them() -> None:
    assert not [name for name in variables() if name.startswith(("DATABASE", "REDIS"))]


def test_pool_and_cache_variables_have_the_planned_values() -> None:
    found = variables(redis={}, postgres={})
    assert found["DATABASE_POOL_SIZE"] == "10"
    assert found["REDIS_TIMEOUT_SECONDS"] == "0.25"
    assert (
        found["DATABASE_URL"]
        == "postgresql://$(DATABASE_USERNAME):$(DATABASE_PASSWORD)@shop-pooler:5432/app"
    )


def test_a_migration_connects_without_the_pooler_and_has_no_server_variables() -> None:
    found = variables(Process.MIGRATION, redis={}, postgres={"migrations": {}})
    url = "postgresql://migrator:$(DATABASE_PASSWORD)@shop-postgres:5432/app"
    assert found["DATABASE_URL"] == url
    stores = ("DATABASE_", "REDIS_")
    assert {name for name in found if not name.startswith(stores)} == {
        "HOME",
        "LOG_LEVEL",
        "MALLOC_ARENA_MAX",
        "OTEL_SERVICE_NAME",
        "USER",
    }


def process(**entry: object) -> dict[str, object]:
    """The variables of a background process beside an app with both stores."""
    own = entry.pop("env", ())
    worker = {"name": "worker", "command": ["work"], **entry}
    env = [{"name": "QUEUES", "value": "none"}]
    given = service(redis={}, postgres={}, env=env, background=[worker])
    plan = derive(given, Settings(), Facts())
    inputs = Inputs(given, plan, Settings(), Facts(), process=plan.background[0])
    return {
        item["name"]: item.get("value", item.get("valueFrom"))
        for item in environment(inputs, Process.BACKGROUND, own)  # type: ignore[arg-type]
    }


def test_a_background_process_has_its_own_pool_size_and_no_server_variables() -> None:
    found = process(connectionsPerProcess=3)
    assert (
        found["DATABASE_URL"]
        == "postgresql://$(DATABASE_USERNAME):$(DATABASE_PASSWORD)@shop-pooler:5432/app"
    )
    assert (found["DATABASE_POOL_SIZE"], found["DATABASE_MAX_OVERFLOW"]) == (
        "3",
        "0",
    )
    assert "REDIS_URL" in found
    served = {"WEB_CONCURRENCY", "METRICS_PORT", "MAX_IN_FLIGHT", "FORWARDED_ALLOW_IPS"}
    assert not [name for name in found if name in served or name.startswith("UVICORN")]


def test_a_process_without_a_database_gets_no_credentials() -> None:
    assert not [name for name in process(connectionsPerProcess=0) if name.startswith("DATABASE")]


def test_variables_of_a_process_take_precedence_over_those_of_the_service() -> None:
    assert process()["QUEUES"] == "none"
    assert process(env=[{"name": "QUEUES", "value": "mail"}])["QUEUES"] == "mail"


def test_a_variable_of_the_user_takes_precedence_once() -> None:
    given = [{"name": "LOG_LEVEL", "value": "error"}]
    assert variables(env=given)["LOG_LEVEL"] == "error"


def test_a_variable_of_the_user_follows_those_to_which_it_refers() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "LOG_LEVEL", "value": "$(A)$(DATABASE_URL)"}]
    names = list(variables(env=env, postgres={}))
    assert names[-2:] == ["A", "LOG_LEVEL"]


def test_a_replaced_part_of_a_url_comes_before_the_url() -> None:
    names = list(variables(env=[{"name": "DATABASE_PASSWORD", "value": "x"}], postgres={}))
    assert names.index("DATABASE_PASSWORD") < names.index("DATABASE_URL")


def test_multiprocess_metrics_only_with_several_workers() -> None:
    several = variables(server={"workerPolicy": "Fixed", "workers": 2})
    assert several["PROMETHEUS_MULTIPROC_DIR"] == "/run/metrics"
    assert "PROMETHEUS_MULTIPROC_DIR" not in variables()


def test_metrics_port_avoids_the_app() -> None:
    assert variables()["METRICS_PORT"] == "9000"
    assert variables(port=9000)["METRICS_PORT"] == "9001"
    disabled = {"metrics": {"enabled": False}}
    assert "METRICS_PORT" not in variables(observability=disabled)


COLLECTOR = "http://collector.observability:4318"


def test_no_trace_variables_without_a_collector_and_no_error_variables_without_a_dsn() -> None:
    found = variables()
    assert [name for name in found if name.startswith(("OTEL", "SENTRY", "FASTAPI"))] == [
        "OTEL_SERVICE_NAME"
    ]
    named = {"traces": {"headersSecretRef": {"name": "keys"}}, "errors": {"environment": "x"}}
    assert variables(observability=named).keys() == found.keys()


def test_trace_variables_have_origin_and_sampling_and_no_instance_id() -> None:
    traces = {
        "endpoint": COLLECTOR,
        "samplePercent": "0.5",
        "headersSecretRef": {"name": "keys", "key": "otlp"},
    }
    several = {"workerPolicy": "Fixed", "workers": 4}
    found = variables(observability={"traces": traces}, server=several)
    assert found["OTEL_EXPORTER_OTLP_ENDPOINT"] == COLLECTOR
    assert found["OTEL_EXPORTER_OTLP_HEADERS"] == {"secretKeyRef": {"name": "keys", "key": "otlp"}}
    assert found["OTEL_TRACES_SAMPLER_ARG"] == "0.005"
    assert found["FASTAPI_OTEL_AUTO_CONFIGURE"] == "true"
    attributes = dict(item.split("=") for item in str(found["OTEL_RESOURCE_ATTRIBUTES"]).split(","))
    assert attributes["service.namespace"] == attributes["deployment.environment.name"] == "default"
    assert attributes["service.version"] == "1"
    assert "service.instance.id" not in attributes


def test_the_endpoint_of_the_service_takes_precedence_over_that_of_the_profile() -> None:
    profile = {"defaults": {"observability": {"traces": {"endpoint": COLLECTOR}}}}
    settings = Settings.from_mapping({"profiles": {"team": profile}})

    def endpoint(**spec: object) -> object:
        given = service(profile="team", **spec)
        inputs = Inputs.of(given, derive(given, settings, Facts()), settings, Facts())
        found = {entry["name"]: entry for entry in environment(inputs, Process.APP)}
        return found["OTEL_EXPORTER_OTLP_ENDPOINT"]["value"]

    assert endpoint() == COLLECTOR
    own = "http://other:4318"
    assert endpoint(observability={"traces": {"endpoint": own}}) == own


@pytest.mark.parametrize(
    ("image", "release"),
    [
        ("registry.example.com:5000/shop:1.4.2", "shop@1.4.2"),
        ("registry.example.com:5000/shop", "shop@latest"),
        (f"shop@sha256:{'0' * 64}", f"shop@sha256:{'0' * 64}"),
        (f"shop:2@sha256:{'0' * 64}", "shop@2"),
    ],
)
def test_errors_have_environment_and_version(image: str, release: str) -> None:
    errors = {"sentrySecretRef": {"name": "keys"}, "environment": "production"}
    for process in (Process.APP, Process.MIGRATION):
        found = variables(process, image=image, observability={"errors": errors})
        assert found["SENTRY_DSN"] == {"secretKeyRef": {"name": "keys", "key": "dsn"}}
        assert (found["SENTRY_ENVIRONMENT"], found["SENTRY_RELEASE"]) == (
            "production",
            release,
        )


def test_the_app_gets_log_level_and_profiling() -> None:
    found = variables(observability={"logs": {"level": "error"}})
    assert (found["LOG_LEVEL"], found["DIAGNOSTICS_PORT"]) == ("error", "9002")
    for part in ("profiling", "metrics"):
        assert "DIAGNOSTICS_PORT" not in variables(observability={part: {"enabled": False}})


def test_probes_metrics_and_diagnostics_have_ports_of_their_own() -> None:
    runtime = {"probes": {"source": "Runtime"}}
    names = ("METRICS_PORT", "PROBE_PORT", "DIAGNOSTICS_PORT")
    found = variables(server=runtime)
    assert [found[name] for name in names] == ["9000", "9001", "9002"]
    sidecar = {"name": "agent", "image": "agent:1", "ports": [{"containerPort": 9002}]}
    found = variables(port=9000, server=runtime, containers=[sidecar])
    assert [found[name] for name in names] == ["9001", "9003", "9004"]


def test_an_app_without_the_runtime_has_no_probe_port() -> None:
    assert "PROBE_PORT" not in variables()
    assert "PROBE_PORT" not in variables(server={"probes": {"readiness": "/ready"}})


@pytest.mark.parametrize("variable", CONTRACT, ids=lambda variable: variable.name)
def test_every_variable_has_a_meaning(variable: object) -> None:
    assert re.fullmatch(r"[A-Z][A-Z0-9_]+", variable.name)  # type: ignore[attr-defined]
    assert variable.meaning and variable.processes  # type: ignore[attr-defined]
