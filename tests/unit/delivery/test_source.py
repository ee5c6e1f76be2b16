"""The service, the Dockerfile and the directory of a build in a project."""

from pathlib import Path

import pytest

from fastapi_operator.delivery import source

SERVICE = "apiVersion: fastapi-operator.io/v1alpha1\nkind: FastAPIService\n"


def test_files_with_a_service_are_found_where_projects_keep_them(tmp_path: Path) -> None:
    for name, text in {
        "docker-compose.yml": "services: {}\n",
        "notes.yaml": "# kind: FastAPIService is written later\n",
        "deploy/shop.yaml": SERVICE,
        "k8s/values.yaml": "kind: FastAPIServices\n",
        "tests/service.yaml": SERVICE,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert source.service_files(tmp_path) == [tmp_path / "deploy/shop.yaml"]
    (tmp_path / "service.yml").write_text(f"---\n{SERVICE}")
    assert len(source.service_files(tmp_path)) == 2


def test_a_dockerfile_has_one_of_its_usual_names(tmp_path: Path) -> None:
    assert source.dockerfile(tmp_path) is None
    (tmp_path / "Containerfile").touch()
    assert source.dockerfile(tmp_path) == tmp_path / "Containerfile"


@pytest.mark.parametrize(
    ("line", "sources"),
    [
        ("COPY a b/ /app/", ["a", "b/"]),
        ('COPY ["a b", "/app/"]', ["a b"]),
        ("copy --chown=1:1 a .", ["a"]),
        ("COPY --from=builder /opt/venv /opt/venv", []),
        ("ADD https://example.com/x /x", []),
        ("COPY $SOURCE /app", []),
        ("COPY poetry.lock* pyproject.toml ./", ["pyproject.toml"]),
        ("COPY a \\\n  b \\\n  /app/", ["a", "b"]),
        ("COPY <<EOF /app/x", []),
        ("RUN cp a b", []),
    ],
)
def test_the_files_that_a_dockerfile_copies(line: str, sources: list[str]) -> None:
    assert list(source.copied(f"FROM scratch\n{line}\n")) == sources


def test_a_build_gets_the_directory_that_has_its_files(tmp_path: Path) -> None:
    (tmp_path / "backend/app").mkdir(parents=True)
    (tmp_path / "backend/requirements.txt").touch()
    below, above = tmp_path / "backend", tmp_path
    for line, expected in {
        "COPY requirements.txt app ./": below,
        "COPY backend/requirements.txt ./": above,
        "COPY . /app": below,
        # Neither has it: the build reports the missing file.
        "COPY missing /": below,
    }.items():
        assert source.build_context(f"FROM scratch\n{line}\n", [below, above]) == expected
