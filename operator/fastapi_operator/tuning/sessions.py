"""Programs that need a database session for longer than a transaction, by the words of commands."""

import re
from collections.abc import Iterable, Iterator

from fastapi_operator.api.service import Spec
from fastapi_operator.problems import Problem, Severity, Stage

# Programs that LISTEN for new tasks, by their words in a command.
_LISTENERS = {"procrastinate": "procrastinate", "pgq": "PgQueuer", "pgqueuer": "PgQueuer"}


def session_problems(spec: Spec, *, pooled: bool) -> Iterator[Problem]:
    """Reports commands whose program would hear no notification through the pooler.

    Args:
        spec: The spec.
        pooled: Whether the operator's pooler is between the processes and the database.
    """
    database = spec.connections.database if spec.connections else None
    if not pooled or (database is not None and database.direct is not None):
        return
    commands: list[tuple[str, Iterable[str]]] = [
        ("spec.command", (*(spec.command or ()), *(spec.args or ())))
    ]
    for kind, entries in (("background", spec.background), ("schedules", spec.schedules)):
        for entry in entries or ():
            texts = (*entry.command, *(entry.args or ()))
            commands.append((f"spec.{kind}[{entry.name}].command", texts))
    for path, command in commands:
        found = (_LISTENERS.get(word) for text in command for word in re.split(r"[^\w-]+", text))
        program = next(filter(None, found), None)
        if program is not None:
            yield Problem(
                severity=Severity.WARNING,
                stage=Stage.PLAN,
                path=path,
                message=f"{program} uses LISTEN, and a pooler in transaction mode delivers no "
                "notification: tasks wait until the program looks for them",
                remedy="set spec.connections.database.direct, and give the program "
                "DATABASE_DIRECT_URL (docs/connections.md)",
            )
