"""What a validation error means to the person who wrote the field: value, rule and remedy."""

import difflib
import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from fastapi_operator.api.model import fields_of, section_of
from fastapi_operator.problems import Problem, Severity, Stage

_SHOWN_LENGTH = 80


def is_echo(detail: ErrorDetails) -> bool:
    """Whether an error only repeats others: a list counts as too short without its wrong items."""
    return detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]


def problem(root: str, model: type[BaseModel], detail: ErrorDetails) -> Problem:
    """The problem that an error of pydantic stands for.

    Args:
        root: Path of the object that was validated, such as ``spec``.
        model: Its model.
        detail: The error.
    """
    # The key of a map that is wrong itself is marked in the location.
    location = [part for part in detail["loc"] if part != "[key]"]
    message, remedy = _told(model, location, detail)
    return Problem(
        severity=Severity.ERROR,
        stage=Stage.SCHEMA,
        path=_path(root, location),
        message=message,
        remedy=remedy,
    )


def _told(
    model: type[BaseModel], location: list[str | int], detail: ErrorDetails
) -> tuple[str, str]:
    """Message and remedy."""
    value, told = detail["input"], detail["msg"]
    example = _example(model, location)
    match detail["type"]:
        case "extra_forbidden":
            answer = "unknown field", _nearest_field(model, location)
        case "missing":
            answer = "is required", example
        case "literal_error":
            choices = str(detail["ctx"]["expected"])
            nearest = _nearest(value, choices.split("'"))
            answer = f"is {_shown(value)}; should be {choices}", nearest
        case "value_error":
            answer = told.removeprefix("Value error, "), ""
        case "string_pattern_mismatch":
            answer = f"{_shown(value)} should match {detail['ctx']['pattern']}", example
        case "string_type" if isinstance(value, int | float):
            answer = f"{_shown(value)} is no text", f'quote it: "{_shown(value)}"'
        case "int_type" | "bool_type" if isinstance(value, str):
            kind = "a whole number" if detail["type"] == "int_type" else "true or false"
            answer = f"{_shown(value)} should be {kind} without quotes", example
        case "model_type":
            answer = f"{_shown(value)} should be a section", "write {} for all defaults"
        case "tuple_type":
            answer = f"{_shown(value)} should be a list", example
        case _:
            said = told.partition(" ")[2].replace(" after validation", "")
            answer = f"{_shown(value)} {said}", ""
    return answer


def _path(root: str, location: Iterable[str | int]) -> str:
    path = root
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path


def _shown(value: Any) -> str:
    if isinstance(value, str):
        text = repr(value)
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"


def _section(model: type[BaseModel], location: Iterable[str | int]) -> type[BaseModel] | None:
    """The section at a location; the items of a list are sections of one kind."""
    section: type[BaseModel] | None = model
    for part in location:
        if section is not None and isinstance(part, str):
            field = _field(section, part)
            section = section_of(field.annotation) if field is not None else None
    return section


def _field(section: type[BaseModel], name: str) -> FieldInfo | None:
    return dict(fields_of(section)).get(name)


def _example(model: type[BaseModel], location: list[str | int]) -> str:
    names = [part for part in location if isinstance(part, str)]
    section = _section(model, names[:-1])
    field = _field(section, names[-1]) if section is not None and names else None
    if field is None or not field.examples:
        return ""
    return f"such as {json.dumps(field.examples[0], ensure_ascii=False)}"


def _nearest_field(model: type[BaseModel], location: list[str | int]) -> str:
    """Which field was perhaps meant, among those of the section that has the unknown one."""
    section = _section(model, location[:-1])
    if section is None:
        return ""
    names = [name for name, _ in fields_of(section)]
    return _nearest(location[-1], names) or f"known are {', '.join(names)}"


def _nearest(word: Any, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(str(word).lower(), by_lower, n=1)
    return f"did you mean {by_lower[close[0]]}?" if close else ""
