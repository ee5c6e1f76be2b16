"""The facts about a canary that follow from desired and live objects."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import DEPLOYMENT, HTTP_ROUTE
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe import health
from fastapi_operator.reconcile.observe.canary_record import CanaryRecord, Outcome, Phase
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import Observed
from fastapi_operator.reconcile.plan import reloads
from fastapi_operator.reconcile.plan.canary_course import Course, find_obstacle
from fastapi_operator.reconcile.plan.canary_situation import (
    Requests,
    Situation,
    hash_spec,
    is_promoted,
)
from fastapi_operator.reconcile.plan.canary_stage import RUNNING
from fastapi_operator.reconcile.plan.owned_object import OwnedObject
from fastapi_operator.reconcile.plan.readiness import child_health
from fastapi_operator.reconcile.plan.steps import canary_children
from fastapi_operator.resources.desired import Gate
from fastapi_operator.resources.stage import Stage
from fastapi_operator.tuning.canary import Divider


@dataclass(frozen=True)
class CanaryTarget:
    """The canary of a service.

    Attributes:
        record: The stored record; None if there is none.
        situation: The input of its next state.
        stage: The stage that the desired objects are built for; None without one.
    """

    record: CanaryRecord | None
    situation: Situation
    stage: Stage | None = None

    @property
    def is_promoted(self) -> bool:
        """Whether the spec may be released."""
        return is_promoted(self.record, self.situation)

    @property
    def is_trial(self) -> bool:
        """Whether it tries other numbers of the released spec."""
        return bool(self.situation.trial or (self.record is not None and self.record.trial))

    @property
    def closes_service(self) -> bool:
        """Whether the Service of the canary must select no pods, because its share ended."""
        record = self.record
        return (
            record is not None
            and record.phase is Phase.ENDING
            and record.outcome is not Outcome.PROMOTED
            and self.situation.present
            and not self.situation.settled
            # A Gateway has no other version for a request if a Service has no pods. Its route has
            # lost the canary by then.
            and self.situation.divided_by is not Divider.GATEWAY
        )


def held_annotations(
    annotations: Mapping[str, str], record: CanaryRecord | None
) -> Mapping[str, str]:
    """Returns a service's annotations, with the requests that were made before its canary."""
    if record is None or record.phase not in RUNNING:
        return annotations
    before = {
        naming.RESTART_ANNOTATION: record.restart,
        naming.ROTATE_ANNOTATION: record.rotate,
    }
    others = {name: value for name, value in annotations.items() if name not in before}
    return {**others, **{name: value for name, value in before.items() if value}}


def find_situation(
    *,
    body: Mapping[str, Any],
    course: Course | None,
    before: Course | None,
    wanted: Sequence[OwnedObject],
    released: Sequence[OwnedObject],
    gates: frozenset[Gate],
    observed: Observed,
    owner: Owner,
) -> Situation:
    """Returns the input of the next state of a canary, without that of its stage.

    Args:
        body: The service.
        course: The steps of its canary; None without one.
        before: Those of its last release.
        wanted: The objects of its spec without a stage; empty if it is invalid.
        released: Those of its last release; empty without one.
        gates: The gates that are open.
        observed: The live objects.
        owner: The service, as an owner.
    """
    app = _deployment(wanted, Part.APP)
    child = observed.children.get(app.key) if app is not None else None
    live = child.replicas.wanted if child is not None and child.replicas is not None else 1
    last = course or before
    return Situation(
        template=hash_template(wanted),
        released=hash_template(released),
        spec=hash_spec(body["spec"]),
        revision=observed.release.revision if observed.release is not None else 0,
        image=str(body["spec"].get("image", "")),
        course=course,
        obstacle=find_obstacle(course, before),
        migrated=Gate.MIGRATED in gates,
        requests=Requests.of(body["metadata"]["annotations"]),
        app_pods=live,
        divided_by=last.divided_by if last is not None else Divider.NGINX,
        present=bool(canary_children(owner, observed)),
    )


def hash_template(objects: Iterable[OwnedObject]) -> str | None:
    """Returns the hash of the app's pod template; None if there is none."""
    app = _deployment(objects, Part.APP)
    return naming.content_hash(app.desired.pod_template or {}) if app is not None else None


def ready_pods(objects: Iterable[OwnedObject], observed: Observed) -> int:
    """Returns the ready pods of the canary; 0 while one of another version runs."""
    canary = _deployment(objects, Part.CANARY)
    child = observed.children.get(canary.key) if canary is not None else None
    if canary is None or child is None or child.replicas is None:
        return 0
    pods = child.replicas
    is_current = child.last_applied_digest == canary.built_digest
    is_observed = child.health.reason != health.UNOBSERVED
    is_alone = pods.live <= pods.updated
    return pods.available if is_current and is_observed and is_alone else 0


def is_settled(
    objects: Sequence[OwnedObject],
    observed: Observed,
    clocks: Collection[float],
    divided_by: Divider,
) -> bool:
    """Whether all proxies, or the Gateway, have the shares that the objects have."""
    if divided_by is not Divider.GATEWAY:
        return _proxies_are_settled(objects, observed, clocks)
    route = _route(objects)
    child = observed.children.get(route.key) if route is not None else None
    if route is None or child is None:
        return route is None
    is_applied = child.last_applied_digest == route.built_digest
    return is_applied and not reloads.route_seconds_left(child, clocks)


def divides_requests(
    objects: Sequence[OwnedObject], observed: Observed, divided_by: Divider
) -> bool:
    """Whether the proxies are ready, or the Gateway has accepted the route."""
    if divided_by is not Divider.GATEWAY:
        return are_ready(objects, Part.PROXY, observed)
    route = _route(objects)
    child = observed.children.get(route.key) if route is not None else None
    return child is not None and child.health.ready


def _route(objects: Iterable[OwnedObject]) -> OwnedObject | None:
    return next((owned for owned in objects if owned.key.kind == HTTP_ROUTE.kind), None)


def _proxies_are_settled(
    objects: Iterable[OwnedObject], observed: Observed, clocks: Collection[float]
) -> bool:
    proxies = [owned for owned in objects if owned.desired.part is Part.PROXY]
    desired = [owned.desired for owned in proxies]
    mounted = set(reloads.reloaded(desired))
    for owned in proxies:
        child = observed.children.get(owned.key)
        if owned.key in mounted and (
            child is None or child.last_applied_digest != owned.built_digest
        ):
            return False
    return not reloads.seconds_left(desired, observed.children, clocks)


def service_of_canary(objects: Iterable[OwnedObject]) -> tuple[OwnedObject, ...]:
    """Returns the Services of the canary."""
    return tuple(
        owned
        for owned in objects
        if owned.desired.part is Part.CANARY and owned.key.kind == "Service"
    )


def are_ready(objects: Iterable[OwnedObject], part: Part, observed: Observed) -> bool:
    """Whether the pods of a part are of the desired revision and ready."""
    owned = _deployment(objects, part)
    child = observed.children.get(owned.key) if owned is not None else None
    return (
        owned is not None
        and child is not None
        and child.last_applied_digest == owned.built_digest
        and child_health(owned.desired, child).ready
    )


def _deployment(objects: Iterable[OwnedObject], part: Part) -> OwnedObject | None:
    found = (
        owned
        for owned in objects
        if owned.desired.part is part and owned.key.kind == DEPLOYMENT.kind
    )
    return next(found, None)
