"""The next request on a connection after an error that the app does not handle."""

import http.client
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from fastapi_operator_runtime.testing.server import free_port

from tests.unit.resources.nginx import Nginx
from tests.unit.resources.raw import served

ROUNDS = 20


@contextmanager
def behind(nginx: Nginx, log: Path, app: str, engine: str = "Uvicorn") -> Iterator[None]:
    """Runs an app in a real server, behind nginx."""
    variables = [{"name": "METRICS_PORT", "value": str(free_port())}]
    with served(log, app, env=variables, server={"engine": engine}) as port:
        nginx.pod.ports[8000] = port
        with nginx.running(redis=None, postgres=None):
            yield
    assert log.read_text().count("not handled") >= ROUNDS


def statuses_after(nginx: Nginx, path: str, method: str) -> list[int]:
    """The statuses of requests that each follow an error on the same connections."""
    found = []
    client = http.client.HTTPConnection("127.0.0.1", nginx.pod.port(8080), timeout=20)
    with closing(client):
        for _ in range(ROUNDS):
            for verb, target in (("POST", path), (method, "/works")):
                client.request(verb, target, body=b"" if verb == "POST" else None)
                response = client.getresponse()
                response.read()
            found.append(response.status)
    return found


@pytest.mark.parametrize("path", ["/fails", "/later"])
def test_an_error_does_not_end_the_next_request_with_the_runtime(
    nginx: Nginx, tmp_path: Path, path: str
) -> None:
    with behind(nginx, tmp_path / "app.log", "failing:app"):
        assert statuses_after(nginx, path, "POST") == [200] * ROUNDS


def test_without_the_runtime_only_requests_with_side_effects_fail(
    nginx: Nginx, tmp_path: Path
) -> None:
    with behind(nginx, tmp_path / "app.log", "failing:unmodified"):
        # docs/apps.md: uvicorn closes the connection on which the next request already is.
        assert 502 in statuses_after(nginx, "/later", "POST")
        assert statuses_after(nginx, "/later", "GET") == [200] * ROUNDS
        assert statuses_after(nginx, "/fails", "GET") == [200] * ROUNDS


@pytest.mark.parametrize("path", ["/fails", "/later"])
def test_granian_does_not_end_the_next_request_without_the_runtime(
    nginx: Nginx, tmp_path: Path, path: str
) -> None:
    with behind(nginx, tmp_path / "app.log", "failing:unmodified", engine="Granian"):
        assert statuses_after(nginx, path, "POST") == [200] * ROUNDS
