import inspect
from typing import Any

import pytest

from fastapi_operator.api.service import Spec
from fastapi_operator.profiles import Profile
from fastapi_operator.tuning import effects, number
from fastapi_operator.tuning.decision import Because, Source
from fastapi_operator.tuning.number import Group, Number
from fastapi_operator.tuning.profile import ProfiledSpec


def doubled(*, threads: int, limit_bytes: int) -> Because[int]:
    return Because(2 * threads, "twice {threads}, within {limit_bytes}")


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Group:
    monkeypatch.setattr(number, "_GROUPS", [])
    group = Group("server", effects.APP_ROLLOUT)
    group.number("threads", unit="threads", field="server.threads")(doubled)
    return group


def profiled(threads: int | None = None, **profile: Any) -> ProfiledSpec:
    spec = Spec.model_validate({"image": "a:1", "server": {"threads": threads}})
    return ProfiledSpec(spec, {}, "team", Profile.model_validate(profile))


def test_a_reason_is_formatted_from_the_inputs_of_the_formula(group: Group) -> None:
    decision = group.decide(profiled(), threads=20, limit_bytes=2**28, unused=1)["threads"]

    assert decision.value == 40
    assert decision.reason == "twice 20, within 256Mi"
    assert set(decision.inputs) == set(inspect.signature(doubled).parameters)
    assert decision.display() == "40 threads"


def test_a_field_wins_over_the_formula_and_is_named(group: Group) -> None:
    decision = group.decide(profiled(7), threads=20, limit_bytes=1)["threads"]

    assert (decision.value, decision.source) == (7, Source.SPEC)
    assert decision.reason == "set by spec.server.threads"
    assert decision.inputs == {}


def test_a_formula_reads_the_numbers_before_it(group: Group) -> None:
    @group.number()
    def _limit_bytes(*, threads: int) -> Because[int]:
        return Because(threads, "one byte a thread of {threads}")

    decided = group.decide(profiled(7))
    assert decided["limit_bytes"].inputs == {"threads": 7}
    as_input = group.decide(profiled(), threads=decided["threads"], limit_bytes=0)["threads"]
    assert as_input.inputs == {"threads": 7, "limit_bytes": 0}


def test_a_ceiling_is_applied_when_the_number_is_decided(group: Group) -> None:
    group.constant("pods", 9, "nine", unit="pods", ceiling="proxy.replicas")

    team = profiled(1, ceilings={"proxy.replicas": 3})
    decision = group.decide(team)["pods"]
    assert (decision.value, decision.source) == (3, Source.PROFILE)
    assert decision.reason == "profile team allows at most 3; 9 pods would be derived"


def test_an_unknown_field_is_refused_when_the_number_is_declared(group: Group) -> None:
    with pytest.raises(ValueError, match="thread is not a field"):
        group.number("more", field="server.thread")(doubled)


def test_declared_numbers_are_listed_in_order(group: Group) -> None:
    group.constant("pre_stop_seconds", 10, "ten", evidence="judgement")

    names = [(item.name, item.unit) for item in number.declared()]
    assert names == [("server.threads", "threads"), ("server.pre_stop_seconds", "seconds")]
    *_, last = number.declared()
    assert isinstance(last, Number)
    assert last.explanation == "10 seconds: ten (judgement)."
