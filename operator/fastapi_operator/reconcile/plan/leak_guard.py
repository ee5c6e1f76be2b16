"""What is done about pods whose memory grows to their limit: pure, from readings to actions.

The limit of a running pod is raised first, since that costs no request. A pod that cannot be
raised any further is replaced while there is time for all such pods, one after another: its name
is written to ``status.leak`` before it is evicted, so that another process continues.
"""

import datetime
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from fastapi_operator import quantity
from fastapi_operator.api.status import LeakStatus
from fastapi_operator.observation.growth import (
    FULL,
    Growth,
    Sample,
    growth,
    highest,
    is_full,
    may_grow,
)
from fastapi_operator.tuning.compute import round_up

# A node applies a larger limit within a second; if it takes longer, it has no room (judgement).
RESIZE_SECONDS = 30.0
# The time to replace one pod: the new one starts and warms up, the old one drains (judgement).
REPLACE_SECONDS = 120.0
# A replacement costs more than a larger limit: a growth is believed for a shorter time (judgement).
BELIEVED_TO_REPLACE = 2.0
# The memory of a younger pod still fills, and it has won nothing yet.
YOUNG_SECONDS = 120.0
# A limit is raised by at least a quarter, so that a slow growth needs few changes (judgement).
STEP = 1.25
# A raised limit lasts for so long, if the ceiling permits.
LASTING_SECONDS = 3600.0
# A report without a newer one stays so long.
KEPT_SECONDS = 6 * 3600.0
_NEWEST_SECONDS = 60.0

State = Literal["Growing", "Raised", "Replacing", "Replaced", "Blocked"]


@dataclass(frozen=True)
class Terms:
    """What a service permits.

    Attributes:
        automatic: Whether pods are resized and replaced, and not only reported.
        limit_bytes: The memory limit of a new pod.
        most_bytes: The largest memory limit of a running pod.
        waits_for: Why no pod is replaced now; empty if one may be.
        unevictable: Why no pod can be evicted; empty if that was not refused.
    """

    automatic: bool
    limit_bytes: int
    most_bytes: int
    waits_for: str = ""
    unevictable: str = ""


@dataclass(frozen=True)
class GuardedPod:
    """A pod and its readings.

    Attributes:
        name: Its name.
        uid: Its uid.
        limit_bytes: The memory limit that is in force.
        ready: Whether it is ready.
        deleting: Whether it is being deleted.
        age_seconds: The time since its start.
        samples: Its readings, oldest first.
        refused: Why its limit is not raised; empty if nothing speaks against it.
        resizing_seconds: For how long its node has not applied a larger limit; None if it has.
        is_guaranteed: Whether its requests must stay equal to its limits.
    """

    name: str
    uid: str
    limit_bytes: int
    ready: bool = True
    deleting: bool = False
    age_seconds: float = 1e9
    samples: Sequence[Sample] = ()
    refused: str = ""
    resizing_seconds: float | None = None
    is_guaranteed: bool = False


@dataclass(frozen=True)
class Raise:
    """A larger memory limit for a running pod."""

    pod: GuardedPod
    limit_bytes: int


@dataclass(frozen=True)
class Verdict:
    """The result of a look.

    Attributes:
        raises: Limits to raise now.
        replace: The pod to evict now; None if there is none.
        report: The report after the limits were raised; None without one.
        soon: Whether the memory of a pod may grow to its limit, so that the next look is soon.
    """

    raises: tuple[Raise, ...] = ()
    replace: GuardedPod | None = None
    report: LeakStatus | None = None
    soon: bool = False


@dataclass(frozen=True)
class _Risk:
    """A pod that runs out of memory; without a growth, it is full."""

    pod: GuardedPod
    growth: Growth | None

    @property
    def memory_bytes(self) -> float:
        return highest(self.pod.samples, _NEWEST_SECONDS)

    @property
    def seconds(self) -> float:
        if self.growth is None:
            return 0.0
        return self.growth.seconds_to(self.memory_bytes, self.pod.limit_bytes)


def judge_leaks(
    terms: Terms, pods: Collection[GuardedPod], stored: LeakStatus | None, now: float
) -> Verdict:
    """Returns what to do about the pods of a service.

    Args:
        terms: What the service permits.
        pods: All pods of the app.
        stored: The report in the status.
        now: The time in seconds since 1970.
    """
    risks = sorted(_risks(pods), key=lambda risk: risk.seconds)
    soon = bool(risks) or any(may_grow(pod.samples, pod.limit_bytes) for pod in pods)
    if not terms.automatic:
        return Verdict(report=_found(risks, stored, now), soon=soon)
    raises, stuck = _divided(risks, terms)
    replace, report = None, None
    if stored is not None and stored.state == "Replacing" and not terms.unevictable:
        replace, report = _continued(terms, pods, stored, now)
    if report is None and raises:
        risk, step = raises[0]
        report = _report("Raised", risk, now, _raised(risk.pod.limit_bytes, step.limit_bytes))
    if report is None and stuck:
        report = _stuck(stuck, terms, pods, stored, now)
    if report is None:
        report = _raised_before(terms, pods, stored, now)
    return Verdict(
        raises=tuple(step for _, step in raises),
        replace=replace,
        report=_kept(report, stored, now),
        soon=soon,
    )


def _risks(pods: Collection[GuardedPod]) -> Iterator[_Risk]:
    for pod in pods:
        if pod.deleting or not pod.ready or not pod.samples:
            continue
        found = growth(pod.samples, pod.limit_bytes)
        if found is not None or is_full(pod.samples, pod.limit_bytes):
            yield _Risk(pod, found)


def _divided(risks: Sequence[_Risk], terms: Terms) -> tuple[list[tuple[_Risk, Raise]], list[_Risk]]:
    """Returns the pods whose limit can be raised, each with its new limit, and the others."""
    raises, stuck = [], []
    for risk in risks:
        step = _raised_limit(risk, terms.most_bytes)
        waited = risk.pod.resizing_seconds
        if waited is not None:
            if waited >= RESIZE_SECONDS and risk.growth is not None:
                stuck.append(risk)
        elif step > risk.pod.limit_bytes and not risk.pod.refused:
            raises.append((risk, Raise(risk.pod, step)))
        else:
            stuck.append(risk)
    return raises, stuck


def _raised_limit(risk: _Risk, most_bytes: int) -> int:
    rate = risk.growth.bytes_per_second if risk.growth is not None else 0.0
    needed = (risk.memory_bytes + rate * LASTING_SECONDS) / FULL
    return min(most_bytes, round_up(max(STEP * risk.pod.limit_bytes, needed)))


def _continued(
    terms: Terms, pods: Collection[GuardedPod], stored: LeakStatus, now: float
) -> tuple[GuardedPod | None, LeakStatus | None]:
    """Returns the pod to evict that was announced, and the report."""
    pod = next((pod for pod in pods if pod.name == stored.pod), None)
    if pod is None:
        done = stored.message.partition("; ")[0]
        return None, _dated(
            stored.model_copy(
                update={"state": "Replaced", "message": f"{done}; it was replaced by a new pod"}
            ),
            now,
        )
    if pod.deleting or _hindrance(pod, terms, pods):
        return None, stored
    return pod, stored


def _stuck(
    stuck: Sequence[_Risk],
    terms: Terms,
    pods: Collection[GuardedPod],
    stored: LeakStatus | None,
    now: float,
) -> LeakStatus | None:
    """Returns the report on pods that cannot be raised; None while there is time."""
    growing = [risk for risk in stuck if risk.growth is not None]
    if not growing:
        same = _same(stuck, stored, "Blocked")
        return _report("Blocked", same, now, _limited(same.pod, terms))
    first = growing[0]
    if first.pod.age_seconds < YOUNG_SECONDS or not _is_urgent(first, len(growing)):
        return None
    if terms.unevictable:
        same = _same(growing, stored, "Blocked")
        end = f"{_limited(same.pod, terms)}; it is not replaced: {terms.unevictable}"
        return _report("Blocked", same, now, end)
    if len(pods) == 1:
        remedy = "it is not replaced, because it is the only pod: set scaling.minReplicas: 2"
        return _report("Blocked", first, now, f"{_limited(first.pod, terms)}; {remedy}")
    if _hindrance(first.pod, terms, pods):
        return None
    end = f"{_limited(first.pod, terms)}; a new pod replaces it"
    return _report("Replacing", first, now, end)


def _same(risks: Sequence[_Risk], stored: LeakStatus | None, state: State) -> _Risk:
    """Returns the pod that is already reported in a state, or else the most urgent one.

    If several pods grow alike, the report would otherwise change with each reading.
    """
    if stored is not None and stored.state == state:
        for risk in risks:
            if risk.pod.name == stored.pod:
                return risk
    return risks[0]


def _is_urgent(risk: _Risk, count: int) -> bool:
    """Whether one of some pods must be replaced now, so that there is time for each."""
    seen = risk.growth.period_seconds if risk.growth is not None else 0.0
    return risk.seconds <= min(REPLACE_SECONDS * count, BELIEVED_TO_REPLACE * seen)


def _hindrance(pod: GuardedPod, terms: Terms, pods: Collection[GuardedPod]) -> str:
    """Returns why a pod cannot be replaced now; empty if it can."""
    others = [other for other in pods if other.name != pod.name]
    if terms.waits_for:
        return terms.waits_for
    if any(other.deleting for other in others):
        return "another pod ends"
    if not others or not all(other.ready for other in others):
        return "not all other pods are ready"
    return ""


def _found(risks: Sequence[_Risk], stored: LeakStatus | None, now: float) -> LeakStatus | None:
    found = None
    if stored is not None and stored.state == "Replacing":
        # The spec was Automatic before.
        stored = None
    if risks:
        end = "set tuning.leakGuard: Automatic to have it raised and replaced"
        found = _report("Growing", _same(risks, stored, "Growing"), now, end)
    return _kept(found, stored, now)


def _raised_before(
    terms: Terms, pods: Collection[GuardedPod], stored: LeakStatus | None, now: float
) -> LeakStatus | None:
    """Returns the report on a limit that a former process raised, if none is stored."""
    raised = [pod for pod in pods if not pod.deleting and pod.limit_bytes > terms.limit_bytes]
    if stored is not None or not raised:
        return None
    pod = raised[0]
    message = f"pod {pod.name}: {_raised(terms.limit_bytes, pod.limit_bytes)}"
    return _dated(LeakStatus(pod=pod.name, state="Raised", message=message, at=""), now)


def _kept(new: LeakStatus | None, stored: LeakStatus | None, now: float) -> LeakStatus | None:
    """Returns the new report; the stored one if that is of the same state, or still recent."""
    if new is None:
        # A report of the future is of a clock that was wrong.
        if stored is None or abs(now - _seconds(stored.at)) > KEPT_SECONDS:
            return None
        return stored
    is_same = stored is not None and (stored.state, stored.pod) == (new.state, new.pod)
    # A limit can be raised several times.
    if is_same and (new.state != "Raised" or _limits_of(new) == _limits_of(stored)):
        return stored
    return new


def _limits_of(report: LeakStatus | None) -> str:
    return report.message.rpartition("; ")[2] if report is not None else ""


def _report(state: State, risk: _Risk, now: float, end: str) -> LeakStatus:
    found = risk.growth
    per_request = found.bytes_per_request if found is not None else None
    return _dated(
        LeakStatus(
            pod=risk.pod.name,
            state=state,
            bytes_per_hour=round(found.bytes_per_second * 3600) if found is not None else None,
            bytes_per_request=round(per_request) if per_request is not None else None,
            message=f"{_course(risk)}; {end}",
            at="",
        ),
        now,
    )


def _course(risk: _Risk) -> str:
    memory, limit = _mebibytes(risk.memory_bytes), quantity.format_bytes(risk.pod.limit_bytes)
    if risk.growth is None:
        return f"pod {risk.pod.name} uses {memory} of its memory limit of {limit}"
    each = risk.growth.bytes_per_request
    of_requests = f", {each / 1024:.3g} KiB a request," if each is not None else ""
    minutes = max(1, round(risk.seconds / 60))
    return (
        f"the memory of pod {risk.pod.name} grows by {_rate(risk.growth.bytes_per_second)}"
        f"{of_requests} and fills its limit of {limit} in about {minutes} min"
    )


def _limited(pod: GuardedPod, terms: Terms) -> str:
    if pod.refused:
        return f"its limit cannot be raised: {pod.refused}"
    if pod.resizing_seconds is not None:
        return "its node has not raised its limit yet"
    return f"running pods get at most {quantity.format_bytes(terms.most_bytes)}"


def _raised(before: int, after: int) -> str:
    one, two = quantity.format_bytes(before), quantity.format_bytes(after)
    return f"its memory limit was raised from {one} to {two} without a restart"


def _rate(bytes_per_second: float) -> str:
    if bytes_per_second * 60 >= 2**20:
        return f"{bytes_per_second / 2**20:.2f} MiB/s"
    return f"{bytes_per_second * 3600 / 2**20:.3g} MiB/h"


def _mebibytes(amount: float) -> str:
    return f"{round(amount / 2**20)}Mi"


def _dated(report: LeakStatus, now: float) -> LeakStatus:
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return report.model_copy(update={"at": moment.strftime("%Y-%m-%dT%H:%M:%SZ")})


def _seconds(moment: str) -> float:
    try:
        return datetime.datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return 0.0
