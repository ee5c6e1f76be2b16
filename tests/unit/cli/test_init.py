"""``init`` on common project layouts: the service is valid, renders, and states its sources."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from tests.unit.cli.test_commands import invoke

MAIN = "from fastapi import FastAPI\n\napp = FastAPI()\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return root


def spec_of(root: Path) -> dict[str, Any]:
    """Returns the spec that ``init`` writes, after ``validate`` and ``render`` accepted it."""
    made = invoke("init", str(root))
    assert made.exit_code == 0, made.stderr
    file = root / "service.yaml"
    for command in ("validate", "render"):
        done = invoke(command, "-f", str(file))
        assert done.exit_code == 0, done.stderr
    return yaml.safe_load(file.read_text())["spec"]


@pytest.fixture
def src_layout(tmp_path: Path) -> Path:
    """A packaged project in src/, with a database, migrations and a cache."""
    return write(
        tmp_path / "src-layout",
        {
            "pyproject.toml": """
                [project]
                name = "Book_Store"
                version = "2.3.1"
                requires-python = ">=3.12"
                dependencies = ["fastapi[standard]>=0.141", "asyncpg", "sqlalchemy"]
            """,
            "alembic.ini": "[alembic]\n",
            "src/bookstore/__init__.py": "",
            "src/bookstore/main.py": """
                import redis.asyncio
                from fastapi import FastAPI

                app = FastAPI()

                @app.get("/healthz")
                async def healthz() -> None:
                    return None
            """,
            "src/bookstore/settings.py": """
                from pydantic import Field, SecretStr
                from pydantic_settings import BaseSettings, SettingsConfigDict

                class Settings(BaseSettings):
                    model_config = SettingsConfigDict(env_prefix="BOOKS_")
                    database_url: str = Field(validation_alias="DATABASE_URL")
                    stripe: SecretStr
                    region: str
                    page_size: int = 20
            """,
            "tests/test_app.py": "from fastapi import FastAPI\nother = FastAPI()\n",
        },
    )


@pytest.fixture
def app_directory(tmp_path: Path) -> Path:
    """The layout of FastAPI's tutorial, with requirements.txt and a Celery worker."""
    return write(
        tmp_path / "shop",
        {
            "requirements.txt": "fastapi==0.141.1\nuvicorn[standard]\ncelery[redis]\n",
            "Dockerfile": 'FROM python:3.14\nCMD ["uvicorn", "app.main:app", "--port", "8080"]\n',
            "app/__init__.py": "",
            "app/main.py": MAIN,
            "app/tasks.py": """
                from celery import Celery

                queue = Celery("shop")
                queue.conf.beat_schedule = {}
            """,
        },
    )


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    """A project that declares its entrypoint, which overrides all guesses."""
    return write(
        tmp_path / "declared",
        {
            "pyproject.toml": """
                [project]
                name = "billing"
                [tool.fastapi]
                entrypoint = "backend.web:api"
            """,
            "main.py": MAIN,
            "backend/web.py": MAIN.replace("app =", "api ="),
        },
    )


def test_a_src_layout_with_database_and_cache(src_layout: Path) -> None:
    spec = spec_of(src_layout)

    assert spec["image"] == "registry.example.com/book-store:2.3.1"
    assert spec["app"] == "bookstore.main:app"
    migrations = {"command": ["alembic", "upgrade", "head"]}
    assert spec["postgres"] == {"backup": {}, "migrations": migrations}
    assert spec["redis"] == {}
    assert spec["server"] == {"probes": {"readiness": "/healthz"}}
    assert spec["env"] == [
        {"name": key, "valueFrom": {"secretKeyRef": {"name": "book-store-secrets", "key": key}}}
        for key in ("BOOKS_STRIPE", "BOOKS_REGION")
    ]


def test_contract_variables_are_left_out_and_optional_ones_are_comments(
    src_layout: Path,
) -> None:
    spec_of(src_layout)
    text = (src_layout / "service.yaml").read_text()
    assert "name: DATABASE_URL" not in text
    assert "#   BOOKS_PAGE_SIZE (Settings in src/bookstore/settings.py)" in text


def test_an_app_directory_with_a_celery_worker_and_beat(app_directory: Path) -> None:
    spec = spec_of(app_directory)

    assert spec["app"] == "app.main:app"
    assert spec["port"] == 8080
    assert spec["queue"] == {}
    celery = ["celery", "-A", "app.tasks:queue"]
    assert spec["background"] == [
        {"name": "worker", "command": [*celery, "worker", "--concurrency=2"], "processes": 2},
        {
            "name": "beat",
            "command": [*celery, "beat", "--schedule=/tmp/celerybeat-schedule"],
            "singleton": True,
        },
    ]
    assert "postgres" not in spec


def test_a_declared_entrypoint_overrides_guesses(declared: Path) -> None:
    spec = spec_of(declared)
    assert spec["app"] == "backend.web:api"
    assert "[tool.fastapi] entrypoint" in (declared / "service.yaml").read_text()


def test_an_app_factory_gets_the_factory_argument(tmp_path: Path) -> None:
    factory = "from fastapi import FastAPI\ndef create_app() -> FastAPI:\n    return FastAPI()\n"
    spec = spec_of(write(tmp_path, {"main.py": factory}))
    assert spec["app"] == "main:create_app"
    assert spec["server"] == {"extraArgs": ["--factory"]}


def test_each_guess_has_a_comment_with_its_source(src_layout: Path) -> None:
    spec_of(src_layout)
    for line in (src_layout / "service.yaml").read_text().splitlines():
        if line.strip().startswith(("image:", "app:", "port:", "redis:", "migrations:", "name:")):
            assert "  # " in line, line


def test_a_dockerfile_is_written_only_if_the_project_has_none(
    src_layout: Path, app_directory: Path
) -> None:
    theirs = (app_directory / "Dockerfile").read_text()
    spec_of(src_layout)
    spec_of(app_directory)
    ours = (src_layout / "Dockerfile").read_text()
    assert "USER 10001" in ours and "PYTHONPATH=/app/src" in ours
    assert "['project']['dependencies']" in ours and "uvicorn[standard]" not in ours
    assert (app_directory / "Dockerfile").read_text() == theirs


def test_an_existing_file_is_overwritten_only_with_force(declared: Path) -> None:
    (declared / "service.yaml").write_text("mine")
    refused = invoke("init", str(declared))
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert (declared / "service.yaml").read_text() == "mine"
    assert invoke("init", str(declared), "--force").exit_code == 0


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"readme.md": ""}, "has no Python file"),
        ({"tool.py": "print(1)"}, "no FastAPI application found"),
        ({"main.py": MAIN, "pyproject.toml": "[tool"}, "not valid TOML"),
        (
            {"main.py": MAIN, "pyproject.toml": "[tool.fastapi]\nentrypoint = 'main'"},
            "use package.module:app",
        ),
    ],
)
def test_an_unreadable_project_is_reported_with_a_remedy(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    refused = invoke("init", str(write(tmp_path, files)))
    assert refused.exit_code == 2
    assert message in refused.stderr
    assert not (tmp_path / "service.yaml").exists()
