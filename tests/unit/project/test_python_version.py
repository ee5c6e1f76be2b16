"""Which versions of Python a specifier permits, and which one is chosen."""

from pathlib import Path

import pytest

from fastapi_operator.project.python_version import permits, python_version
from fastapi_operator.project.source import Project


@pytest.mark.parametrize(
    ("required", "permitted"),
    [
        ("", range(9, 15)),
        (">=3.11", range(11, 15)),
        (">=3.10,<3.13", range(10, 13)),
        (">=3.10,<=3.12", range(10, 13)),
        (">=3.11,<4.0", range(11, 15)),
        ("<3.12.4", range(9, 13)),
        ("<3.12.0", range(9, 12)),
        ("==3.12.*", [12]),
        ("3.12", [12]),
        ("~=3.11", range(11, 15)),
        ("~=3.11.2", [11]),
        ("^3.10", range(10, 15)),
        ("~3.11", [11]),
        (">=3.9,!=3.11.*", [9, 10, 12, 13, 14]),
        (">=3.9,!=3.11.2", range(9, 15)),
        ("~3.9 || ~3.12", [9, 12]),
        ("3.*", range(9, 15)),
    ],
)
def test_a_specifier_permits(required: str, permitted: list[int]) -> None:
    assert [minor for minor in range(9, 15) if permits(required, minor)] == list(permitted)


def wheel(name: str, tags: str) -> str:
    return f'{{ url = "https://example.com/{name}-1.2.0-{tags}.whl" }}\n'


@pytest.mark.parametrize(
    ("lock", "version"),
    [
        ("", "3.13"),
        (wheel("pure", "py3-none-any"), "3.13"),
        (wheel("fast", "cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64"), "3.12"),
        (wheel("stable", "cp39-abi3-manylinux_2_28_x86_64"), "3.13"),
        (wheel("threads", "cp313-cp313t-manylinux_2_28_x86_64"), "3.13"),
        (wheel("other", "cp311-cp311-win_amd64"), "3.13"),
        (
            wheel("a", "cp311-cp311-manylinux_2_17_x86_64")
            + wheel("a", "cp312-cp312-musllinux_1_1_x86_64")
            + wheel("b", "cp311-cp311-manylinux_2_17_x86_64"),
            "3.11",
        ),
    ],
)
def test_the_newest_version_with_wheels_for_all_packages_is_chosen(
    tmp_path: Path, lock: str, version: str
) -> None:
    project = Project(tmp_path, ".", (), {"project": {"requires-python": ">=3.10,<3.14"}})
    assert python_version(project, lock) == version


@pytest.mark.parametrize(
    ("file", "text", "version"),
    [
        (".python-version", "3.11\n", "3.11"),
        (".python-version", "3.11.9\n", "3.11"),
        ("runtime.txt", "python-3.12.4\n", "3.12"),
        (".tool-versions", "nodejs 20.1\npython 3.10.2\n", "3.10"),
    ],
)
def test_a_pinned_version_is_used(tmp_path: Path, file: str, text: str, version: str) -> None:
    (tmp_path / file).write_text(text)
    assert python_version(Project(tmp_path, ".", ()), "") == version
