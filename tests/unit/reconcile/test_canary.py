"""The states of a canary: each transition, and the end of a run that is disturbed at any time."""

import contextlib
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_operator.judge.verdict import Action, Limits
from fastapi_operator.reconcile.observe.canary_record import CanaryRecord, Look, Outcome, Phase
from fastapi_operator.reconcile.plan.canary import next_record
from fastapi_operator.reconcile.plan.canary_course import Course
from fastapi_operator.reconcile.plan.canary_situation import (
    EVERY,
    Requests,
    Situation,
    is_promoted,
    rollback_request,
)
from fastapi_operator.reconcile.plan.canary_stage import stage_of
from fastapi_operator.resources.stage import Stage
from fastapi_operator.tuning.canary import Divider

COURSE = Course(
    steps=(5, 50),
    step_seconds=60,
    max_wait_seconds=600,
    limits=Limits(min_requests=100),
    max_pods=5,
    deadline_seconds=300,
)
HOLDS = replace(COURSE, holds=True)
NEW = Situation(
    template="new",
    released="old",
    spec="spec-new",
    image="shop:2",
    course=COURSE,
    app_pods=4,
    canary_pods=9,
    settled=True,
    present=True,
)
ADVANCE = Look(Action.ADVANCE, "errors 0 %")
ABORT = Look(Action.ABORT, "errors 20 % of 100 requests, stable 0 %")
WAIT = Look(Action.WAIT, "3 of 100 requests in step 1")
BEGUN = CanaryRecord("new", "spec-new", "abcd1234", "shop:2", Phase.STARTING, since=0)
FIRST = replace(BEGUN, phase=Phase.PROGRESSING, step=1)


def after(
    record: CanaryRecord | None, now: int, look: Look | None = None, **changes: Any
) -> CanaryRecord | None:
    """The next record in a situation."""
    return next_record(record, replace(NEW, **changes), look, now)


def some(record: CanaryRecord | None) -> CanaryRecord:
    assert record is not None
    return record


# When there is a canary ---------------------------------------------------------------------------


def test_a_changed_pod_template_starts_one_with_the_pods_of_its_first_step() -> None:
    found = some(after(None, 7, present=False, requests=Requests(restart="r", rotate="t")))
    assert (found.phase, found.step, found.pods, found.since) == (Phase.STARTING, 0, 1, 7)
    assert (found.template, found.spec, found.image) == ("new", "spec-new", "shop:2")
    assert (found.restart, found.rotate, found.replaces) == ("r", "t", False)
    assert len(found.id) == 8


@pytest.mark.parametrize(
    "changes",
    [
        {"course": None},
        {"released": None},
        {"released": "new"},
        {"template": None},
        {"migrated": False},
        {"requests": Requests(promote=rollback_request("spec-new", 7)), "revision": 7},
        {"obstacle": "spec.port changed"},
        {"proxies_ready": False},
    ],
    ids=[
        "not requested",
        "first release",
        "same pods",
        "invalid",
        "migration",
        "rollback",
        "obstacle",
        "proxies",
    ],
)
def test_nothing_starts_otherwise(changes: dict[str, Any]) -> None:
    assert after(None, 0, **changes) is None


def test_a_rollback_is_about_the_release_that_it_replaces() -> None:
    requests = Requests(promote=rollback_request("spec-new", 7))
    assert after(None, 0, requests=requests, revision=7) is None
    assert some(after(None, 0, requests=requests, revision=8)).phase is Phase.STARTING


def test_the_spec_is_released_without_one_but_never_before_its_migration_or_promotion() -> None:
    for changes in ({"course": None}, {"released": None}, {"released": "new"}):
        assert is_promoted(None, replace(NEW, **changes))
    for phase in Phase:
        assert is_promoted(replace(BEGUN, phase=phase), NEW) is (phase is Phase.PROMOTING)
    of_another = replace(BEGUN, phase=Phase.PROMOTING, template="x", spec="y")
    assert not is_promoted(of_another, NEW)
    assert not is_promoted(None, NEW)


# The way to a release -----------------------------------------------------------------------------


def test_its_pods_get_no_share_until_they_are_ready() -> None:
    assert after(BEGUN, 5, canary_pods=0) == BEGUN
    assert stage_of(BEGUN, COURSE, settled=True) == Stage("abcd1234", 0, 0, 1, open=False)
    found = some(after(BEGUN, 9))
    assert (found.phase, found.step, found.since) == (Phase.PROGRESSING, 1, 9)
    assert stage_of(found, COURSE, settled=False) == Stage("abcd1234", 1, 5, 1)


def test_a_verdict_begins_with_the_first_step() -> None:
    early = Look(Action.WAIT, "0 of 50 requests in step 0", at=5)
    waiting = some(after(BEGUN, 5, early, canary_pods=0))
    assert (waiting.look.evidence, waiting.look.at) == ("", 5)
    assert some(after(waiting, 9)).look.evidence == ""


def test_without_nginx_no_client_gets_a_version_whose_requests_cannot_be_counted() -> None:
    course = replace(COURSE, divided_by=Divider.GATEWAY)
    # A Gateway finds its pods before it has a share.
    assert stage_of(BEGUN, course, settled=True) == Stage("abcd1234", 0, 0, 1, open=True)
    unread = Look(Action.HOLD, "requests of the canary version are not counted", at=5)
    waiting = some(after(BEGUN, 5, unread, course=course))
    assert (waiting.phase, waiting.step) == (Phase.STARTING, 0)
    assert some(after(waiting, 9, replace(WAIT, at=9), course=course)).step == 1
    failed = some(after(waiting, 301, course=course))
    assert (failed.phase, failed.outcome, failed.reason) == (
        Phase.ENDING,
        Outcome.ABORTED,
        "MetricsNotReadable",
    )
    assert failed.message == unread.evidence
    assert stage_of(failed, course, settled=False) is None


def test_after_an_earlier_canary_it_waits_until_no_proxy_gives_that_a_share() -> None:
    begun = replace(BEGUN, replaces=True)
    assert after(begun, 5, settled=False) == begun
    assert some(after(begun, 5)).phase is Phase.PROGRESSING
    assert some(after(BEGUN, 5, settled=False)).phase is Phase.PROGRESSING


def test_a_step_needs_its_time_and_the_judge() -> None:
    assert some(after(FIRST, 60, WAIT)).step == 1
    assert some(after(FIRST, 59, ADVANCE)).step == 1
    assert some(after(FIRST, 60, ADVANCE, migrated=False)).step == 1


def test_the_pods_of_a_step_start_before_its_share() -> None:
    more = some(after(FIRST, 60, ADVANCE, canary_pods=1))
    assert (more.step, more.pods) == (1, 4)
    assert after(more, 62, None, canary_pods=1) == replace(more, unready_since=62)
    found = some(after(more, 65, ADVANCE, canary_pods=4))
    assert (found.step, found.pods, found.since) == (2, 4, 65)
    # The verdict was about the former step.
    assert found.look.action is Action.WAIT


@pytest.mark.parametrize("app_pods", [1, 2, 3, 7, 20])
def test_a_pod_of_the_canary_has_no_more_requests_than_a_released_one(app_pods: int) -> None:
    course = replace(COURSE, steps=(*range(1, 51),), max_pods=20)
    for step, percent in enumerate(course.steps, 1):
        pods = course.pods(step, app_pods)
        assert percent * app_pods <= (100 - percent) * pods < percent * app_pods + 100 - percent
    assert replace(course, steps=(100,)).pods(1, app_pods) == app_pods
    assert course.pods(0, app_pods) == 0


def test_more_pods_of_the_app_need_more_of_the_canary_but_never_above_the_plan() -> None:
    half = replace(FIRST, step=2, pods=2)
    assert some(after(half, 5, app_pods=4)).pods == 4
    assert some(after(half, 5, app_pods=100)).pods == 5
    assert some(after(replace(half, pods=4), 5, app_pods=2)).pods == 4


def test_after_the_last_step_it_is_promoted_and_keeps_its_share_until_the_app_has_rolled_out() -> (
    None
):
    last = replace(FIRST, step=2, pods=2)
    found = some(after(last, 60, ADVANCE))
    assert found.phase is Phase.PROMOTING
    assert stage_of(found, COURSE, settled=True) == Stage("abcd1234", 2, 50, 2)
    assert after(found, 70) == found
    assert after(found, 80, released="new") == found
    ended = some(after(found, 90, released="new", app_ready=True))
    assert (ended.phase, ended.outcome) == (Phase.ENDING, Outcome.PROMOTED)
    assert stage_of(ended, COURSE, settled=True) is None
    assert after(ended, 99, released="new", settled=False, present=False) == ended
    assert after(ended, 99, released="new", settled=True, present=True) == ended
    assert after(ended, 99, released="new", settled=True, present=False) is None


def test_it_never_has_more_pods_than_the_plan_permits() -> None:
    half = replace(FIRST, step=2, pods=4)
    fewer = replace(COURSE, max_pods=2)
    assert some(after(half, 5, course=fewer)).pods == 2


# Failures -----------------------------------------------------------------------------------------


def test_a_worse_version_is_aborted_and_stays_aborted() -> None:
    found = some(after(FIRST, 7, ABORT))
    assert (found.phase, found.outcome, found.reason) == (
        Phase.ENDING,
        Outcome.ABORTED,
        "JudgedWorse",
    )
    assert found.message == ABORT.evidence
    done = some(after(found, 200, present=False))
    assert done.phase is Phase.ABORTED
    for now in (300, 10_000):
        assert after(done, now, ADVANCE, present=False) == done
    assert not is_promoted(done, NEW)


def test_an_upgrade_of_the_operator_gives_an_aborted_version_no_other_try() -> None:
    done = replace(BEGUN, phase=Phase.ABORTED)
    found = some(after(done, 5, template="built otherwise"))
    assert (found.phase, found.template) == (Phase.ABORTED, "built otherwise")
    assert not is_promoted(found, replace(NEW, template="built otherwise"))


def test_a_spec_that_cannot_be_built_for_a_while_gives_an_aborted_version_no_other_try() -> None:
    """Its profile has an error, or the quota of the namespace was reduced."""
    cannot: dict[str, Any] = {"template": None, "course": None, "canary_pods": 0}
    done = replace(BEGUN, phase=Phase.ABORTED, pods=0, outcome=Outcome.ABORTED)
    assert after(done, 5, present=False, **cannot) == done
    ending = replace(FIRST, phase=Phase.ENDING, outcome=Outcome.ABORTED)
    assert after(ending, 5, present=False, **cannot) == ending
    assert after(ending, 9, present=False) == replace(ending, phase=Phase.ABORTED, pods=0)
    failed = replace(FIRST, phase=Phase.HOLDING, failed=True, reason="JudgedWorse", message="m")
    found = some(after(failed, 5, **cannot))
    assert (found.phase, found.outcome, found.message) == (Phase.ENDING, Outcome.ABORTED, "m")
    # One that was no worse starts again.
    found = some(after(FIRST, 5, **cannot))
    assert (found.phase, found.outcome) == (Phase.ENDING, Outcome.WITHDRAWN)
    assert after(found, 9, present=False, **cannot) is None


def test_a_field_of_another_part_changes_nothing() -> None:
    found = some(after(FIRST, 5, spec="with more proxies"))
    assert found == replace(FIRST, spec="with more proxies")


def test_pods_that_do_not_become_ready_abort_it_at_the_deadline_with_their_cause() -> None:
    missing = {"canary_pods": 0, "diagnosis": "pod shop-canary-1: exit code 3"}
    assert after(BEGUN, 300, **missing) == BEGUN
    found = some(after(BEGUN, 301, **missing))
    assert (found.phase, found.reason) == (Phase.ENDING, "PodsNotReady")
    assert found.message.endswith(": pod shop-canary-1: exit code 3")
    later = some(after(FIRST, 10, **missing))
    assert later.unready_since == 10
    assert some(after(later, 20)).unready_since == 0
    assert some(after(later, 311, **missing)).reason == "PodsNotReady"
    # Another reason if no pod could run: it shows nothing about the version.
    assert some(after(BEGUN, 301, lacks_room=True, **missing)).reason == "NoRoom"


def test_a_step_without_a_decision_ends_at_its_bound() -> None:
    assert some(after(FIRST, 600, WAIT)).phase is Phase.PROGRESSING
    found = some(after(FIRST, 601, WAIT))
    assert (found.outcome, found.reason) == (Outcome.ABORTED, "NotDecided")
    assert "3 of 100 requests in step 1" in found.message
    lacking = some(after(FIRST, 601, replace(WAIT, lacks_requests=True)))
    assert (lacking.outcome, lacking.reason) == (Outcome.ABORTED, "TooFewRequests")


def test_time_without_a_look_is_none_of_the_step() -> None:
    """The service was suspended, no operator ran, or a clock was set forward."""
    seen = replace(FIRST, look=replace(WAIT, at=100))
    later = 100 + 2 * COURSE.max_wait_seconds
    found = some(after(seen, later, replace(WAIT, at=later)))
    assert (found.phase, found.since) == (Phase.PROGRESSING, later)
    unready = replace(seen, unready_since=100)
    found = some(after(unready, later, replace(WAIT, at=later), canary_pods=0))
    assert (found.phase, found.unready_since) == (Phase.PROGRESSING, later)
    # It is not promoted for a verdict of long ago either.
    found = some(after(replace(seen, step=2), later, replace(ADVANCE, at=later)))
    assert (found.phase, found.since) == (Phase.PROGRESSING, later)
    worse = some(after(seen, later, replace(ABORT, at=later)))
    assert worse.phase is Phase.ENDING


def test_a_step_does_not_last_until_the_time_of_a_clock_that_was_a_month_ahead() -> None:
    month = 30 * 86_400
    ahead = replace(FIRST, since=month)
    assert some(after(ahead, 5, WAIT)) == replace(FIRST, since=5, look=WAIT)
    unready = replace(FIRST, unready_since=month)
    assert some(after(unready, 5, canary_pods=0)).unready_since == 5
    # So the time after it, without a look, is none of the step.
    seen = some(after(replace(FIRST, look=replace(WAIT, at=month)), 5))
    later = 5 + 2 * COURSE.max_wait_seconds
    assert some(after(seen, later, replace(WAIT, at=later))).phase is Phase.PROGRESSING


def test_with_hold_a_worse_version_keeps_its_pods_without_a_share() -> None:
    found = some(after(FIRST, 7, ABORT, course=HOLDS))
    assert (found.phase, found.failed, found.outcome) == (Phase.HOLDING, True, None)
    # No proxy finds its pods until all have read that it has no share; then testers may.
    assert stage_of(found, HOLDS, settled=False) == Stage("abcd1234", 1, 0, 1, open=False)
    assert stage_of(found, HOLDS, settled=True) == Stage("abcd1234", 1, 0, 1, open=True)
    assert after(found, 100_000, ADVANCE, course=HOLDS) == found
    promoted = some(after(found, 9, course=HOLDS, requests=Requests(promote="abcd1234")))
    assert promoted.phase is Phase.PROMOTING
    aborted = some(after(found, 9, course=HOLDS, requests=Requests(abort="abcd1234")))
    assert (aborted.outcome, aborted.reason) == (Outcome.ABORTED, "JudgedWorse")


# Requests of people -------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.PROGRESSING, Phase.HOLDING])
def test_people_abort_and_promote_the_canary_that_they_name(phase: Phase) -> None:
    record = replace(FIRST, phase=phase)
    aborted = some(after(record, 5, requests=Requests(abort="abcd1234", promote="abcd1234")))
    assert (aborted.phase, aborted.reason) == (Phase.ENDING, "AbortRequested")
    promoted = some(after(record, 5, requests=Requests(promote="abcd1234")))
    assert promoted.phase is Phase.PROMOTING
    other = some(after(record, 5, requests=Requests(abort="of-other", promote="of-other")))
    assert other.phase in (Phase.PROGRESSING, Phase.STARTING)


def test_a_promotion_can_be_aborted_only_before_the_release() -> None:
    record = replace(FIRST, phase=Phase.PROMOTING)
    requests = Requests(abort="abcd1234")
    assert some(after(record, 5, requests=requests)).outcome is Outcome.ABORTED
    assert after(record, 5, requests=requests, released="new") == record


@pytest.mark.parametrize("hold", ["abcd1234", EVERY])
def test_it_holds_in_its_step_while_a_person_requests_it(hold: str) -> None:
    held = some(after(FIRST, 30, ADVANCE, requests=Requests(hold=hold)))
    assert (held.phase, held.step) == (Phase.HOLDING, 1)
    assert stage_of(held, COURSE, settled=True) == Stage("abcd1234", 1, 5, 1)
    assert some(after(held, 50_000, ADVANCE, requests=Requests(hold=hold))).phase is Phase.HOLDING
    # A worse version does not wait for a person.
    failed = some(after(held, 40, ABORT, requests=Requests(hold=hold)))
    assert failed.outcome is Outcome.ABORTED
    resumed = some(after(held, 90, ADVANCE))
    assert (resumed.phase, resumed.since) == (Phase.PROGRESSING, 90)


def test_an_aborted_version_is_released_if_a_person_promotes_it() -> None:
    done = replace(BEGUN, phase=Phase.ABORTED)
    found = some(after(done, 5, present=False, requests=Requests(promote="abcd1234")))
    assert found.phase is Phase.PROMOTING
    assert stage_of(found, COURSE, settled=True) is None
    both = Requests(promote="abcd1234", abort="abcd1234")
    assert after(done, 5, present=False, requests=both) == done


# Other specs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", Phase)
def test_a_newer_spec_starts_again_from_the_released_version(phase: Phase) -> None:
    record = replace(FIRST, phase=phase, restart="before")
    newer = {"template": "newer", "spec": "spec-newer", "requests": Requests(restart="later")}
    found = some(after(record, 5, **newer))
    assert (found.phase, found.template, found.step) == (Phase.STARTING, "newer", 0)
    assert found.id != record.id
    assert found.replaces
    running = phase not in (Phase.ENDING, Phase.ABORTED)
    assert found.restart == ("before" if running else "later")


@pytest.mark.parametrize(
    "other",
    [
        {"template": "old", "spec": "spec-old"},
        {"template": None, "spec": "spec-invalid"},
        {"course": None},
        {"template": "newer", "spec": "spec-newer", "migrated": False},
        {
            "template": "newer",
            "spec": "spec-newer",
            "requests": Requests(promote=rollback_request("spec-newer", 0)),
        },
    ],
    ids=["released", "invalid", "no canary", "migration", "rollback"],
)
@pytest.mark.parametrize("phase", Phase)
def test_a_spec_without_a_canary_of_its_own_ends_it(phase: Phase, other: dict[str, Any]) -> None:
    record = replace(FIRST, phase=phase)
    if phase is not Phase.ABORTED:
        ending = some(after(record, 5, **other))
        assert ending.phase is Phase.ENDING
        assert ending.outcome is (None if phase is Phase.ENDING else Outcome.WITHDRAWN)
        record = ending
    assert after(record, 9, present=False, **other) is None


# Any disturbance ----------------------------------------------------------------------------------

SPECS = ("old", "good", "bad", "stuck", "quiet")


class KilledError(Exception):
    """The operator was killed before a write."""


def share_of(stage: Stage | None) -> tuple[str, int, int] | None:
    """The input of the proxies' configuration."""
    return None if stage is None else (stage.canary, stage.step, stage.percent)


@dataclass
class Cluster:
    """The part of a cluster that a canary depends on, and the objects of the operator."""

    spec: str = "old"
    course: Course | None = COURSE
    requests: Requests = field(default_factory=Requests)
    migrated: bool = True
    now: int = 1000
    # The objects of the operator.
    record: CanaryRecord | None = None
    released: str = "old"
    app: str = "old"
    app_ready: bool = True
    canary: str | None = None
    ready: int = 0
    configured: Stage | None = None
    configured_at: int = 0
    history: list[str] = field(default_factory=lambda: ["old"])
    writes_left: int = -1

    def situation(self, stage: Stage | None) -> Situation:
        return Situation(
            template=self.spec,
            released=self.released,
            spec=f"spec-{self.spec}",
            course=self.course,
            migrated=self.migrated,
            requests=self.requests,
            app_pods=4,
            app_ready=self.app == self.spec and self.app_ready,
            canary_pods=self.ready if self.canary == self.spec else 0,
            present=self.canary is not None,
            settled=self.is_settled(stage),
        )

    def is_settled(self, stage: Stage | None) -> bool:
        read = self.now >= self.configured_at + 95
        return share_of(stage) == share_of(self.configured) and read

    def look(self) -> Look | None:
        record = self.record
        if record is None or record.phase not in (Phase.PROGRESSING, Phase.HOLDING):
            return None
        return {"good": ADVANCE, "bad": ABORT, "stuck": WAIT, "quiet": WAIT}.get(self.spec, WAIT)

    def reconcile(self, kill_at: int = -1) -> None:
        """One pass of the operator, which is killed before its n-th write; -1 is never."""
        self.writes_left = kill_at
        with contextlib.suppress(KilledError):
            self.write_all()

    def written(self) -> None:
        """Counts a write before it happens."""
        if self.writes_left == 0:
            raise KilledError
        self.writes_left -= 1

    def write_all(self) -> None:
        situation = self.move_on()
        stage = stage_of(self.record, self.course, settled=False)
        stage = stage_of(self.record, self.course, settled=self.is_settled(stage))
        self.write_canary(stage)
        self.write_proxies(stage)
        self.write_app(released=is_promoted(self.record, situation) and self.migrated)
        if stage is None and self.canary is not None and self.is_settled(None):
            self.written()
            self.canary, self.ready = None, 0

    def move_on(self) -> Situation:
        for _ in range(10):
            situation = self.situation(stage_of(self.record, self.course, settled=False))
            following = next_record(self.record, situation, self.look(), self.now)
            if following == self.record:
                return situation
            self.written()
            self.record = following
        raise AssertionError("the record does not settle")

    def write_canary(self, stage: Stage | None) -> None:
        if stage is None or (self.canary, self.ready) == (self.spec, stage.replicas):
            return
        self.written()
        self.ready = self.ready if self.canary == self.spec else 0
        self.canary = self.spec
        if self.spec != "stuck":
            self.ready = stage.replicas

    def write_proxies(self, stage: Stage | None) -> None:
        if self.configured == stage:
            return
        self.written()
        if share_of(self.configured) != share_of(stage):
            self.configured_at = self.now
        self.configured = stage

    def write_app(self, *, released: bool) -> None:
        if released and self.released != self.spec:
            self.written()
            self.released = self.spec
            self.history.append(self.spec)
            # Never without a promotion, by the judge or by a person.
            approved = self.course is None or self.requests.promote
            assert approved or self.spec in ("good", "old"), self.spec
        wanted = self.spec if released else self.released
        if self.app == wanted:
            self.app_ready = True
            return
        self.written()
        assert wanted in self.history, "the app runs what was never released"
        self.app, self.app_ready = wanted, False

    def run(self) -> None:
        """Runs undisturbed until nothing can change any more."""
        for _ in range(120):
            self.reconcile()
            self.now += 30

    @property
    def end(self) -> tuple[Any, ...]:
        """The end, as people see it."""
        phase = self.record.phase if self.record else None
        return phase, self.released, self.app, self.canary, self.configured


DISTURBANCES = st.one_of(
    st.tuples(st.just("spec"), st.sampled_from(SPECS)),
    st.tuples(st.just("kill"), st.integers(0, 6)),
    st.tuples(st.just("pass"), st.integers(0, 400)),
    st.tuples(st.just("course"), st.sampled_from([COURSE, HOLDS, None])),
    st.tuples(st.just("migrated"), st.booleans()),
    st.tuples(st.just("request"), st.sampled_from(["promote", "abort", "hold", "rollback", ""])),
    st.tuples(st.just("lose record"), st.just(0)),
    st.tuples(st.just("crash"), st.integers(0, 1)),
)


def disturb(cluster: Cluster, kind: str, value: Any) -> None:
    identity = cluster.record.id if cluster.record else "none"
    if kind == "spec":
        cluster.spec = value
    elif kind == "kill":
        cluster.reconcile(kill_at=value)
    elif kind == "pass":
        cluster.now += value
        cluster.reconcile()
    elif kind == "course":
        cluster.course = value
    elif kind == "migrated":
        cluster.migrated = value
    elif kind == "lose record":
        cluster.record = None
    elif kind == "crash":
        cluster.ready = min(cluster.ready, value)
    elif value == "rollback":
        cluster.requests = Requests(promote=f"spec-{cluster.spec}")
    else:
        cluster.requests = Requests(**{value: identity}) if value else Requests()


def undisturbed_end(spec: str, released: str) -> tuple[Any, ...]:
    """The end of a run in which a person only applies a spec over a released one."""
    calm = Cluster(released=released, app=released, history=[released])
    calm.spec = spec
    calm.run()
    return calm.end


def test_each_version_ends_as_it_deserves() -> None:
    assert undisturbed_end("good", "old") == (None, "good", "good", None, None)
    for spec in ("bad", "stuck", "quiet"):
        assert undisturbed_end(spec, "old") == (Phase.ABORTED, "old", "old", None, None)


@given(st.lists(DISTURBANCES, max_size=14), st.sampled_from(SPECS))
def test_whatever_happens_it_ends_as_an_undisturbed_run(
    happened: list[tuple[str, Any]], last: str
) -> None:
    cluster = Cluster()
    for kind, value in happened:
        disturb(cluster, kind, value)
    cluster.requests, cluster.course, cluster.migrated = Requests(), COURSE, True
    if cluster.spec == last and cluster.record is not None:
        # A person's decision about this very version stays.
        disturb(cluster, "spec", "old" if last != "old" else "good")
        cluster.reconcile()
    cluster.spec = last
    before = cluster.released
    cluster.run()
    assert cluster.end == undisturbed_end(last, before)


@given(st.sampled_from(SPECS), st.integers(0, 60), st.integers(0, 6))
def test_a_kill_at_any_write_changes_nothing(spec: str, passes: int, write: int) -> None:
    cluster = Cluster(spec=spec)
    for _ in range(passes):
        cluster.reconcile()
        cluster.now += 30
    cluster.reconcile(kill_at=write)
    cluster.run()
    assert cluster.end == undisturbed_end(spec, "old")
