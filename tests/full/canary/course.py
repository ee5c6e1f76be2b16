"""The course of a canary on a node, as people, clients and its owner see it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.demo import story
from tests.full.canary import rollouts
from tests.full.canary.rollouts import Seen, State
from tests.kubectl import KubectlError, condition, eventually
from tests.resilience import sampling
from tests.resilience.load import Load
from tests.resilience.scenarios import ENVIRONMENT, Bench, pods
from tests.resilience.traffic import Traffic

RATE = float(os.environ.get("RATE", "200"))
long = pytest.mark.skipif(
    not os.environ.get("RECORD"), reason="it takes minutes: run by make bench-canary"
)
COURSE: dict[str, Any] = {"steps": [5, 25, 50], "stepSeconds": 15, "minRequests": 50}
READY_SECONDS = 300
END_SECONDS = 900
_WARM_SECONDS = 5
# A generator that was later than this sent the missed requests all at once, not at its rate.
_LATE_SECONDS = 1.0
# Traffic after the end of a canary, in which none may reach it.
_AFTER_SECONDS = 5


def another(shop: Bench) -> dict[str, Any]:
    """Returns a patch with the same image under its other name."""
    (image,) = {*shop.images} - {shop.get()["spec"]["image"]}
    return {"image": image}


def worse(**variables: float) -> dict[str, Any]:
    """Returns a patch with variables of worse.py."""
    pairs = (
        {"name": f"WORSE_{name.upper()}", "value": f"{value}"} for name, value in variables.items()
    )
    return {"env": [*ENVIRONMENT, *pairs]}


def released(shop: Bench) -> bool:
    """Returns whether the newest spec is released and runs in all pods."""
    body = shop.get()
    reconciling = condition(body, "Reconciling")
    return (
        condition(body, "Ready").get("status") == "True"
        # Proxies that may still read the last configuration serve the released version alone.
        and (reconciling["status"] == "False" or reconciling["reason"] == "Reloading")
        and condition(body, "Stalled").get("status") != "True"
        and "canary" not in body["status"]
        and not pods(shop, "canary")
        and len(pods(shop, "app")) == 2
    )


def aborted(shop: Bench) -> bool:
    """Returns whether the canary was aborted and is gone, and the released version is ready."""
    body = shop.get()
    return (
        condition(body, "Stalled").get("reason") == "CanaryAborted"
        and body["status"]["canary"]["phase"] == "Aborted"
        and condition(body, "Ready").get("status") == "True"
        and not pods(shop, "canary")
    )


def canary(shop: Bench) -> dict[str, Any]:
    """Returns ``status.canary``."""
    found: dict[str, Any] = shop.get().get("status", {}).get("canary") or {}
    return found


def in_step(shop: Bench, step: int) -> bool:
    """Returns whether a canary has its share of a step."""
    return canary(shop).get("phase") == "Progressing" and canary(shop)["step"] >= step


def until_in_step(shop: Bench, step: int) -> None:
    """Waits until a canary has its share of a step."""
    eventually(lambda: in_step(shop, step), seconds=READY_SECONDS, what=f"step {step}", pause=1)


def command(shop: Bench, *arguments: str) -> None:
    """Runs a command as a person does."""
    main = "from fastapi_operator.cli.main import main; main()"
    subprocess.run(
        [sys.executable, "-c", main, *arguments, shop.name, "-n", shop.namespace],
        check=True,
        env=shop.kubectl.environment,
    )


def kill_operator(shop: Bench) -> None:
    """Kills all pods of the operator."""
    where = ("-n", story.OPERATOR_NAMESPACE)
    shop.kubectl("delete", "pods", "--all", "--force", "--grace-period=0", *where)


def evict(shop: Bench, pod: str) -> None:
    """Evicts a pod as a drain of its node does, which waits while a budget forbids it."""
    path = f"/api/v1/namespaces/{shop.namespace}/pods/{pod}/eviction"
    metadata = {"name": pod, "namespace": shop.namespace}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}

    def is_evicted() -> bool:
        try:
            shop.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))
        except KubectlError as error:
            if "NotFound" not in str(error):
                raise
        return True

    eventually(is_evicted, seconds=READY_SECONDS, what=f"{pod} evicted", pause=2)


def roll_out(
    shop: Bench,
    name: str,
    patch: dict[str, Any],
    end: Callable[[Bench], bool],
    *,
    meanwhile: Callable[[Bench], None] = lambda _: None,
    at_each_state: Callable[[Bench], None] = lambda _: None,
    requests: int = 0,
) -> Seen:
    """Applies a spec under load, and returns the clients' results until after its end.

    Args:
        shop: The service.
        name: The name for the figures.
        patch: The new fields of the spec.
        end: Whether the rollout has ended as it should.
        meanwhile: The acts of people in its course.
        at_each_state: The act each time when its phase or share is another one.
        requests: The least requests.
    """
    traffic = Traffic(shop)
    traffic.warm()
    with (
        sampling.database_connections(shop) as connections,
        Load(shop.address, traffic.requests(), rate=RATE) as load,
    ):
        course = follow(
            shop, load, patch, end, rate=RATE, meanwhile=meanwhile, at_each_state=at_each_state
        )
        load.wait_for(requests)
    twice, unaccounted = traffic.unaccounted(load.answers)
    budget = shop.get()["status"]["connectionBudget"]
    seen = course.seen(
        name,
        wrong=twice + unaccounted,
        connections=max(connections),
        budget=budget["poolerServers"],
    )
    rollouts.record(seen)
    return seen


@dataclass(frozen=True)
class Course:
    """A course that has ended.

    Attributes:
        load: The load; only after its end are all requests known.
        rate: Its requests per second.
        began: When the new spec was applied, on the monotonic clock.
        ended: When the rollout had ended.
        states: Its states.
    """

    load: Load
    rate: float
    began: float
    ended: float
    states: Sequence[State]

    def seen(
        self,
        name: str,
        *,
        wrong: int = 0,
        connections: int = 0,
        budget: int = 0,
        named: str = Seen.named,
    ) -> Seen:
        """Returns the clients' results, after the end of the load.

        Raises:
            AssertionError: The machine did not carry the load, so that the run shows nothing.
        """
        late = self.load.late_seconds
        assert late <= _LATE_SECONDS, (
            f"void: the generator was {late:.1f} s late, for want of a CPU"
        )
        # A request that is lost before these is caused by the machine.
        since = self.began - _WARM_SECONDS
        measured = [answer for answer in self.load.answers if answer.at >= since]
        return Seen(
            name=name,
            rate=self.rate,
            answers=sorted(measured, key=lambda answer: answer.at),
            began=self.began,
            ended=self.ended,
            wrong=wrong,
            late=late,
            states=self.states,
            connections=connections,
            budget=budget,
            named=named,
        )


def follow(
    shop: Bench,
    load: Load,
    patch: dict[str, Any],
    end: Callable[[Bench], bool],
    *,
    rate: float,
    meanwhile: Callable[[Bench], None] = lambda _: None,
    at_each_state: Callable[[Bench], None] = lambda _: None,
) -> Course:
    """Applies a spec when the load is carried, and waits for the end of its rollout.

    Args:
        shop: The service.
        load: The running load.
        patch: The new fields of the spec.
        end: Whether the rollout has ended as it should.
        rate: The load's requests per second.
        meanwhile: The acts of people in its course.
        at_each_state: The act each time when its phase or share is another one.
    """
    eventually(
        lambda: load.carried(_WARM_SECONDS), seconds=120, what=f"{rate:g} requests/s carried"
    )
    began, states = time.monotonic(), list[State]()

    def look() -> bool:
        found = State.of(canary(shop), time.monotonic())
        if not states or (found.phase, found.percent) != (states[-1].phase, states[-1].percent):
            states.append(found)
            at_each_state(shop)
        return end(shop)

    shop.patch(patch)
    meanwhile(shop)
    try:
        eventually(look, seconds=END_SECONDS, what="the end of the rollout", pause=1)
    finally:
        print("\n".join(state.line(began) for state in states))
    ended = time.monotonic()
    time.sleep(_AFTER_SECONDS)
    return Course(load, rate, began, ended, states)
