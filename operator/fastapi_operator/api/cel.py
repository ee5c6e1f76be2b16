"""Evaluates the rules of ``rules.py`` on a spec, as the API server does at admission."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from cel_expr_python import cel

from fastapi_operator.api.rules import RULES, Rule
from fastapi_operator.problems import Problem, Severity, Stage


def broken_rules(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """The rules that a spec breaks; an evaluation error counts as refusal, as in the API server.

    Args:
        spec: The spec as the user wrote it (camelCase), already valid by schema.
    """
    for rule in RULES:
        for path, section in _sections(spec, rule.path):
            if not _holds(rule, section):
                yield Problem(
                    severity=Severity.ERROR,
                    stage=Stage.RULE,
                    path=f"{path}.{rule.field}",
                    message=rule.message,
                )


def _sections(spec: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """Every section that a rule is of, with its path."""
    found: list[tuple[str, Any]] = [("spec", spec)]
    for name in path.split(".")[1:]:
        field = name.removesuffix("[]")
        found = [(f"{at}.{field}", value[field]) for at, value in found if field in value]
        if name.endswith("[]"):
            found = [
                (f"{at}[{index}]", item) for at, items in found for index, item in enumerate(items)
            ]
    yield from found


def _holds(rule: Rule, section: Mapping[str, Any]) -> bool:
    result = _compiled(rule.expression).eval(data={"self": section})
    return result.type() == cel.Type.BOOL and result.value() is True


@functools.cache
def _compiled(expression: str) -> Any:
    return cel.NewEnv(variables={"self": cel.Type.DYN}).compile(expression)
