"""The last stage of a Dockerfile, and the paths of files in it."""

from pathlib import Path

import pytest

from fastapi_operator.project.image import dockerfiles


def dockerfile(root: Path, text: str) -> None:
    (root / "Dockerfile").write_text(text)


@pytest.mark.parametrize(
    ("copy", "path"),
    [
        ("COPY . .", "/srv/db/alembic.ini"),
        ("COPY . /code", "/code/db/alembic.ini"),
        ("COPY ./db ./db", "/srv/db/alembic.ini"),
        ("COPY db/ .", "/srv/alembic.ini"),
        ("COPY --chown=app db/alembic.ini ./", "/srv/alembic.ini"),
        ("COPY db/alembic.ini setup.cfg /etc/app/", "/etc/app/alembic.ini"),
        ('COPY ["db", "/data"]', "/data/alembic.ini"),
        ("COPY --from=build /src/db ./db", None),
        ("COPY app app", None),
        ("# COPY . .", None),
    ],
)
def test_a_file_has_the_path_of_its_copy(tmp_path: Path, copy: str, path: str | None) -> None:
    dockerfile(tmp_path, f"FROM python AS build\nCOPY . /all\nFROM python\nWORKDIR /srv\n{copy}\n")
    (image,) = dockerfiles(tmp_path)
    assert image.path_of("db/alembic.ini") == path


def test_only_the_last_stage_counts(tmp_path: Path) -> None:
    dockerfile(
        tmp_path,
        "FROM node\nEXPOSE 3000\nENV A=1\nCMD npm start\n"
        "FROM python\nENV PORT=8080 \\\n  B=2\nWORKDIR /srv\nWORKDIR app\nEXPOSE $PORT\n"
        "CMD uvicorn a:b --port $PORT\n",
    )
    (image,) = dockerfiles(tmp_path)
    assert (image.directory, image.port) == ("/srv/app", 8080)
    assert image.environment == {"PORT": "8080", "B": "2"}
    assert [process.command for process in image.processes] == [
        ("uvicorn", "a:b", "--port", "8080")
    ]


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (("Dockerfile", "Dockerfile.dev"), "Dockerfile"),
        (("Dockerfile.prod", "Dockerfile.dev"), "Dockerfile.prod"),
        (("Dockerfile", "Dockerfile.worker"), "Dockerfile"),
        (("dev.Dockerfile", "prod.Dockerfile"), "prod.Dockerfile"),
        (("Containerfile",), "Containerfile"),
    ],
)
def test_the_image_of_production_is_first(
    tmp_path: Path, names: tuple[str, ...], first: str
) -> None:
    for name in (*names, "Dockerfile.dockerignore"):
        (tmp_path / name).write_text("FROM python\n")
    assert dockerfiles(tmp_path)[0].path == first
    assert len(dockerfiles(tmp_path)) == len(names)


def test_an_entrypoint_gets_the_arguments_of_cmd_unless_it_is_a_script(tmp_path: Path) -> None:
    dockerfile(tmp_path, 'FROM python\nENTRYPOINT ["uvicorn"]\nCMD ["a:b"]\n')
    (image,) = dockerfiles(tmp_path)
    assert [process.command for process in image.processes] == [("uvicorn", "a:b")]
    (tmp_path / "start.sh").write_text('#!/bin/sh\nalembic upgrade head\nexec "$@"\n')
    dockerfile(tmp_path, 'FROM python\nENTRYPOINT ["/start.sh"]\nCMD ["uvicorn", "a:b"]\n')
    (image,) = dockerfiles(tmp_path)
    assert image.scripts == ("start.sh",)
    assert image.processes[0].program == "alembic"
    assert image.processes[-1].program == "uvicorn"
