"""The files that a build gets, and the secrets among them."""

from pathlib import Path

import pytest

from fastapi_operator.delivery import context
from fastapi_operator.delivery.context import IgnoreRules


# Docker's documentation of .dockerignore, and the tests of moby/patternmatcher.
@pytest.mark.parametrize(
    ("patterns", "path", "excluded"),
    [
        ("", ".env", False),
        (".env", ".env", True),
        (".env", "backend/.env", False),
        ("**/.env", ".env", True),
        ("**/.env", "a/b/.env", True),
        ("**/.env", "a/b/.env.local", False),
        ("**/.env*", "a/b/.env.local", True),
        ("/.env", ".env", True),
        ("  .env  ", ".env", True),
        ("# .env", ".env", False),
        (" # .env", ".env", False),
        ("*", ".env", True),
        ("*", "a/.env", True),
        ("*/*", ".env", False),
        ("*/.env", "a/.env", True),
        ("secrets", "secrets/a/.env", True),
        ("secrets/", "secrets/.env", True),
        ("secret?", "secrets/.env", True),
        ("secret?", "secret/.env", False),
        ("[a-c]/.env", "b/.env", True),
        ("[a-c]/.env", "d/.env", False),
        (r"\#env", "#env", True),
        ("a.v", "a-v", False),
        ("**", "a/b/.env", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("**/b*", "ab", False),
        # The last pattern that matches decides.
        ("*\n!app", "app/main.py", False),
        ("*\n!app", "app/.env", False),
        ("*\n!app\n**/.env", "app/.env", True),
        ("**/.env\n!keep/.env", "keep/.env", False),
        ("!.env\n.env", ".env", True),
        ("./a/../.env", ".env", True),
        (".", ".env", False),
    ],
)
def test_a_pattern_excludes_as_in_docker(patterns: str, path: str, excluded: bool) -> None:
    assert IgnoreRules(patterns).exclude(path) is excluded


def read(root: Path, **options: object) -> context.Sources:
    arguments = {"is_docker": True, "added": {}, **options}
    return context.read_sources(root, root / "Dockerfile", **arguments)  # type: ignore[arg-type]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("Dockerfile", ".env", "app/main.py", "app/.env.local", "app/.env.example"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return tmp_path


def test_files_are_those_that_no_pattern_excludes(project: Path) -> None:
    assert read(project).files == (
        ".env",
        "Dockerfile",
        "app/.env.example",
        "app/.env.local",
        "app/main.py",
    )
    (project / ".dockerignore").write_text("*\n!app/*.py\n")
    assert read(project).files == ("app/main.py",)


def test_a_linked_directory_is_one_entry(project: Path) -> None:
    (project / "link").symlink_to(project / "app")
    assert "link" in read(project).files
    assert "link/main.py" not in read(project).files


def test_files_with_secrets_are_found_and_examples_are_not(project: Path) -> None:
    assert context.secret_files(read(project).files) == [".env", "app/.env.local"]
    names = [".env.sample", ".env.prod.template", ".env.dist", ".envrc", "x.env", ".env.test"]
    assert context.secret_files(names) == [".env.test"]


def test_the_ignore_file_beside_the_dockerfile_comes_first(project: Path) -> None:
    (project / ".dockerignore").write_text("**/.env*\n")
    (project / ".containerignore").write_text("**\n")
    assert read(project).ignore == project / ".dockerignore"
    assert read(project, is_docker=False).files == ()
    (project / "Dockerfile.dockerignore").write_text("app\n")
    for is_docker in (True, False):
        found = read(project, is_docker=is_docker)
        assert found.ignore == project / "Dockerfile.dockerignore"
        assert ".env" in found.files


def test_an_ignore_file_that_is_not_written_yet_counts(project: Path) -> None:
    found = read(project, added={project / ".dockerignore": "**/.env*\n"})
    assert context.secret_files(found.files) == []
    assert found.added == {".dockerignore": "**/.env*\n"}
