"""Values that a project publishes for its variables, for example in ``.env.example``."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from fastapi_operator.project import dotenv
from fastapi_operator.project.source import Project, read_text
from fastapi_operator.project.variable import Variable

_FILE = re.compile(r"(\.?env[._-](example|sample|template|dist|defaults?)|(example|sample)\.env)")
# A value that its reader replaces, or an address that only a laptop has.
_PLACEHOLDER = re.compile(
    r"[<>…]|\.\.\.|\$\{|\b(change|your|replace|todo|xxx|localhost|127\.0\.0\.1)", re.IGNORECASE
)


def with_examples(project: Project, variables: Iterable[Variable]) -> Iterator[Variable]:
    """Yields the variables; those without a default in the code have their published value.

    A secret never has one, since everybody can read it.
    """
    published = {name: (value, source) for name, value, source in _published(project)}
    for variable in variables:
        value, source = published.get(variable.name, ("", ""))
        is_open = variable.required and not variable.secret
        yield replace(variable, example=value, example_source=source) if is_open else variable


def _published(project: Project) -> Iterator[tuple[str, str, str]]:
    """Yields each name with its value and its file; of a name, the nearest file comes last."""
    for folder in dict.fromkeys((project.above, project.context, project.root)):
        for path in _files(folder) if folder is not None else ():
            for line in read_text(path).splitlines():
                found = dotenv.read_line(line)
                if found and found[1] and not _PLACEHOLDER.search(found[1]):
                    yield (*found, os.path.relpath(path, project.root))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*env*") if _FILE.fullmatch(path.name))
