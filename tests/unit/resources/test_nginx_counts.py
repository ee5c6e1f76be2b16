"""How nginx counts requests: its page of metrics, and its log, lose none."""

import dataclasses
import itertools
import json
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fastapi_operator.judge.reading import proxy_reading
from fastapi_operator.resources.stage import Stage
from fastapi_operator.tuning import figures
from tests.resilience.client import Request
from tests.resilience.load import Load
from tests.unit.resources.nginx import METRICS_PORT, Nginx
from tests.unit.resources.operands import eventually, listens
from tests.unit.resources.web import Answer, App, ask

COUNTED = {"observability": {"metrics": {"exporters": True}}}
DURATIONS = "fastapi_proxy_request_duration_seconds"
# The smallest memory that nginx accepts for them.
SMALL_BYTES = 32 * 1024


def samples(page: str, name: str) -> dict[str, float]:
    """The samples of a name, by their labels as they are written."""
    found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", page, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def labelled(status: int, method: str = "GET") -> str:
    return f'http_request_method="{method}",http_response_status_code="{status}"'


def test_each_request_of_a_client_is_counted_once(nginx: Nginx, app: App) -> None:
    app.answers["/missing"] = Answer(status=404)
    app.answers["/slow"] = Answer(delay=0.12)
    cache = {"cache": {"routes": [{"path": "/rates", "seconds": 60}]}}
    with nginx.running(proxy=cache, **COUNTED):
        for path in ("/items", "/items", "/missing", "/slow", "/rates", "/rates"):
            nginx.get(path).read()
        ask(nginx.pod.port(8080), "/items", "PURGE").read()
        # Those of the kubelet and of Prometheus are not.
        nginx.get("/healthz", 8081).read()
        nginx.counts()
        page = nginx.counts()
    counted = samples(page, f"{DURATIONS}_count")
    assert counted == {labelled(200): 5, labelled(404): 1, labelled(501, "_OTHER"): 1}
    buckets = samples(page, f"{DURATIONS}_bucket")
    slower = [buckets[f'{labelled(200)},le="{bound}"'] for bound in ("0.1", "0.25", "+Inf")]
    assert slower == [4, 5, 5]
    assert 0.12 <= samples(page, f"{DURATIONS}_sum")[labelled(200)] < 0.5
    answers = samples(page, "fastapi_proxy_cache_answers_total")
    assert answers == {'cache_status="HIT"': 1, 'cache_status="MISS"': 1}
    # The cache served one of them, and the test's app refuses the unknown method.
    assert samples(page, "fastapi_proxy_upstream_duration_seconds_count") == {"": 6}
    assert samples(page, "fastapi_proxy_connections")[""] >= 1


def test_rejected_requests_are_counted_with_the_reason(nginx: Nginx, app: App) -> None:
    app.answers["/slow"] = Answer(delay=1)
    limits = {"maxConnectionsPerPod": 4, "rateLimit": {"requestsPerSecond": 1, "paths": ["/login"]}}
    with nginx.running(proxy=limits, **COUNTED), ThreadPoolExecutor(6) as clients:
        found = list(clients.map(lambda _: nginx.get("/slow").status, range(6)))
        limited = [nginx.get("/login").status for _ in range(20)]
        page = nginx.counts()
    assert (found.count(503), limited.count(429) > 0) == (4, True)
    rejected = samples(page, "fastapi_proxy_shed_total")
    assert rejected == {'reason="pods"': 4, 'reason="rate"': limited.count(429)}
    # nginx waited for the app only with the others.
    waited = samples(page, "fastapi_proxy_upstream_duration_seconds_count")[""]
    assert waited == 2 + limited.count(200)


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets nginx have two processes, as it does for a moment at each reload."""
    monkeypatch.setattr(figures, "PROXY_CPU_MILLICORES", 2000)


@pytest.mark.usefixtures("two_processes")
def test_reloads_and_the_end_of_a_pod_lose_no_count_and_no_line(nginx: Nginx) -> None:
    requests = itertools.repeat(Request("list", "GET", "/items"))
    with nginx.running(proxy={"maxConnectionsPerPod": 1000}, **COUNTED) as server:
        with Load("127.0.0.1", requests, rate=100, port=nginx.pod.port(8080)) as load:
            for _ in range(4):
                load.wait_for(len(load.answers) + 50)
                nginx.pod.run("nginx", "-c", "/etc/nginx/nginx.conf", "-s", "reload")
            load.wait_for(len(load.answers) + 50)
        sent = len(load.answers)

        def counted() -> dict[str, float]:
            return samples(nginx.counts(), f"{DURATIONS}_count")

        eventually(lambda: counted() == {labelled(200): sent}, f"{sent} are counted", 5)
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    assert len(nginx.log()) == sent


def test_lines_of_the_log_wait_for_at_most_a_second(nginx: Nginx) -> None:
    with nginx.running():
        nginx.get("/items").read()
        began = time.monotonic()
        eventually(lambda: len(nginx.log()) == 1, "the line is written")
        assert time.monotonic() - began < 1.5


@pytest.mark.usefixtures("two_processes")
def test_lines_of_several_processes_are_not_mixed(nginx: Nginx) -> None:
    pipe = nginx.pod.paths["/dev/stdout"]
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    written: list[bytes] = []

    def read(reader: int) -> None:
        # Slowly, so that the pipe is full and each process has to wait.
        while True:
            try:
                written.append(os.read(reader, 1024))
            except BlockingIOError:
                written.append(b" ")
            if not written[-1]:
                return
            time.sleep(0.005)

    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    sent = [f"/{number}/{'x' * (number % 700)}" for number in range(600)]
    with ThreadPoolExecutor(9) as threads:
        with nginx.running(proxy={"maxConnectionsPerPod": 1000}):
            reading = threads.submit(read, reader)
            assert set(threads.map(lambda path: nginx.get(path).status, sent)) == {200}
        reading.result()
    os.close(reader)
    lines = b"".join(data for data in written if data != b" ").splitlines()
    assert sorted(json.loads(line)["path"] for line in lines) == sorted(sent)


def test_without_its_module_nginx_serves_and_does_not_count(nginx: Nginx) -> None:
    nginx.pod.paths["/usr/lib/nginx/modules"] = nginx.pod.root / "absent"
    with nginx.running(**COUNTED):
        assert nginx.get("/items").status == 200
        assert not listens(nginx.pod.port(METRICS_PORT))
    assert "requests are not counted" in nginx.pod.output()


def test_without_room_for_a_new_number_the_others_still_count(
    nginx: Nginx, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "PROXY_COUNTS_BYTES", SMALL_BYTES)
    statuses = range(400, 500)
    app.answers.update({f"/{status}": Answer(status=status) for status in statuses})
    with nginx.running(**COUNTED):
        nginx.get("/items").read()
        for status in statuses:
            assert nginx.get(f"/{status}").status == status
        before = samples(nginx.counts(), f"{DURATIONS}_count")
        assert len(before) < len(statuses)

        def counts_on() -> bool:
            # One that takes longer than those before would need a new number.
            nginx.get("/items").read()
            return samples(nginx.counts(), f"{DURATIONS}_count")[labelled(200)] > 1

        eventually(counts_on, "a further request is counted")
    assert len(nginx.log()) > 1 + len(statuses)


def test_counts_of_earlier_canaries_are_removed_when_their_room_is_needed(
    nginx: Nginx, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "PROXY_COUNTS_BYTES", SMALL_BYTES)
    stage = Stage(canary="0", step=1, percent=0, replicas=1)
    arguments = {"rollout": {"canary": {}}, "stage": stage}

    def counted(canary: str) -> int:
        found = proxy_reading(nginx.counts(), canary)
        return sum(one.stable.requests for one in found.values())

    # Twenty leave room if the requests of each take equally long.
    names = [f"{number:08x}" for number in range(1, 41)]
    with nginx.running(**arguments):
        for number, name in enumerate(names):
            arguments["stage"] = dataclasses.replace(stage, canary=name)
            nginx.written(**arguments)
            nginx.pod.run("nginx", "-c", "/etc/nginx/nginx.conf", "-s", "reload")

            def is_counted(name: str = name) -> bool:
                nginx.get("/items").read()
                return counted(name) > 0

            eventually(is_counted, f"canary {number} is counted")
            if number == 1:
                # There is room for both.
                assert counted(names[0]) > 0
        assert counted(names[0]) == 0
        assert samples(nginx.counts(), f"{DURATIONS}_count")[labelled(200)] > len(names)
