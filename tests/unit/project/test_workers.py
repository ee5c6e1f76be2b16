"""The background processes that the code of a project declares."""

from pathlib import Path

import pytest

from fastapi_operator.project.reading import read_project
from fastapi_operator.project.workers import workers

WORKER = ("taskiq", "worker", "shop.tasks:broker", "--workers", "1")


@pytest.mark.parametrize(
    "code",
    [
        "broker = ListQueueBroker(url)",
        "broker = ListQueueBroker(url).with_result_backend(results).with_middlewares(retries)",
        "broker = ListQueueBroker(url) if is_real else InMemoryBroker()",
        "broker = ListQueueBroker(url)\nif is_test:\n    broker = InMemoryBroker()",
        "broker = ListQueueBroker(url)\nbroker = broker.with_result_backend(results)",
        "broker: AsyncBroker = ListQueueBroker(url)",
    ],
)
def test_a_broker_of_taskiq_has_a_worker(tmp_path: Path, code: str) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    imports = "from taskiq import InMemoryBroker\nfrom taskiq_redis import ListQueueBroker\n"
    (package / "tasks.py").write_text(f"{imports}{code}\n")
    (package / "main.py").write_text("from fastapi import FastAPI\napp = FastAPI()\n")
    assert [worker.command for worker in workers(read_project(tmp_path), ())] == [WORKER]


def test_a_broker_in_memory_has_no_worker(tmp_path: Path) -> None:
    code = "from fastapi import FastAPI\nfrom taskiq import InMemoryBroker\napp = FastAPI()\n"
    (tmp_path / "main.py").write_text(f"{code}broker = InMemoryBroker()\n")
    assert workers(read_project(tmp_path), ()) == ()
