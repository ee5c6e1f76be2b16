import inspect

from fastapi_operator.tuning import effects
from fastapi_operator.tuning.decision import Because, Source, decide, overridden


def doubled(*, threads: int, limit_bytes: int) -> Because[int]:
    return Because(2 * threads, "twice {threads}, within {limit_bytes}")


def test_a_reason_is_formatted_from_what_the_formula_saw() -> None:
    decision = decide(
        "server.threads",
        doubled,
        unit="threads",
        effect=effects.APP_ROLLOUT,
        threads=20,
        limit_bytes=2**28,
    )

    assert decision.value == 40
    assert decision.reason == "twice 20, within 256Mi"
    assert set(decision.inputs) == set(inspect.signature(doubled).parameters)
    assert decision.display() == "40 threads"


def test_a_set_value_wins_and_names_who_set_it() -> None:
    decision = decide(
        "server.threads",
        doubled,
        unit="threads",
        effect=effects.APP_ROLLOUT,
        override=overridden(7, "spec.server.threads"),
        threads=20,
        limit_bytes=1,
    )

    assert (decision.value, decision.source) == (7, Source.SPEC)
    assert decision.reason == "set by spec.server.threads"
    assert decision.inputs == {}


def test_a_decision_stands_for_its_value_as_an_input() -> None:
    threads = decide(
        "server.threads", lambda: Because(20, "so"), unit="threads", effect=effects.APP_ROLLOUT
    )
    decision = decide(
        "x.y", doubled, unit="", effect=effects.APP_ROLLOUT, threads=threads, limit_bytes=0
    )

    assert decision.inputs == {"threads": 20, "limit_bytes": 0}
