"""How a project makes its tables: by a migration, or by ``create_all`` at start."""

import ast
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

from fastapi_operator.project.image import Dockerfile
from fastapi_operator.project.processes import SERVERS, Process, in_shell
from fastapi_operator.project.source import Project, read_text
from fastapi_operator.project.workers import Worker

# Commands that migrate a schema: the program, and the word that shows it.
_MIGRATIONS = {
    "alembic": "upgrade",
    "aerich": "upgrade",
    "piccolo": "migrations",
    "yoyo": "apply",
    "prisma": "migrate",
}
_UPGRADE = ("alembic", "upgrade", "head")
_CREATES = ("create_all", "generate_schemas")
_NOT_OF_START = re.compile(r"test|format|lint|deploy|build")


@dataclass(frozen=True)
class Migration:
    """How the database is migrated.

    Attributes:
        command: The command of the migration.
        source: The file that declares it.
        missing: A file that the command needs and the image does not have; else empty.
    """

    command: tuple[str, ...]
    source: str
    missing: str = ""


def migration(
    project: Project, image: Dockerfile | None, started: tuple[Process, ...]
) -> Migration | None:
    """Returns the command that migrates the database; None if there is no sign of one."""
    return (
        _of_image(image)
        or _prestart(project, image)
        or _alembic(project, image)
        or _of_other_tools(project, started)
    )


def migrates(process: Process) -> bool:
    """Whether a process migrates a database."""
    return _MIGRATIONS.get(process.program, "-") in process.arguments


def creates_tables(project: Project) -> str:
    """Returns where the code creates its tables at start; empty if it does not."""
    for module in project.code:
        if _NOT_OF_START.search(module.path):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and node.attr in _CREATES:
                return f"{node.attr} in {module.path}"
            given = node.value if isinstance(node, ast.keyword) and node.arg in _CREATES else None
            if given is not None and ast.unparse(given) == "True":
                return f"generate_schemas in {module.path}"
    return ""


def of_jobs(found: tuple[Worker, ...]) -> Migration | None:
    """Returns the migration of a queue that has its tables in the database."""
    for worker in found:
        if worker.command[:2] == ("procrastinate", "--app") and len(worker.command) > 2:
            tool = " ".join(worker.command[:3])
            command = f"{tool} healthchecks || {tool} schema --apply"
            return Migration(("sh", "-c", command), worker.source)
    return None


def _of_image(image: Dockerfile | None) -> Migration | None:
    """Returns the migration in a start script of the image, with what it runs besides."""
    steps = [step for step in image.processes if _prepares(step)] if image else []
    if not any(migrates(step) for step in steps) or not any(step.is_own_code for step in steps):
        return None
    command = " && ".join(step.text for step in steps)
    return Migration(("sh", "-c", command), steps[0].source)


def _prepares(step: Process) -> bool:
    return migrates(step) or (step.is_own_code and step.target is None)


def _prestart(project: Project, image: Dockerfile | None) -> Migration | None:
    """Returns a script that migrates and does more, for example insert the first user."""
    for path in sorted({*project.root.glob("*.sh"), *project.root.glob("*/*.sh")}):
        name, script = str(path.relative_to(project.root)), read_text(path)
        steps = list(in_shell(script, name, {}))
        if (
            any(migrates(step) for step in steps)
            and any(step.is_own_code for step in steps)
            and not any(step.program in (*SERVERS, "pytest") for step in steps)
            and not _NOT_OF_START.search(name)
            and not re.search(r'exec "?\$@', script)
        ):
            shell = "bash" if "bash" in script.partition("\n")[0] else "sh"
            place, missing = _place(project, image, name)
            return Migration((shell, place), name, missing)
    return None


def _alembic(project: Project, image: Dockerfile | None) -> Migration | None:
    if "alembic" in project.pyproject.get("tool", {}) and "alembic.ini" not in project.files:
        return Migration(_UPGRADE, "[tool.alembic] in pyproject.toml")
    for path in _configurations(project.root):
        config = str(path.relative_to(project.root))
        place, missing = _place(project, image, config)
        folder = posixpath.dirname(place)
        if not folder:
            return Migration(_UPGRADE, config, missing)
        if "%(here)s" in read_text(path):
            return Migration(("alembic", "-c", place, *_UPGRADE[1:]), config, missing)
        # Its paths are relative to its directory.
        command = f"cd '{folder}' && exec {' '.join(_UPGRADE)}"
        return Migration(("sh", "-c", command), config, missing)
    return None


def _configurations(root: Path) -> list[Path]:
    patterns = ("alembic.ini", "*/alembic.ini", "*/*/alembic.ini")
    return [path for pattern in patterns for path in sorted(root.glob(pattern))]


def _place(project: Project, image: Dockerfile | None, name: str) -> tuple[str, str]:
    """Returns the path of a file from the image's directory; and the file, if it has none."""
    if image is None or not image.directory:
        return name, ""
    for within in (name, f"{project.root.resolve().name}/{name}"):
        path = image.path_of(within)
        if path is not None:
            is_below = path.startswith(f"{image.directory}/")
            return path.removeprefix(f"{image.directory}/") if is_below else path, ""
    return name, name


def _of_other_tools(project: Project, started: tuple[Process, ...]) -> Migration | None:
    for process in started:
        if migrates(process) and process.program != "alembic":
            return Migration(process.command, process.source)
    if "aerich" in project.pyproject.get("tool", {}):
        return Migration(("aerich", "upgrade"), "[tool.aerich] in pyproject.toml")
    return None
