"""A canary of an operator whose settings forbid it to connect to pods."""

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.test_canary import CANARY, NEW, canary, fast, in_phase
from tests.api.world import World, eventually

__all__ = ("fast",)


def test_a_canary_that_may_not_be_measured_stays_at_its_step_and_shows_why(world: World) -> None:
    world.start(build=build_desired_state, settings={"read_metrics": False})
    world.apply(rollout={"canary": CANARY})
    world.until_ready()
    world.apply(image=NEW, rollout={"canary": CANARY})
    in_phase(world, "Progressing")

    def reported() -> bool:
        world.finish_rollouts()
        return "readMetrics: false" in str(canary(world))

    eventually(reported)
    assert canary(world)["step"] == 1
