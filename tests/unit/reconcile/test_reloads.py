"""How long a changed configuration counts as not yet read."""

import dataclasses

import pytest

from fastapi_operator.reconcile.plan.reloads import seconds_left
from fastapi_operator.tuning.figures import RELOAD_SECONDS
from tests.golden.cases import load
from tests.unit.reconcile.worlds import child

DESIRED = load("minimal").objects
(CONFIGURATION,) = [item for item in DESIRED if item.key.kind == "ConfigMap"]


@pytest.mark.parametrize(
    ("changed", "now", "left"),
    [
        ("10:00:00", "10:00:05", None),
        ("10:00:01", "10:00:05", None),
        ("10:05:00", "10:05:05", RELOAD_SECONDS - 5),
        ("10:05:00", "10:07:00", None),
        ("11:00:00", "10:00:00", None),
    ],
)
def test_a_change_counts_until_every_pod_has_read_it(
    changed: str, now: str, left: int | None
) -> None:
    day = "2026-11-22T"
    live = dataclasses.replace(
        child(CONFIGURATION), created=f"{day}10:00:00Z", changed=f"{day}{changed}Z"
    )
    found = seconds_left(DESIRED, {CONFIGURATION.key: live}, f"{day}{now}Z")
    assert found == ({} if left is None else {CONFIGURATION.key: left})


def test_a_missing_configuration_is_not_awaited() -> None:
    assert seconds_left(DESIRED, {}, "2026-11-22T10:00:00Z") == {}
