"""How a project makes its tables: by a migration, or by ``create_all`` at start."""

import ast
import re
from dataclasses import dataclass

from fastapi_operator.project.image import Dockerfile
from fastapi_operator.project.processes import SERVERS, Process, in_shell
from fastapi_operator.project.source import Project, read_text

# Commands that migrate a schema: the program, and the word that shows it.
_MIGRATIONS = {
    "alembic": "upgrade",
    "aerich": "upgrade",
    "piccolo": "migrations",
    "yoyo": "apply",
    "prisma": "migrate",
}
_CREATES = ("create_all", "generate_schemas")


@dataclass(frozen=True)
class Migration:
    """How the database is migrated.

    Attributes:
        command: The command of the migration.
        source: The file that declares it.
    """

    command: tuple[str, ...]
    source: str


def migration(
    project: Project, image: Dockerfile | None, started: tuple[Process, ...]
) -> Migration | None:
    """Returns the command that migrates the database; None if there is no sign of one."""
    return _prestart(project, image) or _alembic(project) or _of_other_tools(project, started)


def migrates(process: Process) -> bool:
    """Whether a process migrates a database."""
    return _MIGRATIONS.get(process.program, "-") in process.arguments


def _prestart(project: Project, image: Dockerfile | None) -> Migration | None:
    """Returns a script that migrates and does more, for example insert the first user."""
    for path in sorted({*project.root.glob("*.sh"), *project.root.glob("*/*.sh")}):
        name, script = str(path.relative_to(project.root)), read_text(path)
        steps = list(in_shell(script, name, {}))
        if (
            any(migrates(step) for step in steps)
            and any(step.program.startswith("python") for step in steps)
            and not any(step.program in (*SERVERS, "pytest") for step in steps)
            and not re.search(r'exec "?\$@|test|format|lint', script + name)
            and (image is None or name not in image.scripts)
        ):
            return Migration(("bash" if "bash" in script.partition("\n")[0] else "sh", name), name)
    return None


def _alembic(project: Project) -> Migration | None:
    upgrade = ("alembic", "upgrade", "head")
    if "alembic.ini" in project.files:
        return Migration(upgrade, "alembic.ini")
    if "alembic" in project.pyproject.get("tool", {}):
        return Migration(upgrade, "[tool.alembic] in pyproject.toml")
    root = project.root
    for path in sorted((*root.glob("*/alembic.ini"), *root.glob("*/*/alembic.ini"))):
        config = path.relative_to(root)
        if "%(here)s" in read_text(path):
            return Migration(("alembic", "-c", str(config), *upgrade[1:]), str(config))
        # Its paths are relative to its directory.
        command = f"cd '{config.parent}' && exec {' '.join(upgrade)}"
        return Migration(("sh", "-c", command), str(config))
    return None


def _of_other_tools(project: Project, started: tuple[Process, ...]) -> Migration | None:
    for process in started:
        if migrates(process) and process.program != "alembic":
            return Migration(process.command, process.source)
    if "aerich" in project.pyproject.get("tool", {}):
        return Migration(("aerich", "upgrade"), "[tool.aerich] in pyproject.toml")
    return None


def creates_tables(project: Project) -> str:
    """Returns where the code creates its tables at start; empty if it does not."""
    for module in project.code:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and node.attr in _CREATES:
                return f"{node.attr} in {module.path}"
            given = node.value if isinstance(node, ast.keyword) and node.arg in _CREATES else None
            if given is not None and ast.unparse(given) == "True":
                return f"generate_schemas in {module.path}"
    return ""
