"""The progress of a rollout, from the status of its service."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi_operator.parts import CAUSES_FIRST, Part

_IN_CLUSTER = ".svc"


_CANARY = "canary"


@dataclass(frozen=True)
class Step:
    """A change of one part, or of the canary.

    Attributes:
        part: The part, or ``canary``.
        ready: Whether it is ready now.
        text: Why it is not, or its own message.
    """

    part: str
    ready: bool
    text: str


@dataclass
class Progress:
    """The steps of one generation of a service, each reported once."""

    generation: int
    _known: dict[Part, tuple[bool, str]] = field(default_factory=dict)
    _canary: tuple[object, ...] = ()

    def steps(self, body: Mapping[str, Any]) -> Iterator[Step]:
        """Yields the parts that changed since the last call, causes first.

        A new message with the same reason is not reported again.
        """
        conditions = self._conditions(body)
        for part in CAUSES_FIRST:
            condition = conditions.get(part.condition)
            if condition is None:
                continue
            ready, reason = condition["status"] == "True", str(condition.get("reason") or "")
            message = str(condition.get("message") or "")
            if self._known.get(part) != (ready, reason):
                self._known[part] = ready, reason
                yield Step(part, ready, message if ready or message else reason)
        yield from self._canary_steps(body)

    def is_in_canary(self, body: Mapping[str, Any]) -> bool:
        """Whether a canary of this generation runs, which can take hours."""
        reason = str(self._conditions(body).get("Reconciling", {}).get("reason", ""))
        return reason.startswith("Canary")

    def _canary_steps(self, body: Mapping[str, Any]) -> Iterator[Step]:
        """Yields the phase and the share of the canary, if one of them changed."""
        canary: Mapping[str, Any] = (body.get("status") or {}).get("canary") or {}
        state = canary.get("phase"), canary.get("percent")
        if canary and self.is_in_canary(body) and state != self._canary:
            self._canary = state
            share = f"{str(state[0]).lower()}, {state[1]} % of the requests"
            yield Step(_CANARY, False, f"{share}; {canary.get('next')}")

    def is_observed(self, body: Mapping[str, Any]) -> bool:
        """Whether the operator has seen this generation."""
        return bool(self._conditions(body))

    def is_ready(self, body: Mapping[str, Any]) -> bool:
        """Whether the service is ready, and no canary runs for its spec."""
        return self._is_true(body, "Ready") and not self.is_in_canary(body)

    def failure(self, body: Mapping[str, Any]) -> str:
        """Returns why the rollout cannot continue by itself; empty if it can."""
        stalled = self._conditions(body).get("Stalled", {})
        if stalled.get("status") != "True":
            return ""
        return f"{stalled.get('reason')}: {stalled.get('message')}"

    def unready(self) -> tuple[Part, ...]:
        """Returns the parts that are not ready, causes first."""
        known = self._known
        return tuple(part for part in CAUSES_FIRST if part in known and not known[part][0])

    def _is_true(self, body: Mapping[str, Any], kind: str) -> bool:
        return bool(self._conditions(body).get(kind, {}).get("status") == "True")

    def _conditions(self, body: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """Returns the conditions of this generation, by type."""
        found: Iterable[Mapping[str, Any]] = (body.get("status") or {}).get("conditions") or ()
        return {
            str(item["type"]): item
            for item in found
            if int(item.get("observedGeneration") or 0) >= self.generation
        }


def is_in_cluster(url: str) -> bool:
    """Whether a URL is reachable only inside the cluster."""
    host = url.partition("://")[2].partition("/")[0].partition(":")[0]
    return host.endswith(_IN_CLUSTER)
