from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fastapi_operator_runtime import metrics


def test_gauges_of_a_zombie_process_are_removed(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
    gauge = tmp_path / f"gauge_livesum_{child.pid}.db"
    counter = tmp_path / f"counter_{child.pid}.db"
    gauge.touch()
    counter.touch()
    metrics.remove_gauges_of_dead_workers(str(tmp_path))
    child.wait()
    assert not gauge.exists()
    assert counter.exists(), "counters must not fall when a worker dies"


def test_gauges_of_a_running_process_stay(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        time.sleep(0.1)
        gauge = tmp_path / f"gauge_livemax_{child.pid}.db"
        gauge.touch()
        metrics.remove_gauges_of_dead_workers(str(tmp_path))
        assert gauge.exists()
        child.communicate(b"\n")


def test_an_incomplete_file_of_a_starting_worker_fails_no_scrape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    half_made = tmp_path / f"counter_{os.getpid()}.db"
    half_made.touch()
    finishing = threading.Timer(0.1, half_made.unlink)
    finishing.start()
    content_type, body, _ = metrics.Exposition().page({}, "")
    finishing.join()
    assert content_type.startswith("text/plain")
    assert body == b""


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.{}", "a/b;q={}"])
def test_a_page_is_rendered_at_most_a_fifth_of_the_time(
    accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any pod of a cluster can request the page, as often as it wants, in any version."""
    rendered = 0

    def slow(_encode: object) -> bytes:
        nonlocal rendered
        rendered += 1
        time.sleep(0.02)
        return b"page"

    monkeypatch.setattr(metrics, "_expose", slow)
    exposition, end, read = metrics.Exposition(), time.monotonic() + 0.5, 0
    while time.monotonic() < end:
        assert exposition.page({}, accept.format(read)).body == b"page"
        read += 1
    assert read > 100
    assert 1 < rendered <= 6


@pytest.mark.parametrize("version", ["1.0.0", "0.0.1", "x", ""])
def test_every_version_of_openmetrics_gets_the_same_page(version: str) -> None:
    accept = f"application/openmetrics-text; version={version}; escaping=allow-utf-8, text/plain"
    content_type, body, _ = metrics.Exposition().page({}, accept)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")


OBSERVATIONS = [0.0, 0.003, 0.005, 0.0050001, 0.3, 9.9, 10.0, 11.0, 0.3]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_batch_adds_the_same_as_single_observations(workers: int, tmp_path: Path) -> None:
    program = f"""
import prometheus_client
from fastapi_operator_runtime import batches, metrics
options = {{"labelnames": ["route"], "buckets": metrics.REQUEST_SECONDS_BUCKETS}}
one_by_one = prometheus_client.Histogram("single", "", **options)
durations = metrics.Durations(prometheus_client.Histogram("batch", "", **options))
for route, factor in (("/a", 1), ("/b", 2)):
    for seconds in {OBSERVATIONS}:
        one_by_one.labels(route).observe(seconds * factor)
        durations.observe(seconds * factor, route)
print(metrics.Exposition().page({{}}, "").body.decode())
"""
    environment = dict(os.environ)
    if workers > 1:
        environment["PROMETHEUS_MULTIPROC_DIR"] = str(tmp_path)
    output = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    ).stdout
    single = [line for line in output.splitlines() if re.match("single_(b|s|count)", line)]
    batch = [line for line in output.splitlines() if re.match("batch_(b|s|count)", line)]
    assert len([line for line in single if "_bucket" in line]) == 2 * 15
    assert [line.replace("batch", "single", 1) for line in batch] == single
