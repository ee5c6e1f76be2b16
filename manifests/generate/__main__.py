"""Writes the generated files, or with ``--check`` lists those that are stale.

Run from the root of the repository, with the package installed:

    python -m manifests.generate [--check]

Each file comes from one source: the definition, the reference, the samples and the schemas of
services from the models in ``fastapi_operator.api``, the roles from ``rbac.py``, alerts, dashboards
and their sections in docs from ``fastapi_operator.observability``, the chart's schema and README
from the comments of its values.yaml, and install.yaml with its parts from the chart itself,
rendered by ``helm``. The bundle of OLM and the schema for editors come from these files.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from manifests.generate import (
    alerts,
    cast,
    charts,
    editor,
    images,
    install,
    olm,
    pictures,
    references,
)

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "python -m manifests.generate"

# The order matters: rendering a chart needs the chart's own generated files.
SOURCES: tuple[Callable[[Path], Mapping[str, str]], ...] = (
    pictures.files,
    cast.files,
    references.files,
    alerts.files,
    charts.files,
    images.files,
    install.files,
    editor.files,
    olm.files,
)

# Folders that have only generated files; other files in them are deleted.
GENERATED_FOLDERS = (
    "manifests/crds",
    "manifests/editor",
    "manifests/monitoring",
    "manifests/olm",
    "manifests/operator",
    "manifests/rbac",
    "charts/fastapi-operator/files",
    "manifests/samples/sections",
)


def main(arguments: list[str] | None = None) -> int:
    """Writes or checks the files; returns 1 if a file is stale or cannot be generated."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if stale")
    check = parser.parse_args(arguments).check
    stale: list[str] = []
    made: set[str] = set()
    for source in SOURCES:
        try:
            files = source(ROOT)
        except install.NoHelmError as error:
            sys.stderr.write(f"{error}\n")
            return 0 if check and not stale else 1
        made |= files.keys()
        for path, text in files.items():
            if _current(ROOT / path) == text:
                continue
            stale.append(path)
            if not check:
                (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
                (ROOT / path).write_text(text)
    for path in _left_over(made):
        stale.append(path)
        if not check:
            (ROOT / path).unlink()
    for path in stale:
        change = f"is stale; renew it with: {COMMAND}" if check else "renewed"
        sys.stdout.write(f"{path}: {change}\n")
    return 1 if check and stale else 0


def _left_over(made: set[str]) -> list[str]:
    there = (
        path.relative_to(ROOT).as_posix()
        for folder in GENERATED_FOLDERS
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file()
    )
    return [path for path in there if path not in made]


def _current(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
