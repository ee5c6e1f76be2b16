"""A few faults with a short window; ``make diagnose-faults`` runs all with a longer one."""

import random
from collections.abc import Iterator

import pytest
from fastapi_operator_runtime import testing

from tests.diagnosis import stage
from tests.diagnosis.faults import FAULTS
from tests.diagnosis.judge import judge

SHORT = ("pooler-too-small", "healthy")
SECONDS = 6


@pytest.fixture(scope="module")
def database() -> Iterator[testing.PostgresServer]:
    with stage.database() as server:
        yield server


@pytest.mark.parametrize("name", SHORT)
def test_a_fault_is_the_first_diagnosis_and_its_alert_fires(
    name: str, database: testing.PostgresServer
) -> None:
    fault = FAULTS[name](random.Random(name))
    verdict = judge(fault, database, seconds=SECONDS)
    assert verdict.is_first, (fault.drawn, verdict.found, verdict.signals)
    assert verdict.alerts_match, verdict.alerts
    assert verdict.runbook_matches, verdict.runbook_output
