"""Checks the final environment of each process, with the fields from which it came.

A variable that suits the app may break another process: a migration has another user and another
host, and Kubernetes leaves a ``$(NAME)`` that a process does not have as it is.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi_operator.api.schedule import Background, Schedule
from fastapi_operator.api.workload import Network
from fastapi_operator.parts import Part
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.resources.connections import contract_name, direct_section, own_names
from fastapi_operator.resources.environment import CONTRACT, environment
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.variable import Process
from fastapi_operator.tuning.plan import ProcessPlan

_CONTRACT_NAMES = frozenset(variable.name for variable in CONTRACT)
# Names that libpq reads. The contract has them only if a URL has no credentials.
_LIBPQ_NAMES = frozenset({"PGUSER", "PGPASSWORD"})
# The parts of a connection whose values differ between processes.
_OF_ONE_PROCESS = frozenset(
    contract_name("database", source)
    for source in ("Host", "Port", "Name", "Username", "Password", "Url")
)
# As Kubernetes expands them: $$ is a dollar sign.
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


@dataclass(frozen=True)
class _Use:
    """A process of the service and its final environment.

    Attributes:
        label: The process, for messages.
        process: Its kind.
        env: Its final environment.
        own: The names that its own section sets.
        path: The path of that section's variables.
        texts: The fields of its section in which Kubernetes expands variables too.
    """

    label: str
    process: Process
    env: Sequence[Mapping[str, Any]]
    own: frozenset[str] = frozenset()
    path: str = "spec.env"
    texts: Mapping[str, str] = dataclasses.field(default_factory=dict)


def environment_problems(inputs: Inputs) -> Iterator[Problem]:
    """Yields the problems of the variables of all processes.

    Args:
        inputs: The service; its plan has no error.
    """
    uses = tuple(_uses(inputs))
    yield from _own_name_problems(inputs)
    yield from _unknown_references(inputs, uses)
    broken = tuple(_unreachable_hosts(inputs, uses))
    yield from broken
    reported = {problem.path for problem in broken}
    yield from (item for item in _overrides(inputs) if item.path not in reported)


def _uses(inputs: Inputs) -> Iterator[_Use]:
    """Yields every process, the app first."""
    spec = inputs.spec
    yield _Use(
        "the app",
        Process.APP,
        environment(inputs, Process.APP),
        texts=_texts("spec", spec.command, spec.args),
    )
    migrations = spec.postgres.migrations if spec.postgres else None
    if migrations is not None:
        section, own = "spec.postgres.migrations", migrations.env or ()
        yield _Use(
            "the migration",
            Process.MIGRATION,
            environment(inputs, Process.MIGRATION, own),
            frozenset(str(entry.get("name")) for entry in own),
            f"{section}.env",
            _texts(section, migrations.command, None),
        )
    yield from _process_uses(inputs, spec.background, inputs.plan.background)
    yield from _process_uses(inputs, spec.schedules, inputs.plan.schedules)


def _process_uses(
    inputs: Inputs,
    entries: Sequence[Background | Schedule] | None,
    plans: Sequence[ProcessPlan],
) -> Iterator[_Use]:
    pairs: Iterable[tuple[Background | Schedule, ProcessPlan]] = zip(
        entries or (), plans, strict=True
    )
    for entry, plan in pairs:
        background = isinstance(entry, Background)
        process = Process.BACKGROUND if background else Process.SCHEDULE
        section = f"spec.{'background' if background else 'schedules'}[{entry.name}]"
        of_process = dataclasses.replace(inputs, process=plan)
        yield _Use(
            f"{process.value} {entry.name}",
            process,
            environment(of_process, process, entry.env or ()),
            frozenset(str(item.get("name")) for item in entry.env or ()),
            f"{section}.env",
            _texts(section, entry.command, entry.args),
        )


def _texts(
    section: str, command: Sequence[str] | None, args: Sequence[str] | None
) -> dict[str, str]:
    """Returns the texts of a command line by path."""
    lists = {"command": command, "args": args}
    return {
        f"{section}.{name}[{index}]": text
        for name, texts in lists.items()
        for index, text in enumerate(texts or ())
    }


def _own_name_problems(inputs: Inputs) -> Iterator[Problem]:
    of_spec = {str(entry.get("name")) for entry in inputs.spec.env or ()}
    contract = {str(entry["name"]): entry for entry in environment(_unnamed(inputs), Process.APP)}
    seen: set[str] = set()
    for section, name, source in own_names(inputs.spec):
        path = f"spec.connections.{section}.env.{name}"
        if name in of_spec:
            yield _error(path, f"{name} is also in spec.env", "remove one of them")
        elif name in _CONTRACT_NAMES - _LIBPQ_NAMES:
            yield _error(
                path,
                f"{name} is a name of the environment contract, which every process has already",
                "remove it; docs/reference/environment.md lists these names",
            )
        elif name in seen:
            yield _error(path, f"{name} is in two sections of spec.connections", "remove one")
        seen.add(name)
        value = contract.get(contract_name(section, source))
        if value is None:
            yield _unavailable(path, section, source)
        elif name in contract and name in _LIBPQ_NAMES and not _is_same(contract[name], value):
            yield _error(
                path,
                f"drivers read {name} for DATABASE_DIRECT_URL, whose credentials are others",
                "choose another name",
            )


def _unnamed(inputs: Inputs) -> Inputs:
    """Returns the inputs without the app's own names and variables."""
    spec = inputs.spec
    connections = spec.connections
    if connections is not None:
        sections = {
            name: section.model_copy(update={"env": None})
            for name in ("database", "redis", "queue")
            if (section := getattr(connections, name)) is not None
        }
        connections = connections.model_copy(update=sections)
    spec = spec.model_copy(update={"env": None, "connections": connections})
    return dataclasses.replace(inputs, service=inputs.service.model_copy(update={"spec": spec}))


def _is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return {**one, "name": ""} == {**other, "name": ""}


def _unavailable(path: str, section: str, source: str) -> Problem:
    secret = f"spec.{section}.secretRef"
    key = f"{secret}.key" if source == "Url" else f"{secret}.keys.{source.lower()}"
    return _error(
        path,
        f"{source} of an external {section} is not known: the Secret has one value for each key",
        f"name its key in {key}",
    )


def _unknown_references(inputs: Inputs, uses: Sequence[_Use]) -> Iterator[Problem]:
    """Yields each ``$(NAME)`` that a process does not have, with all such processes."""
    missing: dict[tuple[str, str], list[str]] = {}
    own = {name for _, name, _ in own_names(inputs.spec)}
    for use in uses:
        known: set[str] = set()
        for entry in use.env:
            name = str(entry.get("name"))
            for reference in _references(entry.get("value")):
                # The keys of a ConfigMap or Secret are not known here.
                could_be = inputs.spec.env_from and reference not in _CONTRACT_NAMES | own
                if reference not in known and not could_be:
                    path = use.path if name in use.own else "spec.env"
                    missing.setdefault((f"{path}[{name}]", reference), []).append(use.label)
            known.add(name)
        for path, text in use.texts.items():
            for reference in _references(text):
                # In a shell, $(date) is a command.
                if reference in _CONTRACT_NAMES | own and reference not in known:
                    missing.setdefault((path, reference), []).append(use.label)
    for (path, reference), labels in missing.items():
        yield _error(
            path,
            f"$({reference}) is not a variable of {_listed(labels)}, or comes after it; "
            "Kubernetes leaves it as it is",
            f"set {reference} before it, or use a variable that each process has "
            f"(docs/connections.md); for the text itself, write $$({reference})",
        )


def _unreachable_hosts(inputs: Inputs, uses: Sequence[_Use]) -> Iterator[Problem]:
    """Yields each variable with the name of a server that does not accept the process."""
    pooler, database = inputs.name_of(Part.POOLER), inputs.name_of(Part.DATABASE)
    policies = (inputs.spec.network or Network()).policies != "Disabled"
    pooled = inputs.plan.pooler is not None
    for use in uses:
        for entry in use.env:
            name, value = str(entry.get("name")), str(entry.get("value") or "")
            path = f"{use.path}[{name}]"
            if name not in use.own:
                path = f"spec.env[{name}]"
                if not any(item.get("name") == name for item in inputs.spec.env or ()):
                    continue
            if use.process is Process.MIGRATION:
                if pooled and _names_host(value, pooler):
                    yield _error(
                        path,
                        f"{pooler} is the pooler, which refuses the user of the migration; a "
                        "migration connects to the database itself",
                        _CONNECTIONS,
                    )
            elif (
                pooled
                and policies
                and _names_host(value, database)
                and direct_section(inputs.spec) is None
            ):
                yield _error(
                    path,
                    f"{database} accepts only the pooler and migrations, not {use.label}",
                    f"{_CONNECTIONS}; for LISTEN and session locks, set "
                    "spec.connections.database.direct",
                )


_CONNECTIONS = (
    "remove it: spec.connections.database.driver sets the scheme of DATABASE_URL, and "
    "spec.connections.database.env gives every process its own values under your names"
)


def _overrides(inputs: Inputs) -> Iterator[Problem]:
    """Yields the user's variables that replace different values of several processes."""
    postgres = inputs.spec.postgres
    if postgres is None or postgres.migrations is None:
        return
    own = {entry.get("name") for entry in postgres.migrations.env or ()}
    for entry in inputs.spec.env or ():
        name = str(entry.get("name"))
        follows = any(item in _CONTRACT_NAMES for item in _references(entry.get("value")))
        if name in _OF_ONE_PROCESS - own and not follows:
            yield Problem(
                Severity.WARNING,
                Stage.PLAN,
                f"spec.env[{name}]",
                "replaces the value of every process, also of the migration, which has another "
                "user and host than the app",
                "if the migration needs its own, use spec.connections.database, or set it in "
                "spec.postgres.migrations.env as well",
            )


def _names_host(value: str, host: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9.-]){re.escape(host)}(?![A-Za-z0-9-])", value) is not None


def _references(value: object) -> Iterator[str]:
    for match in _REFERENCE.finditer(value if isinstance(value, str) else ""):
        if match[1]:
            yield match[1]


def _listed(names: Sequence[str]) -> str:
    return " and ".join((", ".join(names[:-1]), names[-1])) if names[1:] else names[0]


def _error(path: str, message: str, remedy: str) -> Problem:
    return Problem(Severity.ERROR, Stage.PLAN, path, message, remedy)
