"""The status always fits: each text within its bound, the whole within 8 KiB."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_operator.api.status import (
    MAX_BYTES,
    BudgetStatus,
    Condition,
    MigrationStatus,
    Pending,
    Status,
    StatusProblem,
    TunedValue,
)
from fastapi_operator.parts import Part

SUMMARY = ("Ready", "Reconciling", "Stalled")


def status(text: str, *, decisions: int = 24, problems: int = 16, pending: int = 16) -> Status:
    """Returns a status with every part and the given text; generated names are ASCII."""
    name = "x" * len(text)
    budget = {"processes": 10**9, "demand": 10**9, "max_connections": 10**9, "reserved": 10**9}
    return Status(
        observed_generation=2**53,
        conditions=tuple(
            Condition(
                type=kind,
                status="Unknown",
                reason=text,
                message=text,
                observed_generation=2**53,
                last_transition_time="2026-11-22T00:00:00Z",
            )
            for kind in (*SUMMARY, *(part.condition for part in Part))
        ),
        tuning=tuple(
            TunedValue(name=text, value=text, reason=text, source="derived")
            for _ in range(decisions)
        ),
        connection_budget=BudgetStatus(pooler_clients=10**9, pooler_servers=10**9, **budget),
        problems=tuple(
            StatusProblem(severity="error", path=text, message=text) for _ in range(problems)
        ),
        pending=tuple(Pending(name=text, reason=text) for _ in range(pending)),
        url=name,
        replicas=1000,
        selector=name,
        image_digest=name,
        migration=MigrationStatus(key=name, state="Failed"),
    )


def size(body: dict[str, Any]) -> int:
    return len(json.dumps(body).encode())


@pytest.mark.parametrize("text", ["x" * 5000, "é" * 5000, '"' * 5000, "\n" * 5000, "😀" * 5000])
def test_a_status_of_the_longest_texts_has_at_most_8_kib(text: str) -> None:
    body = status(text, decisions=40, problems=40, pending=40).to_body()

    assert len(json.dumps(body, ensure_ascii=False).encode()) <= MAX_BYTES
    assert [item["type"] for item in body["conditions"][:3]] == list(SUMMARY)
    assert all(item["message"] for item in body["conditions"])


@given(st.integers(0, 900))
def test_a_status_that_fits_is_not_shortened(length: int) -> None:
    whole = status("x" * length, decisions=1, problems=1, pending=0)
    body = whole.to_body()

    if body["conditions"][0]["message"] != "x" * length:
        untouched = whole.model_dump(by_alias=True, exclude_none=True, mode="json")
        assert size(untouched) > MAX_BYTES


def test_a_shortened_text_ends_in_an_ellipsis() -> None:
    problem = StatusProblem(severity="error", path="spec", message="word " * 500)

    assert len(problem.message) == 512
    assert problem.message.endswith("…")


def test_decisions_are_removed_before_problems() -> None:
    body = status("x" * 200, decisions=24, problems=3, pending=0).to_body()

    assert len(body["problems"]) == 3


def test_decisions_are_removed_before_any_message_is_cut() -> None:
    body = status("x" * 300, decisions=24, problems=1, pending=0).to_body()

    assert "tuning" not in body
    assert body["conditions"][0]["message"] == "x" * 300


def test_the_summary_keeps_its_cause_longest() -> None:
    cause = "OSError: [Errno 30] Read-only file system: '/code/src/app/logs'; after: "
    body = status(cause + "x" * 900, decisions=24, problems=2, pending=2).to_body()

    for condition in body["conditions"][:3]:
        assert condition["message"].startswith(cause)
        assert len(condition["message"]) >= 600
    for condition in body["conditions"][3:]:
        assert condition["message"].endswith("…")
