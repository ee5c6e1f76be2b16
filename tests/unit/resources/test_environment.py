"""The environment contract: who is told what."""

import re

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.resources.environment import CONTRACT, Process, environment
from fastapi_operator.resources.inputs import Inputs
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


def test_service_without_stores_is_told_of_none() -> None:
    assert not [name for name in variables() if name.startswith(("DATABASE", "REDIS"))]


def test_pool_and_cache_are_told_as_planned() -> None:
    told = variables(redis={}, postgres={})
    assert told["DATABASE_POOL_SIZE"] == "5"
    assert told["REDIS_TIMEOUT_SECONDS"] == "0.25"
    assert told["DATABASE_URL"] == "postgresql://app:$(DATABASE_PASSWORD)@shop-pooler:5432/app"


def test_migration_connects_past_the_pooler_and_learns_no_pool() -> None:
    told = variables(Process.MIGRATION, redis={}, postgres={"migrations": {}})
    url = "postgresql://migrator:$(DATABASE_PASSWORD)@shop-postgres:5432/app"
    assert told["DATABASE_URL"] == url
    assert set(told) == {"DATABASE_PASSWORD", "DATABASE_URL", "LOG_LEVEL", "OTEL_SERVICE_NAME"}


def test_user_wins_once() -> None:
    given = [{"name": "LOG_LEVEL", "value": "debug"}, {"name": "LOG_LEVEL", "value": "error"}]
    assert variables(env=given)["LOG_LEVEL"] == "error"


def test_multiprocess_metrics_only_where_there_are_several_workers() -> None:
    several = variables(server={"workerPolicy": "Fixed", "workers": 2})
    assert several["PROMETHEUS_MULTIPROC_DIR"] == "/run/metrics"
    assert "PROMETHEUS_MULTIPROC_DIR" not in variables()


def test_metrics_port_avoids_the_app() -> None:
    assert variables()["METRICS_PORT"] == "9000"
    assert variables(port=9000)["METRICS_PORT"] == "9001"
    disabled = {"metrics": {"enabled": False}}
    assert "METRICS_PORT" not in variables(observability=disabled)


@pytest.mark.parametrize("variable", CONTRACT, ids=lambda variable: variable.name)
def test_every_variable_says_what_it_means(variable: object) -> None:
    assert re.fullmatch(r"[A-Z][A-Z0-9_]+", variable.name)  # type: ignore[attr-defined]
    assert variable.meaning and variable.processes  # type: ignore[attr-defined]
