"""A few faults with a short window; ``make diagnose-faults`` runs all with a longer one."""

import random
from collections.abc import Callable, Iterator

import pytest
from fastapi_operator_runtime import testing

from fastapi_operator.observability import timeline
from fastapi_operator.observability.current import current
from fastapi_operator.views.diagnosis_page import diagnosis_page
from tests.diagnosis import stage
from tests.diagnosis.faults import FAULTS
from tests.diagnosis.judge import Verdict, judge
from tests.unit.views.document import check

SHORT = ("pooler-too-small", "healthy")
SECONDS = 6


@pytest.fixture(scope="module")
def database() -> Iterator[testing.PostgresServer]:
    with stage.database() as server:
        yield server


@pytest.fixture(scope="module")
def judged(database: testing.PostgresServer) -> Callable[[str], Verdict]:
    """Returns the verdict on a fault, which is injected once."""
    verdicts: dict[str, Verdict] = {}

    def verdict(name: str) -> Verdict:
        if name not in verdicts:
            fault = FAULTS[name](random.Random(name))
            verdicts[name] = judge(fault, database, seconds=SECONDS)
        return verdicts[name]

    return verdict


@pytest.mark.parametrize("name", SHORT)
def test_a_fault_is_the_first_diagnosis_and_its_alert_fires(
    name: str, judged: Callable[[str], Verdict]
) -> None:
    verdict = judged(name)
    assert verdict.is_first, (verdict.fault.drawn, verdict.found, verdict.signals)
    assert verdict.alerts_match, verdict.alerts
    assert verdict.runbook_matches, verdict.runbook_output


def test_the_live_view_shows_who_waits_for_the_pooler(judged: Callable[[str], Verdict]) -> None:
    verdict = judged("pooler-too-small")
    load = current(verdict.windows, servers=5, database=28)
    assert load.traffic is not None
    assert load.traffic.pods == 2
    assert load.traffic.requests == pytest.approx(
        verdict.signals.requests / verdict.signals.seconds, rel=0.2
    )
    assert (load.traffic.p95_seconds or 0) > 0
    assert load.traffic.limit is not None and load.traffic.in_flight > 0
    uses = {use.name: use for use in load.connections}
    assert set(uses) == {"app pools", "PgBouncer", "PostgreSQL"}
    assert uses["PgBouncer"].waiting > 0
    assert uses["app pools"].used > uses["PgBouncer"].used > 0
    assert uses["PostgreSQL"].used >= uses["PgBouncer"].used


def test_the_page_of_doctor_draws_every_part_that_exposes_metrics(
    judged: Callable[[str], Verdict],
) -> None:
    verdict = judged("pooler-too-small")
    lines = timeline.charts(verdict.windows, verdict.plan)
    assert {"requests", "latency", "in-flight", "shed", "pool", "pooler", "database", "cache"} <= {
        chart.key for chart in lines
    }
    (requests,) = (chart for chart in lines if chart.key == "requests")
    rates = [rate or 0.0 for rate in requests.courses[0].values]
    counted = sum(rates) / len(rates) * verdict.signals.seconds
    assert counted == pytest.approx(verdict.signals.requests, rel=0.2)
    page = diagnosis_page(
        "shop", verdict.found, verdict.signals, lines, pods=5, settings="built-in"
    )
    assert verdict.first in check(page).text
