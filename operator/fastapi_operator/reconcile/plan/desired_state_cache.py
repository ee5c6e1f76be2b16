"""From the text of a service to its wanted objects, remembered while the service is in motion."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import structlog

from fastapi_operator import naming
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.projection import digest
from fastapi_operator.reconcile.plan.desired_state import Blueprint, Draw
from fastapi_operator.reconcile.plan.owned_object import Sealed, seal
from fastapi_operator.settings import Settings

_log = structlog.get_logger(__name__)

# A full service's objects take about 300 KiB as dictionaries; those in motion are few.
REMEMBERED = 64


class Drawer:
    """Draws blueprints and remembers the newest ones."""

    def __init__(self, settings: Settings, *, make: Draw) -> None:
        self._settings = settings
        self._make = make
        self._known: OrderedDict[str, tuple[Blueprint, tuple[Sealed, ...]]] = OrderedDict()

    def blueprint(
        self, body: Mapping[str, Any], owner: Owner, facts: Facts
    ) -> tuple[Blueprint, tuple[Sealed, ...]]:
        """A service's blueprint, and its objects ready to be sent."""
        profile = facts.profiles.get(owner.namespace)
        known = [facts.kubernetes, sorted(facts.apis), profile]
        source = digest([owner.uid, body["metadata"], body["spec"], *known])
        if source in self._known:
            self._known.move_to_end(source)
            return self._known[source]
        made = self._drawn(body, facts)
        asked = body["metadata"]["annotations"]
        restart = asked.get(naming.RESTART_ANNOTATION, "")
        rotate = asked.get(naming.ROTATE_ANNOTATION, "")
        sealed = (seal(item, owner, restart=restart, rotate=rotate) for item in made.desired)
        answer = (made, tuple(sealed))
        self._known[source] = answer
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return answer

    def _drawn(self, body: Mapping[str, Any], facts: Facts) -> Blueprint:
        try:
            return self._make(body, self._settings, facts)
        except Exception as error:
            # Our own fault, yet the service's owner has to learn why nothing moves.
            _log.exception("no plan", service=body["metadata"]["name"])
            problem = Problem(
                severity=Severity.ERROR,
                stage=Stage.PLAN,
                path="spec",
                message=f"the operator failed to plan this: {type(error).__name__}: {error}",
                remedy="report it with the operator's log; the last good plan is kept",
            )
            return Blueprint(problems=(problem,))
