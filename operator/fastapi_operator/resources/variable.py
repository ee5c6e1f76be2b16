"""A variable of the environment contract, and the processes of the image that get it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from fastapi_operator.resources.inputs import Inputs


@dataclass(frozen=True)
class SecretKey:
    """A value that is in a Secret."""

    secret: str
    key: str


Value = str | int | float | SecretKey | None


class Process(StrEnum):
    """A process of the app's image."""

    APP = "app"
    MIGRATION = "migration"
    BACKGROUND = "background"
    SCHEDULE = "schedule"


ALL = tuple(Process)
# The processes of the released version; a migration runs the next one.
SERVING = (Process.APP, Process.BACKGROUND, Process.SCHEDULE)


@dataclass(frozen=True)
class Variable:
    """One row of the contract.

    Attributes:
        name: The variable.
        meaning: Its meaning, for the documentation.
        value: Its value for a process of a service; None leaves it out.
        processes: The processes that get it.
    """

    name: str
    meaning: str
    value: Callable[[Inputs, Process], Value]
    processes: tuple[Process, ...] = (Process.APP,)
