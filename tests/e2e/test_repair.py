"""Deleted objects are created again; a version whose migration fails does not serve."""

import time
from typing import Any

import pytest

from tests.e2e.conftest import READY_SECONDS, Shop
from tests.kubectl import KubectlError, eventually

pytestmark = pytest.mark.node

# Data and its keys are retained on purpose; losing them is another test's subject.
RETAINED = ("PersistentVolumeClaim", "Secret")
# Old releases and Jobs are history; the newest release record is tested by itself.
HISTORY = ("Job", "ControllerRevision")


def deployment(shop: Shop) -> dict[str, Any]:
    return shop.kubectl.json("get", "deployment", shop.name, "-n", shop.namespace)


def marker(shop: Shop) -> str | None:
    """The value of MARKER in the app's live pod template."""
    (container,) = deployment(shop)["spec"]["template"]["spec"]["containers"]
    return {item["name"]: item.get("value") for item in container["env"]}.get("MARKER")


def test_any_child_deleted_by_hand_is_repaired(shop: Shop) -> None:
    children = [child for child in shop.children() if child["kind"] not in RETAINED]
    assert len(children) >= 15
    for child in children:
        kind, name = child["kind"], child["metadata"]["name"]
        if kind in HISTORY:
            continue
        shop.kubectl("delete", kind, name, "-n", shop.namespace, "--wait=false")

        def repaired(kind: str = kind, name: str = name, old: dict[str, Any] = child) -> bool:
            found = shop.kubectl.json("get", kind, name, "-n", shop.namespace)
            return bool(found["metadata"]["uid"] != old["metadata"]["uid"])

        eventually(repaired, seconds=60, what=f"{kind} {name} repaired")
    shop.wait_until_ready()
    # The pooler resolves the database's address every five seconds.
    eventually(
        lambda: shop.request("GET", "/items").status == 200,
        seconds=20,
        what="the repaired service answers from the database",
    )


def test_a_deleted_release_record_is_written_again_without_a_second_migration(shop: Shop) -> None:
    def of_kind(kind: str) -> set[str]:
        return {child["metadata"]["name"] for child in shop.children() if child["kind"] == kind}

    jobs = of_kind("Job")
    for name in of_kind("ControllerRevision"):
        shop.kubectl("delete", "controllerrevision", name, "-n", shop.namespace)
    eventually(lambda: of_kind("ControllerRevision"), seconds=60, what="a new release record")
    shop.wait_until_ready()
    assert of_kind("Job") == jobs


def test_a_failed_migration_keeps_the_old_version_and_repairs_it(shop: Shop) -> None:
    shop.patch({"env": [{"name": "MARKER", "value": "old"}]})
    eventually(lambda: marker(shop) == "old", seconds=READY_SECONDS, what="the old version")
    shop.wait_until_ready()

    failing = {"command": ["python3", "-c", "raise SystemExit('revision 42 is unknown')"]}
    shop.patch(
        {
            "env": [{"name": "MARKER", "value": "new"}],
            "postgres": {"migrations": failing},
        }
    )
    try:
        eventually(
            lambda: (
                "revision 42 is unknown" in shop.condition("MigrationsReady").get("message", "")
            ),
            seconds=120,
            what="the failed migration's own message in status",
        )
        assert not shop.is_ready()
        assert marker(shop) == "old"
        old = deployment(shop)["metadata"]["uid"]
        shop.kubectl("delete", "deployment", shop.name, "-n", shop.namespace)
        eventually(
            lambda: deployment(shop)["metadata"]["uid"] != old, seconds=60, what="a new Deployment"
        )
        assert marker(shop) == "old"
        eventually(
            lambda: shop.request("GET", "/items").status == 200,
            seconds=120,
            what="the old version answers",
        )
    finally:
        shop.patch({"env": None, "postgres": {"migrations": {"command": None}}})
    shop.wait_until_ready()
    assert marker(shop) is None


def test_a_deleted_service_leaves_its_data_and_finds_it_again(shop: Shop) -> None:
    name = f"kept-{time.time_ns()}"
    assert shop.request("POST", "/items", {"name": name, "price_cents": 5}).status == 201
    before = shop.get()
    shop.kubectl("delete", "fas", shop.name, "-n", shop.namespace, "--wait")
    label = f"fastapi-operator.io/service={shop.name}"

    def left() -> set[str]:
        return {child["kind"] for child in shop.children()}

    eventually(lambda: left() == set(RETAINED), seconds=120, what=f"only data left of {label}")
    eventually(lambda: pods_of(shop) == 0, seconds=120, what="no pod left")
    service = {key: before[key] for key in ("apiVersion", "kind", "spec")}
    service["metadata"] = {"name": shop.name, "namespace": shop.namespace}
    shop.kubectl.apply(service)
    shop.wait_until_ready()

    answer = shop.request("GET", "/items?limit=100")
    assert name in {item["name"] for item in answer.body["items"]}


def pods_of(shop: Shop) -> int:
    selector = f"fastapi-operator.io/service={shop.name}"
    try:
        found = shop.kubectl.json("get", "pods", "-n", shop.namespace, "-l", selector)
    except KubectlError:
        return -1
    return len(found["items"])
