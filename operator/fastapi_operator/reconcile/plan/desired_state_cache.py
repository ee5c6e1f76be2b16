"""Keeps the desired states of services that are being reconciled."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import structlog

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import owned_kind
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.projection import digest
from fastapi_operator.reconcile.plan.desired_state import BuildDesiredState, DesiredState
from fastapi_operator.reconcile.plan.owned_object import OwnedObject, make_owned
from fastapi_operator.resources.stage import Stage as CanaryStage
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.measurements import NOT_MEASURED, Measurements

_log = structlog.get_logger(__name__)

# The objects of a large service take about 300 KiB as dictionaries; few services change at once.
CACHED = 64


class DesiredStateCache:
    """Builds desired states and keeps the most recently used ones."""

    def __init__(self, settings: Settings, *, build: BuildDesiredState) -> None:
        self._settings = settings
        self._build = build
        self._cached: OrderedDict[str, tuple[DesiredState, tuple[OwnedObject, ...]]] = OrderedDict()

    def get(
        self,
        body: Mapping[str, Any],
        owner: Owner,
        facts: Facts,
        stage: CanaryStage | None = None,
        accepted: Measurements = NOT_MEASURED,
    ) -> tuple[DesiredState, tuple[OwnedObject, ...]]:
        """Returns the desired state of a service, and its objects as they are applied."""
        # Frozen dataclasses: their text is their content.
        limits = repr(facts.limits_of(owner.namespace))
        profile = facts.profiles.get(owner.namespace)
        cluster = [
            facts.kubernetes,
            sorted(facts.apis),
            sorted(facts.route_fields),
            profile,
            limits,
            facts.ipv6,
            repr(stage),
            repr(accepted) if accepted is not NOT_MEASURED else "",
        ]
        source = digest([owner.uid, body["metadata"], body["spec"], *cluster])
        if source in self._cached:
            self._cached.move_to_end(source)
            return self._cached[source]
        entry = self._build_or_fail(body, owner, facts, stage, accepted)
        self._cached[source] = entry
        if len(self._cached) > CACHED:
            self._cached.popitem(last=False)
        return entry

    def _build_or_fail(
        self,
        body: Mapping[str, Any],
        owner: Owner,
        facts: Facts,
        stage: CanaryStage | None,
        accepted: Measurements,
    ) -> tuple[DesiredState, tuple[OwnedObject, ...]]:
        try:
            state = self._build(body, self._settings, facts, stage, accepted)
            return state, _complete(state, body, owner)
        except Exception as error:
            # A bug of the operator, but the service's owner must see why nothing changes.
            _log.exception("cannot build the desired state", service=body["metadata"]["name"])
            problem = Problem(
                severity=Severity.ERROR,
                stage=Stage.PLAN,
                path="spec",
                message=f"the operator failed to plan this spec: {type(error).__name__}: {error}",
                remedy="report it with the operator's log; the last valid plan is kept",
            )
            return DesiredState(problems=(problem,)), ()


def _complete(
    state: DesiredState, body: Mapping[str, Any], owner: Owner
) -> tuple[OwnedObject, ...]:
    """Returns the objects of a desired state as they are applied.

    Raises:
        KeyError: The operator does not own the kind of an object.
    """
    annotations = body["metadata"]["annotations"]
    restart = annotations.get(naming.RESTART_ANNOTATION, "")
    rotate = annotations.get(naming.ROTATE_ANNOTATION, "")
    for item in state.objects:
        owned_kind(item.key.group, item.key.kind)
    return tuple(make_owned(item, owner, restart=restart, rotate=rotate) for item in state.objects)
