"""No text of a spec can say more in a configuration file than the template lets it."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

import fastapi_operator
from fastapi_operator.api.parse import parse_service
from fastapi_operator.cluster.kinds import optional_apis
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Severity
from fastapi_operator.resources.build import build
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.golden.cases import CASES, load
from tests.unit.services import body
from tests.unit.spec_strategies import specs

FACTS = Facts(apis=optional_apis())
TEMPLATES = Path(fastapi_operator.__file__).parent / "templates"

# Files by the program that reads them; a feature's directives come with its golden case.
READERS = {
    "nginx.conf": "nginx",
    "pgbouncer.ini": "pgbouncer",
    "postgresql.conf": "postgres",
    "reloadable.conf": "postgres",
    "redis.conf": "redis",
    "valkey.conf": "redis",
}


def configuration(objects: Any) -> Iterator[tuple[str, str]]:
    """Every configuration file in a ConfigMap, by its reader."""
    for desired in objects:
        if desired.key.kind == "ConfigMap":
            for name, text in desired.body.get("data", {}).items():
                if name in READERS:
                    yield READERS[name], text


def statements(text: str) -> Iterator[str]:
    """The statements of an nginx.conf, quoted texts left out, as nginx itself would split it."""
    statement, depth, rest = "", 0, re.sub(r"(?m)^\s*#.*$", "", text)
    while rest:
        quoted = re.match(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", rest, re.DOTALL)
        if quoted:
            statement, rest = statement + "TEXT", rest[quoted.end() :]
            continue
        character, rest = rest[0], rest[1:]
        assert character not in "\"'" or statement.split()[:1] == ["location"], "an open quote"
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0, "closes a block too many"
        if character in ";{}":
            if statement.strip():
                yield statement.strip()
            statement = ""
        else:
            statement += character
    assert depth == 0, "leaves a block open"
    assert not statement.strip(), statement


def words(name: str, text: str) -> set[str]:
    """The directives or keys that a file has."""
    if name == "nginx":
        found = (statement.split()[0] for statement in statements(text))
        # A map contains values of headers and addresses.
        return {word for word in found if re.fullmatch(r"[a-z_]+", word)}
    return set(re.findall(r"(?m)^([A-Za-z_.-]+)(?= |=)", text))


@functools.cache
def known_words() -> dict[str, set[str]]:
    known: dict[str, set[str]] = {}
    for case in CASES:
        for name, text in configuration(load(case).objects):
            known[name] = known.get(name, set()) | words(name, text)
    return known


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(specs(most_fields=6))
def test_random_services_add_no_directive_to_the_templates(
    spec: dict[str, Any],
) -> None:
    service, _ = parse_service(body(spec))
    if service is None:
        return
    plan = derive(service, Settings(), FACTS)
    if any(problem.severity is Severity.ERROR for problem in plan.problems):
        return
    for name, text in configuration(build(service, plan, Settings(), FACTS)):
        assert words(name, text) <= known_words()[name], name


def test_only_builders_declare_directories() -> None:
    """A builder mounts a volume there and hands the path to its templates.

    A Dockerfile names the directories of its image, not those of volumes.
    """
    for template in TEMPLATES.glob("*.j2"):
        if "Dockerfile" in template.name:
            continue
        found = re.findall(r"/(?:etc|run|var/lib|var/cache|srv)/\S*", template.read_text())
        assert not found, template.name
