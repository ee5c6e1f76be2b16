"""The version of Python that a project needs."""

import re
from collections.abc import Mapping
from typing import Any

from fastapi_operator.project.source import Project, read_toml

_NEWEST = 14
_OLDEST = 9
_PINS = (".python-version", "runtime.txt", ".tool-versions")
# The name of a wheel, whose build number is optional: name, Python, ABI, platform.
_WHEEL = re.compile(
    r"([A-Za-z0-9_.]+)-[0-9][^-\"/]*(?:-[0-9][^-\"/]*)?-([\w.]+)-(\w+)-([\w.]+)\.whl"
)
_SPECIFIER = re.compile(r"(\^|~=|~|===?|!=|<=|>=|<|>|)\s*3\.([0-9]+|\*)(\.[0-9*]+)?")


def python_version(project: Project, lock_text: str) -> str:
    """Returns the pinned version, or else the newest that everything permits.

    Args:
        project: The project.
        lock_text: Its lock file; empty if there is none.
    """
    for name in _PINS:
        pinned = re.search(r"(?:^|python[- ])3\.([0-9]+)", project.text(name), re.MULTILINE)
        if pinned:
            return f"3.{pinned.group(1)}"
    required = _required(project)
    wheels = _minors_with_wheels(lock_text)
    permitted = [minor for minor in range(_NEWEST, _OLDEST - 1, -1) if permits(required, minor)]
    best = next((minor for minor in permitted if minor in wheels), None)
    return f"3.{best if best is not None else (permitted or [_NEWEST])[0]}"


def permits(required: str, minor: int) -> bool:
    """Whether a version specifier, of pip or of poetry, permits Python 3.minor."""
    if "||" in required:
        return any(permits(part, minor) for part in required.split("||"))
    return all(
        bound == "*" or _allows(operator, int(bound), patch, minor)
        for operator, bound, patch in _SPECIFIER.findall(required)
    )


def _allows(operator: str, bound: int, patch: str, minor: int) -> bool:
    within = patch not in ("", ".*")
    return {
        "^": minor >= bound,
        ">=": minor >= bound,
        # ~=3.11 permits 3.12, and ~=3.11.2 does not; poetry's ~3.11 does not either.
        "~=": minor == bound or (minor > bound and not patch),
        "<": minor < bound or (minor == bound and within and patch != ".0"),
        ">": minor > bound or (minor == bound and within),
        "<=": minor <= bound,
        "!=": minor != bound or within,
    }.get(operator, minor == bound)


def _required(project: Project) -> str:
    pyproject: Mapping[str, Any] = project.pyproject
    poetry = pyproject.get("tool", {}).get("poetry", {})
    pipenv = read_toml(project.root / "Pipfile").get("requires", {}).get("python_version")
    given = (
        pyproject.get("project", {}).get("requires-python")
        or poetry.get("dependencies", {}).get("python")
        or pipenv
    )
    return str(given or "")


def _minors_with_wheels(lock_text: str) -> set[int]:
    """Returns the minor versions for which each locked package with wheels has one."""
    every = set(range(_OLDEST, _NEWEST + 1))
    supported: dict[str, set[int]] = {}
    for name, pythons, abi, platform in _WHEEL.findall(lock_text):
        if "linux" in platform or platform == "any":
            minors = supported.setdefault(name.lower(), set())
            for python in pythons.split("."):
                minors |= _minors(python, abi, every)
    return every.intersection(*supported.values())


def _minors(python: str, abi: str, every: set[int]) -> set[int]:
    compiled = re.fullmatch(r"cp3([0-9]+)", python)
    if compiled is None:
        return every if python.startswith("py3") else set()
    oldest = int(compiled.group(1))
    if abi == "abi3":
        return {minor for minor in every if minor >= oldest}
    # cp314t is the build without the global lock.
    return set() if abi.endswith("t") else {oldest}
