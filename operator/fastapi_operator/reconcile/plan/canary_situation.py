"""Everything that the next state of a canary depends on, beside its record and the time."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi_operator import naming
from fastapi_operator.reconcile.observe.canary_record import CanaryRecord, Phase
from fastapi_operator.reconcile.plan.canary_course import Course
from fastapi_operator.tuning.canary import Divider

# On a service: the value of an annotation that concerns each canary, whatever its identity.
EVERY = "every"


@dataclass(frozen=True)
class Requests:
    """The requests of people, from annotations of the service.

    Attributes:
        promote: Identity of the canary to promote, or a ``rollback_request``.
        abort: Identity of the canary to abort.
        hold: Identity of the canary that waits for a person; ``every`` for each one.
        restart: The newest request to restart the app's pods.
        rotate: The newest request to rotate the credentials.
    """

    promote: str = ""
    abort: str = ""
    hold: str = ""
    restart: str = ""
    rotate: str = ""

    @classmethod
    def of(cls, annotations: Mapping[str, str]) -> "Requests":
        """Returns the requests in a service's annotations."""
        return cls(
            promote=annotations.get(naming.PROMOTE_ANNOTATION, ""),
            abort=annotations.get(naming.ABORT_ANNOTATION, ""),
            hold=annotations.get(naming.HOLD_ANNOTATION, ""),
            restart=annotations.get(naming.RESTART_ANNOTATION, ""),
            rotate=annotations.get(naming.ROTATE_ANNOTATION, ""),
        )


@dataclass(frozen=True)
class Situation:
    """Everything that the next state depends on, beside the record and the time.

    Attributes:
        template: The hash of the app's pod template of the spec; None if there is none.
        released: That of the last release; None without a release.
        spec: The hash of the spec.
        revision: The number of the last release; 0 without one.
        image: The image of the spec.
        course: The steps; None if the spec has no canary.
        obstacle: Why requests cannot be divided between both versions; empty if they can.
        migrated: Whether the spec's migration has succeeded.
        requests: The requests of people.
        app_pods: The pods of the released version.
        app_ready: Whether the app has rolled out to the spec.
        divided_by: The divider of the requests, also of a canary that the spec no longer has.
        proxies_ready: Whether the proxies, or the Gateway, are able to divide requests.
        canary_pods: The ready pods of the canary, if none is of another version.
        present: Whether objects of a canary exist.
        settled: Whether all proxies, or the Gateway, have the current stage.
        diagnosis: Why the canary's pods do not become ready.
        lacks_room: Whether that is because no pod was created, or no node has room for it.
        trial: The numbers that the canary tries, in a sentence; empty if it runs another spec.
        needs_gain: Whether it must be better than the released version, not only as good.
    """

    template: str | None
    released: str | None
    spec: str
    image: str = ""
    revision: int = 0
    course: Course | None = None
    obstacle: str = ""
    migrated: bool = True
    requests: Requests = field(default_factory=Requests)
    app_pods: int = 1
    app_ready: bool = False
    divided_by: Divider = Divider.NGINX
    proxies_ready: bool = True
    canary_pods: int = 0
    present: bool = False
    settled: bool = False
    diagnosis: str = ""
    lacks_room: bool = False
    trial: str = ""
    needs_gain: bool = False

    @property
    def needs_canary(self) -> bool:
        """Whether the spec must not be released before a canary is promoted."""
        goes_back = self.requests.promote == rollback_request(self.spec, self.revision)
        is_requested = self.course is not None and not goes_back
        return is_requested and self._is_change and not self.obstacle

    @property
    def skipped(self) -> str:
        """Why a changed version is released without a canary, in a sentence; empty if it is not."""
        if not self._is_change or not self.obstacle:
            return ""
        return f"{self.image} is released without a canary: {self.obstacle}"

    @property
    def _is_change(self) -> bool:
        """Whether other pods than those of the last release are requested."""
        return None not in (self.template, self.released) and self.template != self.released

    @property
    def may_begin(self) -> bool:
        """Whether a canary of the spec may begin now."""
        return self.needs_canary and self.migrated and self.proxies_ready


def hash_spec(spec: Mapping[str, object]) -> str:
    """Returns the identity of a spec, without the fields that are not about its version."""
    rollout = spec.get("rollout")
    kept = {name: value for name, value in spec.items() if name not in ("suspend", "rollout")}
    if isinstance(rollout, Mapping):
        kept["rollout"] = {name: value for name, value in rollout.items() if name != "canary"}
    return naming.content_hash(kept)


def rollback_request(spec: str, revision: int) -> str:
    """Returns the request to release a spec at once, because it was released before.

    Args:
        spec: The hash of the spec to go back to.
        revision: The number of the release that it replaces: later ones are not meant.
    """
    return f"{spec}-{revision}"


def is_promoted(record: CanaryRecord | None, situation: Situation) -> bool:
    """Whether the spec may be released."""
    if not situation.needs_canary:
        return True
    return record is not None and is_of(record, situation) and record.phase is Phase.PROMOTING


def is_of(record: CanaryRecord, situation: Situation) -> bool:
    """Whether a canary runs the current spec.

    A field of another part does not change the template. An upgrade of the operator may change
    the template of the same spec, and must not give an aborted version another try.
    """
    return record.template == situation.template or (
        situation.template is not None and record.spec == situation.spec
    )
