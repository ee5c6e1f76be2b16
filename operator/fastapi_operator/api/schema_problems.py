"""Converts validation errors of pydantic to problems with value, cause and remedy."""

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


def is_redundant(detail: ErrorDetails) -> bool:
    """Whether an error follows from others: pydantic counts a list without its invalid items."""
    return detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]


def problem(root: str, model: type[BaseModel], detail: ErrorDetails) -> Problem:
    """Converts one error to a problem.

    Args:
        root: Path of the validated object, for example ``spec``.
        model: Model of the object.
        detail: The error.
    """
    # Pydantic marks an invalid key of a mapping in the location.
    location = [part for part in detail["loc"] if part != "[key]"]
    message, remedy = _message_and_remedy(model, location, detail)
    return Problem(
        severity=Severity.ERROR,
        stage=Stage.SCHEMA,
        path=_path(root, location),
        message=message,
        remedy=remedy,
    )


def _message_and_remedy(
    model: type[BaseModel], location: list[str | int], detail: ErrorDetails
) -> tuple[str, str]:
    value, cause = detail["input"], detail["msg"]
    example = _example(model, location)
    match detail["type"]:
        case "extra_forbidden":
            result = "unknown field", _nearest_field(model, location)
        case "missing":
            result = "is required", example
        case "literal_error":
            choices = str(detail["ctx"]["expected"])
            nearest = _nearest(value, choices.split("'"))
            suggestion = f"; {nearest}" if nearest else ""
            result = f"{_shown(value)} is not supported", f"use {choices}{suggestion}"
        case "value_error":
            result = cause.removeprefix("Value error, "), ""
        case "string_pattern_mismatch":
            result = f"{_shown(value)} must match {detail['ctx']['pattern']}", example
        case "string_type" if isinstance(value, int | float):
            result = f"{_shown(value)} must be a string", f'quote it: "{_shown(value)}"'
        case "int_type" | "bool_type" if isinstance(value, str):
            kind = "an integer" if detail["type"] == "int_type" else "true or false"
            result = f"{_shown(value)} must be {kind} without quotes", example
        case "model_type":
            result = f"{_shown(value)} must be a mapping", "write {} for all defaults"
        case "tuple_type":
            result = f"{_shown(value)} must be a list", example
        case _:
            rest = cause.partition(" ")[2].replace(" after validation", "")
            result = f"{_shown(value)} {rest.replace('should', 'must', 1)}", ""
    return result


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
    """Returns the section at a location; indexes of lists are skipped."""
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
    return f"for example {json.dumps(field.examples[0], ensure_ascii=False)}"


def _nearest_field(model: type[BaseModel], location: list[str | int]) -> str:
    """Suggests the nearest known field, or lists the known fields of the section."""
    section = _section(model, location[:-1])
    if section is None:
        return ""
    names = [name for name, _ in fields_of(section)]
    return _nearest(location[-1], names) or f"known fields are {', '.join(names)}"


def _nearest(word: Any, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(str(word).lower(), by_lower, n=1)
    return f"did you mean {by_lower[close[0]]}?" if close else ""
