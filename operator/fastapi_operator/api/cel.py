"""Evaluates the rules of ``rules.py`` as the API server does at admission."""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cel_expr_python import cel

from fastapi_operator.api.fields import Path, split
from fastapi_operator.api.rules import RULES, Rule
from fastapi_operator.problems import Problem, Severity, Stage

_READ = re.compile(r"\bself\.(\w+)")


def broken_rules(
    spec: Mapping[str, Any], *, changed: frozenset[Path] | None = None
) -> Iterator[Problem]:
    """Yields a problem for each rule that a spec violates.

    Args:
        spec: The spec as the user wrote it (camelCase), valid by its schema.
        changed: Fields that differ from a spec without violations; only rules that read them are
            evaluated. None evaluates all rules.
    """
    for rule in RULES if changed is None else _rules_that_read(changed):
        for path, section in _sections(spec, rule.path):
            if not holds(rule, section):
                yield Problem(
                    severity=Severity.ERROR,
                    stage=Stage.RULE,
                    path=f"{path}.{rule.field}",
                    message=rule.message,
                )


@functools.lru_cache(maxsize=256)
def _rules_that_read(changed: frozenset[Path]) -> tuple[Rule, ...]:
    return tuple(
        rule
        for rule in RULES
        if any(_overlap(read, path) for read in _reads(rule) for path in changed)
    )


def _reads(rule: Rule) -> set[Path]:
    """Returns the fields that a rule reads, or its whole section if it names none."""
    section = () if rule.path == "spec" else split(rule.path.replace("[]", ""))
    return {(*section, name) for name in _READ.findall(rule.expression)} or {section}


def _overlap(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _sections(spec: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """Yields every section at a rule's path."""
    found: list[tuple[str, Any]] = [("spec", spec)]
    for name in path.split(".")[1:]:
        field = name.removesuffix("[]")
        found = [(f"{at}.{field}", value[field]) for at, value in found if field in value]
        if name.endswith("[]"):
            found = [
                (f"{at}[{index}]", item) for at, items in found for index, item in enumerate(items)
            ]
    yield from found


def holds(rule: Rule, section: Mapping[str, Any]) -> bool:
    """Whether a section satisfies a rule; an evaluation error counts as a violation."""
    result = _compiled(rule.expression).eval(data={"self": section})
    return result.type() == cel.Type.BOOL and result.value() is True


@functools.cache
def _compiled(expression: str) -> Any:
    return _environment().compile(expression)


@functools.cache
def _environment() -> Any:
    return cel.NewEnv(variables={"self": cel.Type.DYN})
