"""No right of the operator's is idle: a life with objects of every kind in it needs each one.

That they suffice, and that nothing is asked for beyond them, is tested in tests/api/test_access.py.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import (
    CNPG_CLUSTER,
    EVENT,
    JOB,
    OWNED,
    PERSISTENT_VOLUME_CLAIM,
    SECRET,
    Kind,
)
from fastapi_operator.reconcile.loop.controller import WATCHED
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.write import brakes
from tests.api import test_access as access
from tests.api.kube import RefusedError
from tests.api.world import World, eventually
from tests.charts.conftest import ROOT
from tests.cluster.apiserver import ApiServer

server = access.server

# Together they have an object of every kind.
GOLDEN = (
    "autoscaling-keda",
    "dashboard",
    "database-backup",
    "database-cnpg",
    "delete-policy",
    "exporters",
    "exposure-certificate",
    "exposure-gateway",
    "migrations",
    "observability",
)
# More than are kept of releases, and of migration Jobs.
IMAGES = 12
LEAST: dict[str, Any] = {
    "image": "registry.test/shop:1",
    "scaling": {"replicas": 1},
    "proxy": {"engine": "None"},
    "network": {"policies": "Disabled"},
    "observability": {"metrics": {"enabled": False}},
    "serviceAccount": {"name": "default"},
}
_READY = {"type": "Ready", "status": "True", "reason": "Ready", "message": ""}

_OWNED = frozenset((kind.group, kind.plural) for kind in OWNED)

Right = tuple[str, str, str]


def test_every_right_is_used(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A life with objects of all kinds in it needs every right.

    Those to resize and evict pods are used in tests/api/test_leak_guard.py.
    """
    monkeypatch.setattr(brakes, "DELETES_A_MINUTE", 10**6)
    world = access.world_named(server, "life")
    since = world.mark()
    with access.installed(server, tmp_path, (), resizePods=False, evictPods=False) as account:
        life = _Life(world, account, lambda: _used(access.asked_by(server, since, account)))
        with access.operator_of(account, ()):
            life.make_objects_of_every_kind()
            life.take_owners_away()
            life.release_again_and_again()
        life.create_the_services_again()
        with access.operator_of(account, ()):
            life.collect_the_old_objects()
            life.want_less()
        assert sorted(life.unused()) == []


class _Life:
    """The actions of owners and controllers, each until the operator has used its rights."""

    def __init__(
        self, world: World, account: access.Account, used: Callable[[], set[Right]]
    ) -> None:
        self.world = world
        self.account = account
        self.used = used

    def unused(self, *verbs: str) -> set[Right]:
        """Rights, or those with some verbs, that were not used so far."""
        rights = self.account.rights - self.used()
        return {right for right in rights if not verbs or right[2] in verbs}

    def make_objects_of_every_kind(self) -> None:
        for case in GOLDEN:
            self.world.apply(case, **_spec(case))
        self._until_used("create")

    def take_owners_away(self) -> None:
        """The rules of objects that are created once; a retained one has no owner, and gets one."""
        for kind in (SECRET, PERSISTENT_VOLUME_CLAIM, JOB):
            for path, body in self._objects(kind):
                service = self.world.service(body["metadata"]["labels"][naming.SERVICE_LABEL])
                owner = Owner(
                    self.world.namespace, service["metadata"]["name"], service["metadata"]["uid"]
                )
                held = body["metadata"].get("ownerReferences")
                references = None if held else [owner.reference]
                self.world.kube.patch(path, {"metadata": {"ownerReferences": references}})
        self._until_used("patch")

    def release_again_and_again(self) -> None:
        """The first migration loses the label by which it is watched, and fails with an Event."""
        before = {body["metadata"]["name"] for _, body in self._objects(JOB)}
        self.world.apply("migrations", **{**_spec("migrations"), "image": "r.test/shop:bad"})
        (job,) = eventually(
            lambda: {body["metadata"]["name"] for _, body in self._objects(JOB)} - before
        )
        # Nothing but an Event could say why the Job has no pod.
        eventually(lambda: (EVENT.group, EVENT.plural, "list") in self.used(), within=40)
        unwatched = {"metadata": {"labels": {naming.WATCHED_LABEL: None}}}
        self.world.kube.patch(JOB.path(self.world.namespace, job), unwatched)
        eventually(lambda: (JOB.group, JOB.plural, "get") in self.used())
        self.world.finish_job(job, failed="column shop.price does not exist")
        eventually(lambda: self.world.condition("Stalled", "migrations").get("status") == "True")
        for number in range(IMAGES):
            self.world.apply(
                "migrations", **{**_spec("migrations"), "image": f"r.test/shop:{number}"}
            )
            eventually(lambda: self._play() or self.world.is_ready("migrations"), within=30)

    def create_the_services_again(self) -> None:
        for case in GOLDEN:
            self.world.kube.delete(self.world.path("fastapiservices", case))
            self.world.apply(case, **_spec(case))

    def collect_the_old_objects(self) -> None:
        """Plays a collector, after the operator has read the owners."""
        self._until_used("get")
        for kind in OWNED:
            for path, body in self._objects(kind):
                service = self.world.service(body["metadata"]["labels"][naming.SERVICE_LABEL])
                owners = [owner["uid"] for owner in body["metadata"].get("ownerReferences", ())]
                if owners and owners != [service["metadata"]["uid"]]:
                    if kind is PERSISTENT_VOLUME_CLAIM:
                        self.world.kube.patch(path, {"metadata": {"finalizers": None}})
                    self.world.kube.delete(path, propagationPolicy="Background")

    def want_less(self) -> None:
        """First the services have their own objects again, among them a volume to delete."""
        eventually(lambda: self._play() or self._has_own_volume(), within=60)
        for _ in range(10):
            self._play()
            time.sleep(0.5)
        for case in GOLDEN:
            self.world.apply(case, **LEAST)
        self._until_used("delete")

    def _has_own_volume(self) -> bool:
        """Whether a service that is there owns a volume."""
        services = self.world.kube.items(self.world.path("fastapiservices"))
        uids = {service["metadata"]["uid"] for service in services}
        return any(
            owner["uid"] in uids
            for _, body in self._objects(PERSISTENT_VOLUME_CLAIM)
            for owner in body["metadata"].get("ownerReferences", ())
        )

    def _until_used(self, verb: str) -> None:
        """Of the kinds that the operator owns."""

        def left() -> set[Right]:
            return {right for right in self.unused(verb) if right[:2] in _OWNED}

        try:
            eventually(lambda: self._play() or not left(), within=40)
        except AssertionError:
            pytest.fail(f"never used: {sorted(left())}")

    def _play(self) -> None:
        with contextlib.suppress(RefusedError):
            self.world.finish_rollouts()
            for job in self.world.kube.items(self.world.path("jobs")):
                if not job.get("status", {}).get("conditions"):
                    self.world.finish_job(job["metadata"]["name"])
            for path, _ in self._objects(CNPG_CLUSTER):
                self.world.kube.patch(path, {"status": {"conditions": [_READY]}})

    def _objects(self, kind: Kind) -> list[tuple[str, dict[str, Any]]]:
        items = self.world.kube.items(kind.path(self.world.namespace), labelSelector=WATCHED)
        return [(kind.path(self.world.namespace, item["metadata"]["name"]), item) for item in items]


def _used(asked: list[Any]) -> set[Right]:
    found = set()
    for entry in asked:
        target = entry.get("objectRef")
        if target is None:
            continue
        resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
        group = target.get("apiGroup", "")
        found.add((group, resource, entry["verb"]))
        if entry["verb"] == "patch" and entry.get("responseStatus", {}).get("code") == 201:
            # Server-side apply of a missing object needs both.
            found.add((group, resource, "create"))
    return found


def _spec(case: str) -> dict[str, Any]:
    body = yaml.safe_load((ROOT / "tests/golden" / case / "service.yaml").read_text())
    spec: dict[str, Any] = body["spec"]
    if case == "database-cnpg":
        # A retained object is never deleted.
        spec["postgres"]["deletionPolicy"] = "Delete"
    return spec
