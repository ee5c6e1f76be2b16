"""Pods of the app as real processes, each on an address of its own."""

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fastapi_operator_runtime import testing

from tests.unit.resources.caddy import Caddy
from tests.unit.resources.nginx import Nginx
from tests.unit.resources.operands import eventually
from tests.unit.resources.web import ask

ROOT = Path(__file__).resolve().parents[3]
PATH = "/slow"
COUNT = "http_server_request_duration_seconds_count"


class AppPod(testing.AppServer):
    """An app with the runtime, in the environment that has FastAPI."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__("served_app:app", app_directory=ROOT / "runtime/tests")
        self.host, self.port = host, port

    def command(self) -> Sequence[str]:
        """The command, with the app's interpreter and the address of the pod."""
        _python, *arguments = super().command()
        arguments[arguments.index("--host") + 1] = self.host
        return [str(ROOT / ".venv-app/bin/python"), *arguments]

    def is_ready(self) -> bool:
        """Whether its metrics report a worker; the test's other pods have the same port."""
        with contextlib.suppress(OSError):
            return self.sample("fastapi_worker_processes") == 1
        return False

    @property
    def requests(self) -> int:
        """The requests that this process has served."""
        return int(self.sample(COUNT, http_route=PATH))


@contextlib.contextmanager
def app_pods(port: int, count: int = 3) -> Iterator[list[AppPod]]:
    """Pods that listen on 127.0.0.2, 127.0.0.3 and so on."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(AppPod(f"127.0.0.{n + 2}", port)) for n in range(count)]


def requests_per_pod(proxy: Nginx | Caddy, port: int, requests: int = 600) -> list[int]:
    """Sends requests through a proxy to three pods, and returns how many each has served.

    Args:
        proxy: The proxy, which is started.
        port: The port of the pods.
        requests: Their number.
    """
    with app_pods(port) as pods:
        proxy.dns.addresses = [pod.host for pod in pods]
        with proxy.running():
            return _counted(pods, proxy.pod.port(8080), requests)


def _counted(pods: Sequence[AppPod], proxy_port: int, requests: int) -> list[int]:
    with ThreadPoolExecutor(12) as clients:
        sent = clients.map(lambda _: ask(proxy_port, f"{PATH}?seconds=0.03"), range(requests))
        assert {answer.status for answer in sent} == {200}
    # The last requests are counted after their responses are sent.
    eventually(lambda: sum(pod.requests for pod in pods) == requests, "all are counted")
    return [pod.requests for pod in pods]
