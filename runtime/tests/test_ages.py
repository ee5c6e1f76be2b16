from __future__ import annotations

import pytest

from fastapi_operator_runtime import ages


class Clock:
    """The time of the application's machine, and the share in which its loop is busy."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.busy = 1_700_000_000.0, 1.0
        monkeypatch.setattr(ages.time, "time", lambda: self.now)
        monkeypatch.setattr(ages.Busy, "share", lambda _: self.busy)

    def sent(self, ago: float, by: str = "proxy-1", ahead: float = 0.0) -> bytes:
        """The header of a proxy whose clock is ahead of this one."""
        return f"t={self.now - ago + ahead:.3f};by={by}".encode()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_an_age_is_relative_to_the_youngest_request_of_the_proxy(clock: Clock) -> None:
    found = ages.Ages()
    for ahead, by in ((0.0, "same"), (300.0, "ahead"), (-300.0, "behind")):
        assert found.age(clock.sent(0.002, by, ahead)) == pytest.approx(0.0, abs=0.002)
        assert found.age(clock.sent(0.7, by, ahead)) == pytest.approx(0.7, abs=0.01)


def test_a_busy_process_does_not_take_its_queue_for_a_clock(clock: Clock) -> None:
    found = ages.Ages()
    found.age(clock.sent(0.0))
    for _ in range(100):
        clock.now += 0.5
        assert found.age(clock.sent(1.5)) == pytest.approx(1.5, abs=0.01)


def test_a_clock_that_is_set_has_no_effect_for_long(clock: Clock) -> None:
    found = ages.Ages()
    clock.busy = 0.1
    found.age(clock.sent(0.0))
    clock.now += 0.1
    assert found.age(clock.sent(0.0, ahead=-3.0)) == pytest.approx(3.0, abs=0.01)
    for _ in range(3):
        clock.now += 1.0
        age = found.age(clock.sent(0.0, ahead=-3.0))
    assert age == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    "value", [b"", b"now", b"t=nan", b"t=-1", b"t=1700000000.123;by=a b", b"t=17000000000000"]
)
def test_other_values_are_ignored(clock: Clock, value: bytes) -> None:
    assert ages.Ages().age(value) is None


def test_caddy_sends_no_decimal_point(clock: Clock) -> None:
    found = ages.Ages()
    found.age(b"t=1700000000000;by=caddy")
    assert found.age(b"t=1699999999400;by=caddy") == pytest.approx(0.6, abs=0.01)


def test_many_names_take_bounded_memory(clock: Clock) -> None:
    found = ages.Ages()
    for number in range(3 * ages.PROXIES_MAX):
        found.age(clock.sent(0.0, f"proxy-{number}"))
    assert len(found._offsets) <= ages.PROXIES_MAX
