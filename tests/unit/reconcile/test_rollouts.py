"""Only a few services at a time roll out a change of the operator."""

from fastapi_operator.reconcile.observe.identity import ServiceKey
from fastapi_operator.reconcile.plan.rollouts import Rollouts

A, B, C = (ServiceKey("default", name) for name in "abc")


def rollouts(woken: list[ServiceKey], at_once: int = 1) -> Rollouts:
    made = Rollouts(limit=at_once, wake=woken.append)
    for key in (A, B, C):
        made.note_first(key, generation=1, operator_change=True)
    return made


def begins(made: Rollouts, key: ServiceKey, *, generation: int = 1, ready: bool = True) -> bool:
    return made.may_start(key, generation=generation, ready=ready)


def test_the_next_rollout_starts_when_a_service_is_ready_again() -> None:
    woken: list[ServiceKey] = []
    made = rollouts(woken)
    assert begins(made, A)
    assert begins(made, A), "a turn lasts until the service is ready"
    assert not begins(made, B)
    made.finish(A)
    assert woken == [B]
    assert begins(made, B)


def test_a_change_of_the_spec_does_not_wait() -> None:
    made = rollouts([])
    assert begins(made, A)
    assert begins(made, B, generation=2)
    assert not begins(made, C)


def test_a_service_that_was_not_ready_needs_no_slot() -> None:
    made = rollouts([])
    assert begins(made, A, ready=False)
    assert begins(made, B)


def test_only_the_first_reconciliation_finds_an_upgrade() -> None:
    made = Rollouts(limit=1, wake=lambda _: None)
    made.note_first(A, generation=1, operator_change=False)
    made.note_first(A, generation=1, operator_change=True)
    assert not made.is_waiting(A)


def test_a_deleted_service_frees_its_slot() -> None:
    woken: list[ServiceKey] = []
    made = rollouts(woken)
    assert begins(made, A)
    made.forget(A)
    assert woken == [B]
    made.forget(B)
    made.forget(C)
    assert made.waiting == 0


def test_a_slot_of_an_earlier_process_is_restored() -> None:
    woken: list[ServiceKey] = []
    made = rollouts(woken)
    made.restore(A)
    assert begins(made, A, ready=False), "a started rollout continues"
    assert not begins(made, B)
    made.finish(A)
    assert woken == [B]
