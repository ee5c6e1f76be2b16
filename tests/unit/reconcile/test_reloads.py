"""How long a changed configuration counts as not yet read."""

import dataclasses
import datetime

import pytest

from fastapi_operator.reconcile.observe.observed import Replicas
from fastapi_operator.reconcile.plan.reloads import address_seconds_left, seconds_left
from fastapi_operator.tuning.figures import ADDRESS_SECONDS, RELOAD_SECONDS
from tests.golden.cases import load
from tests.unit.reconcile.worlds import child

MINIMAL = load("minimal")
DESIRED = MINIMAL.objects
(CONFIGURATION,) = [item for item in DESIRED if item.key.kind == "ConfigMap"]
(APP,) = [item for item in DESIRED if (item.key.kind, item.key.name) == ("Deployment", "shop")]
DAY = "2026-11-22T"


def seconds(time: str) -> float:
    return datetime.datetime.fromisoformat(f"{DAY}{time}Z").timestamp()


@pytest.mark.parametrize(
    ("changed", "clocks", "left"),
    [
        ("10:00:00", "10:00:05", None),
        ("10:00:01", "10:00:05", None),
        ("10:05:00", "10:05:05", RELOAD_SECONDS - 5),
        ("10:05:00", "10:07:00", None),
        ("11:00:00", "10:00:00", None),
        # One of the clocks was set forward, or back, or only corrected.
        ("10:05:00", "10:05:05 12:00:00", RELOAD_SECONDS - 5),
        ("10:05:00", "12:00:00 10:05:05", RELOAD_SECONDS - 5),
        ("10:05:00", "10:05:05 08:00:00", RELOAD_SECONDS - 5),
        ("10:05:00", "10:05:05 10:05:30", RELOAD_SECONDS - 5),
        ("10:05:00", "10:07:00 12:00:00", None),
    ],
)
def test_a_change_counts_until_every_pod_has_read_it(
    changed: str, clocks: str, left: int | None
) -> None:
    live = dataclasses.replace(
        child(CONFIGURATION), created=f"{DAY}10:00:00Z", changed=f"{DAY}{changed}Z"
    )
    found = seconds_left(DESIRED, {CONFIGURATION.key: live}, [*map(seconds, clocks.split())])
    assert found == ({} if left is None else {CONFIGURATION.key: left})


def test_a_missing_configuration_is_not_awaited() -> None:
    assert seconds_left(DESIRED, {}, [seconds("10:00:00")]) == {}


@pytest.mark.parametrize(
    ("since", "clocks", "left"),
    [
        ("10:00:00", "10:00:02", ADDRESS_SECONDS - 2),
        ("10:00:00", "10:00:02 12:00:00", ADDRESS_SECONDS - 2),
        ("10:00:00", "10:01:00", 0),
        ("", "10:00:02", 0),
    ],
)
def test_the_proxy_knows_the_first_pods_some_seconds_after_they_are_available(
    since: str, clocks: str, left: int
) -> None:
    pods = Replicas(2, ours=True, live=2, updated=2, available=2)
    pods = pods._replace(available_since=since and f"{DAY}{since}Z")
    live, times = {APP.key: child(APP, replicas=pods)}, [*map(seconds, clocks.split())]
    assert address_seconds_left(MINIMAL.plan, DESIRED, live, times) == left
    through_service = dataclasses.replace(MINIMAL.plan, proxy=None)
    assert address_seconds_left(through_service, DESIRED, live, times) == 0
