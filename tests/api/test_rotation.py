"""Credentials rotate under traffic: no pod ever holds a password that its servers do not know."""

import base64
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastapi_operator import naming
from fastapi_operator.reconcile.observe.observed import Phase, Rotation
from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.faulty import FaultyProxy, at_write
from tests.api.running import RunningOperator
from tests.api.test_commands import run
from tests.api.world import World, eventually

SPEC: dict[str, Any] = {"redis": {}, "postgres": {}}
SECRETS = ("shop-postgres", "shop-redis")
ROLES = ("app", "app_alternate")
# The operator dies at each write, or at every third.
EVERY = 1 if os.environ.get("FAULTS") == "full" else 3


def values(world: World, name: str) -> dict[str, str]:
    """The values of a Secret."""
    secret = world.get("secrets", name)
    assert secret is not None
    return {key: base64.b64decode(text).decode() for key, text in secret["data"].items()}


def rotation(world: World, name: str) -> Rotation | None:
    secret = world.get("secrets", name)
    assert secret is not None
    return Rotation.of(secret)


def hours_pass(world: World) -> None:
    """Sets the time of each phase back, as if it had begun long ago."""
    for name in SECRETS:
        found = rotation(world, name)
        if found is not None and found.phase is not Phase.SWITCHED and found.since:
            long_ago = {naming.ROTATION_ANNOTATION: found._replace(since=0).text}
            body = {"metadata": {"annotations": long_ago}}
            world.kube.patch(world.path("secrets", name), body)


def ask(world: World, request: str) -> None:
    """Does the same as the command."""
    body = {"metadata": {"annotations": {naming.ROTATE_ANNOTATION: request}}}
    world.kube.patch(world.path("fastapiservices", "shop"), body)


def is_done(world: World, request: str) -> bool:
    found = [rotation(world, name) for name in SECRETS]
    return all(item and (item.request, item.phase) == (request, Phase.CLOSED) for item in found)


class Pods:
    """The hashes in the template of the app's pods: if it changes, new pods read the Secret."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stamp: str | None = None
        self.read: dict[str, tuple[str, str]] = {}
        self.changes = -1

    def check(self) -> None:
        """Replaces the pods if it is due; their credentials must open every server."""
        now = {name: values(self.world, name) for name in SECRETS}
        for name, (user, password) in self.read.items():
            assert now[name][user] == password, f"{name}: {user} is closed while pods use it"
        deployment = self.world.get("deployments", "shop")
        assert deployment is not None
        template = json.dumps(deployment["spec"]["template"], sort_keys=True)
        if template != self.stamp:
            self.stamp, self.changes = template, self.changes + 1
            self.read = {name: (now[name]["username"], now[name]["password"]) for name in SECRETS}
        self.world.finish_rollouts()


@pytest.fixture
def shop(world: World) -> Iterator[World]:
    operator = world.start(build=build_desired_state)
    world.apply(**SPEC)
    world.until_ready()
    operator.stop()
    yield world


def test_a_rotation_locks_no_pod_out_if_the_operator_is_killed_at_every_write(
    shop: World, tmp_path: Path
) -> None:
    """Each process is killed at a write, executed or not; the next has only the live objects."""
    before, pods, lives = {name: values(shop, name) for name in SECRETS}, Pods(shop), 0
    pods.check()
    ask(shop, "first")
    done = False
    while not done:
        lives += 1
        assert lives < 60, "no life gets any further"
        fate = at_write(EVERY, done=lives % 2 == 1)
        with FaultyProxy(shop.kubeconfig, fate=fate) as proxy:
            life = RunningOperator(
                proxy.kubeconfig(tmp_path), namespaces=(shop.namespace,), build=build_desired_state
            )
            with life:

                def settled(proxy: FaultyProxy = proxy) -> bool:
                    pods.check()
                    hours_pass(shop)
                    return (is_done(shop, "first") and shop.is_ready()) or proxy.dead.is_set()

                eventually(settled, within=60)
                done = not proxy.dead.is_set()
    assert lives > 6 // EVERY, f"only {lives} lives: the faults did not happen"
    assert 1 <= pods.changes <= 2, "the pods were replaced once, or once for each Secret"
    for name in SECRETS:
        now, old = values(shop, name), before[name]
        assert (now["username"], now["password"]) == ("app_alternate", old["app_alternate"])
        assert now["app_alternate"] == old["app_alternate"]
        assert now["app"] != old["app"], "the former password still opens the server"
        assert now["monitor"] == old["monitor"]
        (text,) = (now[key] for key in ("userlist.txt", "users.acl") if key in now)
        assert all(now[role] in text for role in ROLES)
        assert old["app"] not in text


def test_the_former_user_is_kept_as_long_as_old_pods(shop: World) -> None:
    before = values(shop, "shop-postgres")
    shop.start(build=build_desired_state)
    ask(shop, "first")
    switched = eventually(lambda: _in(shop, Phase.SWITCHED))
    assert switched.request == "first"
    waits = eventually(lambda: shop.service()["status"].get("pending"))
    assert "Deployment shop" in waits[0]["reason"]
    time.sleep(1.0)
    assert _in(shop, Phase.SWITCHED), "pods of before still run"
    shop.until_ready()
    eventually(lambda: _in(shop, Phase.REPLACED))
    assert values(shop, "shop-postgres")["app"] == before["app"], "pods may still be ending"
    hours_pass(shop)
    eventually(lambda: is_done(shop, "first"))
    eventually(lambda: not shop.service()["status"].get("pending"))


def _in(world: World, phase: Phase) -> Rotation | None:
    found = rotation(world, "shop-postgres")
    return found if found and found.phase is phase else None


def test_a_second_rotation_waits_for_the_servers_and_switches_back(shop: World) -> None:
    shop.start(build=build_desired_state)
    for request, user in (("first", "app_alternate"), ("second", "app")):
        ask(shop, request)

        def through(request: str = request) -> bool:
            shop.finish_rollouts()
            hours_pass(shop)
            return is_done(shop, request)

        eventually(through)
        for name in SECRETS:
            assert values(shop, name)["username"] == user


def test_credentials_newer_than_a_request_are_not_rotated_for_it(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply()
    ask(world, "early")
    world.apply(**SPEC)
    world.until_ready()
    assert is_done(world, "early")
    assert {values(world, name)["username"] for name in SECRETS} == {"app"}


def test_the_command_rotates_or_reports_that_there_are_no_credentials(shop: World) -> None:
    shop.start(build=build_desired_state)
    done = run(shop, "rotate", "shop")
    assert done.returncode == 0, done.stderr
    eventually(lambda: _in(shop, Phase.SWITCHED))
    shop.apply("plain")
    refused = run(shop, "rotate", "plain")
    assert refused.returncode == 2
    assert "to rotate your own, change" in refused.stderr
