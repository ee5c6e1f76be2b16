"""Renders the files that ``init`` writes."""

import re

from fastapi_operator.parts import Part
from fastapi_operator.project.guess import Needs
from fastapi_operator.project.source import Project
from fastapi_operator.resources.templates import render

_PYTHON = "3.14"
_SERVERS = ("uvicorn", "gunicorn", "granian", "hypercorn")


def service(needs: Needs, file: str) -> str:
    """Renders the service as YAML, with a comment for each guess.

    Args:
        needs: Needs of the project.
        file: Name of the file, for the commands in the comments.
    """
    return render(
        "init-service.yaml.j2",
        needs=needs,
        file=file,
        required=[variable for variable in needs.variables if variable.required],
        optional=[variable for variable in needs.variables if not variable.required],
    )


def dockerfile(project: Project, needs: Needs) -> str:
    """Renders a Dockerfile for a project without one."""
    port = needs.port.value if needs.port else Part.APP.port
    command = ["uvicorn", needs.app.value, "--host", "0.0.0.0", "--port", str(port)]  # noqa: S104
    return render(
        "init-Dockerfile.j2",
        image=f"registry.example.com/{needs.name.value}:{needs.version.value}",
        python=_python(project),
        install=_install(project),
        adds_server=not any(server in project.requirements for server in _SERVERS),
        source_root=project.source_root,
        port=port,
        command=[*command, "--factory"] if needs.factory else command,
    )


def _install(project: Project) -> str:
    """Returns the source of the dependencies; the code is copied, so it need not be buildable."""
    if "requirements.txt" in project.files:
        return "requirements"
    return "dependencies" if "dependencies" in project.pyproject.get("project", {}) else "project"


def _python(project: Project) -> str:
    """Returns the newest Python version within the upper bound of the project, if it has one."""
    required = str(project.pyproject.get("project", {}).get("requires-python", ""))
    exact = re.search(r"(?:==|~=)\s*(3\.[0-9]+)", required)
    if exact:
        return exact.group(1)
    below = re.search(r"<\s*3\.([0-9]+)", required)
    return f"3.{int(below.group(1)) - 1}" if below else _PYTHON
