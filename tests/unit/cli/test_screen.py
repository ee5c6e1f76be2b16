"""The live view of ``status --watch``: its text for a state and for readings."""

import datetime
import io
from typing import Any

import pytest
from rich.console import Console

from fastapi_operator.cli.screen import Seen, render, sparkline
from fastapi_operator.cli.state import rollouts
from fastapi_operator.cluster import kinds
from fastapi_operator.observability.current import Current, Traffic, Use, current
from fastapi_operator.parts import Part
from tests.unit.cli.test_status import CAUSE, RECORD
from tests.unit.views import recorded

AT = datetime.datetime(2026, 1, 1, 12, 30, tzinfo=datetime.UTC)
DEPLOYMENT = next(kind for kind in kinds.OWNED if kind.kind == "Deployment")

OLD = "1 of 3 pods updated, 3 ready, 3 old"


def seen(**changed: Any) -> Seen:
    values: dict[str, Any] = {
        "record": {**RECORD, "url": "https://shop.example.com"},
        "rollouts": (),
        "current": None,
        "note": "",
        "history": (),
        "at": AT,
        "interval": 2,
    }
    return Seen(**(values | changed))


def shown(item: Seen, width: int = 120) -> str:
    text = io.StringIO()
    Console(file=text, width=width, color_system=None).print(render(item, width))
    return text.getvalue()


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_load_is_that_of_the_last_readings() -> None:
    found = current(recorded.windows_of_parts(), servers=10, database=28)
    assert found.traffic is not None
    # Two pods; the last page has 40 + 4 * 30 requests and 15 of them shed, each second.
    assert found.traffic.pods == 2
    assert found.traffic.requests == pytest.approx(212, abs=1)
    assert found.traffic.failed == found.traffic.shed == pytest.approx(8)
    assert found.traffic.limit == 2 * (64 - 18)
    assert found.connections == (
        Use("app pools", 20, 20),
        Use("PgBouncer", 5, 10, 10),
        Use("PostgreSQL", 18, 28),
    )


def test_parts_without_metrics_have_no_load() -> None:
    windows = recorded.windows_of_parts()
    found = current({Part.CACHE: windows[Part.CACHE]}, servers=None, database=None)
    assert found == Current(None, ())


def test_the_view_shows_traffic_and_connections_beside_their_bounds() -> None:
    found = current(recorded.windows_of_parts(), servers=10, database=28)
    text = lines(shown(seen(current=found, history=(100, 212)), width=80))
    assert "requests/s 212.0 ▄█" in text
    assert "errors/s 8.0 3.8 % of the requests" in text
    assert "in flight 128 ████████████████ limit 92" in text
    assert "shed/s 8.0" in text
    assert "PgBouncer 5 ████████░░░░░░░░ of 10, 10 waiting" in text
    assert "PostgreSQL 18 ██████████░░░░░░ of 28" in text


def test_without_a_limit_or_a_request_nothing_is_invented() -> None:
    idle = Current(Traffic(1, 0.0, 0.0, None, 0.0, None, 0.0), (Use("PostgreSQL", 3, None),))
    text = lines(shown(seen(current=idle), width=80))
    assert "p95 –" in text
    assert "in flight 0 no limit" in text
    assert "PostgreSQL 3" in text


def test_unread_pods_have_their_reason() -> None:
    assert "reading the pods" in shown(seen())
    refused = shown(seen(note="port 9464: pods/portforward is forbidden"))
    assert "port 9464: pods/portforward is forbidden" in refused


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_cause_is_cut_and_no_line_is_too_long(width: int) -> None:
    text = shown(seen(rollouts=("shop: 1 of 3 pods updated, 2 ready, 2 old",)), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text.replace("reading the pods …", "")
    words = set(" ".join(text.split()).split())
    assert set(CAUSE.split()) <= words
    for part in RECORD["parts"]:
        assert part["part"] in text
    assert "5a21e0,9c33b7" in text
    assert "https://shop.example.com" in text
    assert "(stalled)" in text


def test_a_canary_shows_its_share_its_verdict_and_what_follows() -> None:
    canary = {
        "image": "registry.example.com/shop:2", "phase": "Progressing", "step": 2, "steps": 3,
        "percent": 25, "verdict": "0.1 % errors beside 0.1 %", "next": "50 % in 80 s",
    }  # fmt: skip
    text = lines(shown(seen(record={**RECORD, "url": None, "canary": canary}), width=80))
    assert "canary progressing: 25 % of the requests, step 2 of 3" in text
    assert {"registry.example.com/shop:2", "0.1 % errors beside 0.1 %", "50 % in 80 s"} <= set(text)
    without = shown(seen(record={**RECORD, "url": None, "canary": None}), width=80)
    assert "Rollout" not in lines(without)


def test_wide_terminals_have_two_columns() -> None:
    assert "Traffic Parts" in lines(shown(seen(), width=120))
    assert "Traffic" in lines(shown(seen(), width=90))


def test_a_sparkline_is_relative_to_its_largest_number() -> None:
    assert sparkline((0, 5, 10)) == "▁▅█"
    assert sparkline((0, 0)) == "▁▁"
    assert sparkline(()) == ""


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3}, None),
        ({"replicas": 4, "updatedReplicas": 1, "readyReplicas": 3}, OLD),
        ({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 2}, "3 of 3 pods updated, 2 ready"),
        ({}, "0 of 3 pods updated, 0 ready"),
    ],
)  # fmt: skip
def test_a_rollout_is_shown_while_pods_are_old_or_unready(
    status: dict[str, int], text: str | None
) -> None:
    body = {"metadata": {"name": "shop"}, "spec": {"replicas": 3}, "status": status}
    assert list(rollouts([(DEPLOYMENT, body)])) == ([f"shop: {text}"] if text else [])
