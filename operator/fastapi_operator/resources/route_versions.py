"""How a Gateway divides the requests between two versions: the rules of an HTTPRoute."""

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi_operator.judge.counts import Version
from fastapi_operator.parts import Part
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.tuning.canary import CanaryPlan, Divider

_Rule = dict[str, Any]


def divided(inputs: Inputs, rules: Sequence[_Rule]) -> list[_Rule]:
    """Returns the rules of an HTTPRoute with the weights and the header of both versions.

    Weights are in percent, so that each rule has the whole share. While a canary has none, the
    route does not name its Service.

    Args:
        inputs: The service.
        rules: The rules that lead to the released version.
    """
    plan = inputs.plan.canary
    if plan is None or plan.divided_by is not Divider.GATEWAY:
        return list(rules)
    return [version for rule in rules for version in _versions_of(inputs, plan, rule)]


def _versions_of(inputs: Inputs, plan: CanaryPlan, rule: _Rule) -> Iterator[_Rule]:
    (stable,) = rule["backendRefs"]
    canary = {**stable, "name": inputs.name_of(Part.CANARY), "port": inputs.app_port}
    stage = inputs.stage
    if plan.version_header and plan.everyone_tests and stage is not None and stage.step:
        # Of two rules for a path and a method, a Gateway takes that with more headers.
        for version, backend in ((Version.CANARY, canary), (Version.STABLE, stable)):
            header = {"name": plan.version_header, "value": version.value}
            matches = [{**match, "headers": [header]} for match in rule["matches"]]
            yield {**rule, "matches": matches, "backendRefs": [backend]}
    if plan.version_header:
        # Another value, or that of a client that may not choose.
        removed = {"remove": [plan.version_header]}
        stripped = {"type": "RequestHeaderModifier", "requestHeaderModifier": removed}
        rule = {**rule, "filters": [*rule.get("filters", ()), stripped]}
    if stage is not None and stage.percent:
        shares = ((stable, 100 - stage.percent), (canary, stage.percent))
        rule = {**rule, "backendRefs": [{**to, "weight": weight} for to, weight in shares]}
    yield rule
