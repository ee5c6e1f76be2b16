"""When a repeated write counts as a loop."""

from fastapi_operator.reconcile.write.brakes import LOOP_WINDOW_SECONDS, LOOP_WRITES, Brakes
from fastapi_operator.resources.desired import ObjectKey

KEY = ObjectKey("apps", "Deployment", "default", "shop")


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def written(brakes: Brakes, *contents: str, uid: str = "1") -> None:
    for content in contents:
        assert not brakes.is_loop(KEY, uid, content)
        brakes.wrote(KEY, uid, content)


def test_the_same_content_may_be_repaired_some_times() -> None:
    brakes = Brakes(clock=Clock())
    written(brakes, "a", *["a"] * LOOP_WRITES)
    assert brakes.is_loop(KEY, "1", "a")


def test_other_content_is_always_written() -> None:
    brakes = Brakes(clock=Clock())
    written(brakes, *(str(number) for number in range(20)))
    written(brakes, *["a", "b"] * 20)


def test_a_new_object_is_written_although_its_predecessor_was_reverted() -> None:
    brakes = Brakes(clock=Clock())
    written(brakes, "a", *["a"] * LOOP_WRITES)
    assert not brakes.is_loop(KEY, "2", "a")


def test_old_writes_do_not_count() -> None:
    clock = Clock()
    brakes = Brakes(clock=clock)
    written(brakes, "a", *["a"] * LOOP_WRITES)
    clock.now += LOOP_WINDOW_SECONDS + 1
    assert not brakes.is_loop(KEY, "1", "a")
    brakes.sweep()
    written(brakes, *["a"] * LOOP_WRITES)
