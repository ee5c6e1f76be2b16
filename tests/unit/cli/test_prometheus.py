"""Samples from a real Prometheus, and the errors of a wrong URL."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from fastapi_operator.cli import prometheus
from fastapi_operator.observability.samples import Window
from tests.promtool import promtool
from tests.unit.resources.operands import eventually, listens
from tests.unit.resources.web import Answer, ask, serving

LABELS = "namespace: {namespace}, pod: {pod}, fastapi_operator_io_service: {service}"
TARGET = '- targets: ["127.0.0.1:{port}"]\n    labels: {{' + LABELS + "}}\n"
CONFIG = "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: pods\n  static_configs:\n"
PAGE = "http_server_active_requests 3\nredis_up 1\nunrelated_total 5\n"
PODS = (("default", "shop-a", "shop"), ("default", "other-a", "other"), ("else", "shop-a", "shop"))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that scrapes three pods of two services."""
    folder = tmp_path_factory.mktemp("prometheus")
    with serving() as app:
        app.answers["/metrics"] = Answer(body=PAGE.encode(), headers={"Content-Type": "text/plain"})
        targets = (
            TARGET.format(port=app.port, namespace=namespace, pod=pod, service=service)
            for namespace, pod, service in PODS
        )
        (folder / "prometheus.yml").write_text(CONFIG + "".join(f"  {text}" for text in targets))
        with Prometheus(folder) as port:
            address = f"http://127.0.0.1:{port}"
            eventually(lambda: bool(query(address)), "two scrapes")
            yield address


class Prometheus:
    """Prometheus on a free port; it is in the same package as promtool."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._command = [
            str(promtool().parent / "prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        self._log = folder / "log"

    def __enter__(self) -> int:
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=dict(os.environ)
            )
        eventually(self._is_ready, "Prometheus")
        return self.port

    def _is_ready(self) -> bool:
        return listens(self.port) and ask(self.port, "/-/ready").status == 200

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.wait(20)


def query(url: str, **changed: str) -> dict[str, Window]:
    selected = {"namespace": "default", "service": "shop"} | changed
    return prometheus.read_windows(url, pods=["shop-a"], seconds=5, interval=1, **selected)


def test_only_the_pods_of_the_service_are_read(url: str) -> None:
    found = query(url)
    assert set(found) == {"shop-a"}
    window = found["shop-a"]
    assert window.mean("http_server_active_requests") == 3
    assert window.has("redis_up")
    assert not window.has("unrelated_total")
    assert window.seconds >= 1


def test_a_service_that_is_not_scraped_has_no_windows(url: str) -> None:
    assert query(url, service="missing") == {}


def test_a_network_in_no_proxy_is_connected_directly(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"http_proxy": "http://127.0.0.1:1", "no_proxy": "0.0.0.0/8"}.items():
        monkeypatch.setenv(name, value)
    assert set(query(url.replace("127.0.0.1", "0.0.0.0"))) == {"shop-a"}


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://127.0.0.1:1", "Connection refused"),
        ("localhost:9090", "must be an http:// or https:// URL"),
        ("{url}/wrong", "404"),
    ],
)
def test_a_wrong_address_ends_the_command(
    url: str, address: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        query(address.format(url=url))
    assert ended.value.exit_code == 2
    assert message in capsys.readouterr().err
