"""The contract is the same for the operator that sets variables, the page, and this package."""

import re
from pathlib import Path

import pytest
import yaml

from fastapi_operator_runtime import settings, testing

ROOT = Path(__file__).resolve().parents[2]
# Set by Kubernetes itself.
ON_DEMAND = {"HOSTNAME"}


def documented() -> set[str]:
    page = (ROOT / "docs/reference/environment.md").read_text()
    return set(re.findall(r"^\| `([A-Z_]+)` \|", page, flags=re.MULTILINE))


def test_every_variable_of_the_settings_is_set_by_the_operator() -> None:
    read = {name.upper() for name in settings.RuntimeSettings.model_fields}

    assert read - documented() == ON_DEMAND


@pytest.mark.parametrize("case", ["redis-postgres", "full"])
def test_every_value_that_the_operator_sets_is_valid(case: str) -> None:
    documents = yaml.safe_load_all((ROOT / f"tests/golden/{case}/expected.yaml").read_text())
    (deployment,) = (
        document
        for document in documents
        if document["kind"] == "Deployment" and document["metadata"]["name"] == "shop"
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    given: dict[str, str] = {}
    for entry in container["env"]:
        value = entry.get("value", "secret")
        given[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda match: given[match[1]], value)

    loaded = settings.RuntimeSettings.load(given)

    assert loaded.database_url is not None
    user, password = given["DATABASE_USERNAME"], given["DATABASE_PASSWORD"]
    wanted = f"postgresql://{user}:{password}@"
    assert loaded.database_url.get_secret_value().startswith(wanted)
    assert loaded.database_pool_size == int(given["DATABASE_POOL_SIZE"])
    assert loaded.thread_tokens == int(given["THREAD_TOKENS"])
    assert loaded.max_in_flight == int(given["MAX_IN_FLIGHT"])
    if case == "full":  # the other case shows fewer variables
        assert loaded.max_in_flight_min == int(given["MAX_IN_FLIGHT_MIN"])
        assert loaded.trust_request_start
    assert loaded.metrics_port == int(given["METRICS_PORT"])
    assert loaded.redis_url is not None


def test_the_pooler_of_the_tests_is_configured_as_the_operators(
    pooler: testing.PgBouncerServer,
) -> None:
    theirs = (ROOT / "tests/golden/full/pgbouncer.ini").read_text()
    ours = (pooler.directory / "pgbouncer.ini").read_text()
    for name in ("pool_mode", "max_prepared_statements", "auth_type", "ignore_startup_parameters"):
        wanted = re.findall(rf"^{name} = .*$", theirs, flags=re.MULTILINE)
        assert wanted == re.findall(rf"^{name} = .*$", ours, flags=re.MULTILINE)
        assert len(wanted) == 1
