"""``rollout``, ``promote``, ``abort`` and ``rollback``, run as processes."""

import re
import threading
import time
from pathlib import Path

from fastapi_operator.judge.verdict import Action
from tests.api.test_canary import (
    NEW,
    Judge,
    canary,
    fast,
    image_of,
    in_phase,
    released,
    releases,
    until_gone,
    until_released,
)
from tests.api.test_commands import document, on_a_terminal, run
from tests.api.world import World, eventually

__all__ = ("fast",)

FIRST = "registry.test/shop:1"


def test_both_versions_are_shown_and_people_decide(world: World) -> None:
    judge = Judge({NEW: Action.WAIT})
    spec = released(world, judge)
    idle = run(world, "rollout", "shop")
    assert (idle.returncode, idle.stdout) == (0, f"shop  {FIRST}  released\n")
    for command in ("promote", "abort"):
        missing = run(world, command, "shop")
        assert missing.returncode == 2
        assert "there is no canary" in missing.stderr
        assert f"fastapi-operator rollout shop -n {world.namespace}\n" in missing.stderr

    world.apply(image=NEW, **spec)
    in_phase(world, "Progressing")
    eventually(lambda: canary(world).get("verdict"))
    identity = canary(world)["id"]
    shown = run(world, "rollout", "shop")
    assert shown.returncode == 1
    assert f"shop  canary {identity} of {NEW}  progressing\n" in shown.stdout
    assert re.search(r"canary    10 %  ███░+  100 requests, 0 % errors, p95 31 ms\n", shown.stdout)
    assert re.search(r"stable    90 %  █{22}░░  900 requests, 0 % errors, p95 30 ms", shown.stdout)
    assert "verdict  errors 0 % of 100 requests" in shown.stdout

    held = run(world, "rollout", "shop", "--hold")
    assert held.returncode == 1
    in_phase(world, "Holding")
    run(world, "rollout", "shop", "--resume")
    in_phase(world, "Progressing")

    ended = run(world, "abort", "shop")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"shop: abort of {NEW} requested" in ended.stdout
    in_phase(world, "Aborted")
    until_gone(world)
    watched = run(world, "rollout", "shop", "--watch")
    assert watched.returncode == 1
    assert "CanaryAborted: a person requested it" in watched.stdout

    assert run(world, "promote", "shop").returncode == 0
    until_released(world, NEW)
    assert run(world, "rollout", "shop", "--watch").returncode == 0
    late = run(world, "abort", "shop")
    assert "there is no canary" in late.stderr


def test_a_rollout_is_followed_until_its_end(world: World) -> None:
    judge = Judge({NEW: Action.WAIT})
    spec = released(world, judge)
    world.apply(image=NEW, **spec)
    in_phase(world, "Progressing")
    abort = threading.Timer(2, judge.actions.update, args=({NEW: Action.ABORT},))
    abort.start()
    text = on_a_terminal(world, "rollout", "shop", "--watch")
    abort.join()
    assert "progressing" in text
    assert "aborted" in text
    assert "CanaryAborted: errors 20 % of 100 requests" in text


def test_a_rollback_goes_to_a_release_without_a_canary(world: World, tmp_path: Path) -> None:
    judge = Judge({NEW: Action.ADVANCE, "registry.test/shop:3": Action.WAIT})
    spec = released(world, judge)
    none = run(world, "rollback", "shop")
    assert none.returncode == 2
    assert f"no release has another spec; there are: 1 ({FIRST})" in none.stderr
    world.apply(image=NEW, **spec)
    until_released(world, NEW)

    plan = run(world, "rollback", "shop", "--dry-run")
    assert plan.returncode == 0, plan.stderr
    assert plan.stdout == (
        f"release 1: {FIRST}\n"
        f"  present image: {NEW}\n"
        "  changed fields: image\n"
        "  schema: this release has no migration, so it stays as it is\n"
    )
    assert world.service()["spec"]["image"] == NEW
    assert run(world, "rollback", "shop", "--to", "7").returncode == 2
    done = run(world, "rollback", "shop")
    assert done.returncode == 0, done.stderr
    assert "rollback requested" in done.stdout
    eventually(lambda: image_of(world) == FIRST)
    assert world.get("deployments", "shop-canary") is None
    until_released(world, FIRST)
    assert releases(world) == [FIRST, NEW, FIRST]

    # While another spec is on its way, the last release is the way back.
    settings = tmp_path / "settings"
    settings.write_text("{}")
    difference = ("diff", "-f", "-", "--settings", str(settings))
    third = document(world, image="registry.test/shop:3", **spec)
    before = run(world, *difference, text=third)
    assert "registry.test/shop:3 starts as a canary with 10 % of the requests" in before.stderr
    assert "+        image: registry.test/shop:3" in before.stdout
    world.apply(image="registry.test/shop:3", **spec)
    in_phase(world, "Progressing")
    # Of a running canary, only the app's own pods differ.
    meanwhile = run(world, *difference, text=third)
    assert re.findall(r"--- (.*) live", meanwhile.stdout) == ["Deployment/shop"], meanwhile.stdout
    back = run(world, "rollback", "shop")
    assert f"release 3: {FIRST}" in back.stdout
    until_released(world, FIRST)
    assert releases(world) == [FIRST, NEW, FIRST]


def test_a_rollback_names_the_migrations_that_it_does_not_undo(world: World) -> None:
    judge = Judge({NEW: Action.ADVANCE})
    spec = released(world, judge, postgres={"migrations": {}})
    world.apply(image=NEW, **spec)

    def migrated() -> bool:
        for job in world.kube.items(world.path("jobs")):
            if not job.get("status", {}).get("conditions"):
                world.finish_job(job["metadata"]["name"])
        world.finish_rollouts()
        return bool(canary(world))

    eventually(migrated)
    until_released(world, NEW)
    jobs = len(world.kube.items(world.path("jobs")))
    done = run(world, "rollback", "shop")
    assert "  schema: it stays: 1 later migration has run, and none is undone" in done.stdout
    until_released(world, FIRST)
    time.sleep(1)
    assert len(world.kube.items(world.path("jobs"))) == jobs
