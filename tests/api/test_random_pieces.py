"""A random piece of a pod is either applied or refused with its path, and never ignored.

The pieces are drawn from the API server's own types, and then damaged as in a mistake. A service
keeps one piece until the next one replaces it, as when its owner edits it.
"""

import copy
import os
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fastapi_operator.api import pod_pieces
from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.kube import RefusedError
from tests.api.world import World, eventually

PIECES = 2_000 if os.environ.get("FAULTS") == "full" else 50
DEPTH = 5
BASE: dict[str, Any] = {"scaling": {"replicas": 1}, "proxy": {"engine": "None"}}
# Most are names, and some are not.
WORDS = st.sampled_from(
    [
        "a",
        "b",
        "c",
        "d",
        "e",
        "keys",
        "token",
        "data",
        "extra",
        "/data",
        "TCP",
        "In",
        "5",
        "",
        "A B",
    ]
)
JUNK = st.sampled_from([None, True, "", "x", -1, 0.5, 7, 10**19, [], [None], ["a"], {}, {"a": 1}])
# A field of the spec, or of an object within it.
PATH = re.compile(r"\bspec\.\w+")


def _values(coded: str, depth: int) -> st.SearchStrategy[Any]:
    coded = coded.removesuffix("!")
    drawn: st.SearchStrategy[Any]
    if coded.startswith("["):
        inner = coded[1:-1].partition("#")[0]
        drawn = st.lists(_values(inner, depth - 1), min_size=1, max_size=2)
    elif coded.startswith("{"):
        drawn = st.dictionaries(WORDS, _values(coded[1:-1], depth - 1), max_size=2)
    elif coded in ("int32", "int64"):
        drawn = st.sampled_from([0, 1, 8000, -1, 2**31 - 1])
    elif coded == "boolean":
        drawn = st.booleans()
    elif coded in ("quantity", "intOrString"):
        drawn = st.sampled_from([1, "1", "100m", "1Gi", "http", "-1", "x"])
    elif coded in pod_pieces.pod_schema():
        drawn = _objects(coded, depth)
    else:
        drawn = WORDS
    return drawn


def _objects(name: str, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    fields = pod_pieces.pod_schema()[name]
    required = [field for field, coded in fields.items() if coded.endswith("!")]
    optional = sorted(fields.keys() - set(required)) if depth > 0 else []

    def chosen(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries(
            {field: _values(fields[field], depth - 1) for field in [*required, *names]}
        )

    most = 2 if optional else 0
    return st.lists(st.sampled_from(optional or [""]), max_size=most, unique=True).flatmap(chosen)


@st.composite
def pieces(draw: st.DrawFn) -> dict[str, Any]:
    """A spec with one piece of a pod, in which up to two values are wrong."""
    spec = copy.deepcopy(BASE)
    field = draw(st.sampled_from(sorted(pod_pieces.TYPES)))
    piece = copy.deepcopy(draw(_values(pod_pieces.TYPES[field], DEPTH)))
    holder = {field: piece}
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        container, key = draw(st.sampled_from(list(_places(holder))))
        match draw(st.sampled_from(["replace", "replace", "remove", "add"])):
            case "remove" if container is not holder:
                del container[key]
            case "add" if isinstance(container, dict) and container is not holder:
                container["unheardOf"] = 1
            case _:
                container[key] = copy.deepcopy(draw(JUNK))
    if field in ("affinity", "tolerations"):
        spec["availability"] = holder
    elif field in ("egressTo", "ingressFrom"):
        egress = {"egress": "Restricted"} if field == "egressTo" else {}
        spec["network"] = {**holder, **egress}
    elif field == "env" and draw(st.booleans()):
        spec["background"] = [{"name": "mail", "command": ["mail"], **holder}]
    else:
        spec |= holder
    return spec


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def test_a_random_piece_of_a_pod_is_applied_or_refused_with_its_path(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply(**BASE)
    world.until_ready()
    verdicts: Counter[str] = Counter()

    @settings(
        max_examples=PIECES,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        deadline=None,
    )
    @given(pieces())
    def check(spec: dict[str, Any]) -> None:
        verdicts[_verdict(world, spec)] += 1

    check()
    print(dict(verdicts))
    assert verdicts["applied"] and verdicts["refused"], verdicts
    world.apply(**BASE)
    world.until_ready()


def _verdict(world: World, spec: dict[str, Any]) -> str:
    try:
        generation = world.apply(**spec)["metadata"]["generation"]
    except RefusedError as error:
        # An apply that does not match the schema gets the status 500.
        assert error.status in (400, 422, 500) and PATH.search(error.message), (spec, error)
        return "refused by the CRD"

    def current() -> Any:
        body = world.service()
        status = body.get("status", {})
        return status.get("observedGeneration") == generation and status

    try:
        status = eventually(current)
    except AssertionError:
        pytest.fail(f"ignored: {spec}")
    conditions = {item["type"]: item for item in status["conditions"]}
    stalled, message = conditions["Stalled"], conditions["Ready"]["message"]
    assert "the operator failed" not in message, (spec, message)
    assert conditions["Reconciling"]["reason"] != "Retrying", (spec, message)
    if stalled["status"] == "True":
        assert PATH.search(message), (spec, message)
        return "refused"
    return "applied"
