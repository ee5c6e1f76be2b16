"""Services that wait for an API: a bound of their own for each generation."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi_operator.reconcile.loop.api_waits import WAIT_SECONDS, ApiWaits
from fastapi_operator.reconcile.observe.identity import ServiceKey

KEY = ServiceKey("team-a", "shop")


class Discovery:
    """The clock, and the number of discoveries that were requested."""

    def __init__(self) -> None:
        self.now, self.requested = 1000.0, 0
        self.waits = ApiWaits(clock=lambda: self.now, discover=self.request)

    def request(self) -> None:
        self.requested += 1

    def left(
        self,
        generation: int = 1,
        *,
        needs_api: bool = True,
        before: Mapping[str, Any] = MappingProxyType({}),
    ) -> float:
        return self.waits.seconds_left(KEY, generation, before, needs_api=needs_api)


def stalled(generation: int) -> dict[str, Any]:
    condition = {"type": "Stalled", "status": "True", "observedGeneration": generation}
    return {"conditions": [condition]}


def test_a_service_waits_until_the_bound_and_requests_discoveries() -> None:
    discovery = Discovery()
    assert discovery.left() == WAIT_SECONDS
    discovery.now += WAIT_SECONDS - 1
    assert (discovery.left(), discovery.requested) == (1, 2)
    discovery.now += 1
    assert (discovery.left(), discovery.requested) == (0, 2)


def test_a_new_generation_waits_again() -> None:
    discovery = Discovery()
    discovery.left(1)
    discovery.now += WAIT_SECONDS
    assert (discovery.left(1), discovery.left(2)) == (0, WAIT_SECONDS)


def test_a_service_without_a_missing_api_does_not_wait() -> None:
    discovery = Discovery()
    discovery.left()
    assert discovery.left(needs_api=False) == 0
    discovery.now += WAIT_SECONDS
    # The API was served in between.
    assert discovery.left() == WAIT_SECONDS


def test_a_restart_of_the_operator_does_not_end_a_stall() -> None:
    assert Discovery().left(2, before=stalled(2)) == 0
    assert Discovery().left(3, before=stalled(2)) == WAIT_SECONDS
