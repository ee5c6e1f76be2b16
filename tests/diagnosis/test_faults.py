"""A few faults in short; all of them, for longer: ``make diagnose-faults``."""

import random
from collections.abc import Iterator

import pytest
from fastapi_operator_runtime import testing

from tests.diagnosis import stage
from tests.diagnosis.faults import FAULTS
from tests.diagnosis.judge import judge

SHORT = ("10", "healthy")
SECONDS = 6


@pytest.fixture(scope="module")
def database() -> Iterator[testing.PostgresServer]:
    with stage.database() as server:
        yield server


@pytest.mark.parametrize("row", SHORT)
def test_a_fault_is_named_first_and_its_alert_fires(
    row: str, database: testing.PostgresServer
) -> None:
    fault = FAULTS[row](random.Random(row))
    verdict = judge(fault, database, seconds=SECONDS)
    assert verdict.right, (fault.drawn, verdict.found, verdict.signals)
    assert verdict.rings, verdict.alerts
    assert verdict.shows, verdict.printed
