"""Fields that switch an object off: an edit of them is drift."""

from typing import Any

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.world import World, eventually

SPEC: dict[str, Any] = {
    "postgres": {},
    "schedules": [{"name": "report", "schedule": "0 6 * * *", "command": ["report"]}],
}
EDITS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("services", "shop", {"type": "ExternalName", "externalName": "example.com"}),
    ("services", "shop-app-pods", {"publishNotReadyAddresses": True}),
    ("deployments", "shop", {"paused": True}),
    (
        "statefulsets",
        "shop-postgres",
        {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}},
    ),
    ("cronjobs", "shop-schedules-report", {"suspend": True}),
    (
        "horizontalpodautoscalers",
        "shop",
        {"behavior": {"scaleUp": {"selectPolicy": "Disabled"}}},
    ),
)


def test_an_object_that_is_switched_off_by_hand_is_switched_on_again(world: World) -> None:
    operator = world.start(build=build_desired_state)
    world.apply(**SPEC)
    world.until_ready()
    before = {(kind, name): switches(world, kind, name) for kind, name, _ in EDITS}
    # An operator that was not there when the edits were made finds them as well.
    for restarted in (False, True):
        if restarted:
            operator.stop()
        for kind, name, edit in EDITS:
            world.kube.patch(world.path(kind, name), {"spec": edit}, manager="kubectl-edit")
        if restarted:
            world.start(build=build_desired_state)
        for kind, name, _ in EDITS:
            eventually(
                lambda kind=kind, name=name: switches(world, kind, name) == before[kind, name]
            )


def switches(world: World, kind: str, name: str) -> dict[str, Any]:
    """The spec of an object without the fields that stay or change after an ExternalName."""
    spec = (world.get(kind, name) or {})["spec"]
    left = ("externalName", "clusterIP", "clusterIPs")
    return {field: value for field, value in spec.items() if field not in left}
