"""nginx.conf, nginx's start script and its reload sidecar, run by a real nginx."""

import http.client
import http.server
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.resources.operands import (
    Pod,
    container,
    eventually,
    files,
    listens,
    program,
    wanted,
)


class App(http.server.BaseHTTPRequestHandler):
    """Answers with the headers that it was sent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps(dict(self.headers)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    program("nginx")
    pod = Pod(tmp_path)
    for path in ("/etc/nginx", "/run/nginx", "/tmp"):
        pod.directory(path)
    app = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    pod.ports = {8000: app.server_address[1]}
    for port in (8080, 8081):
        pod.port(port)
    pod.hosts["shop-app"] = "localhost"
    # The container's runtime gives standard output to the pod's user; a test run by root cannot.
    pod.paths["/dev/stdout"] = pod.directory("/log") / "access.log"
    yield pod
    app.shutdown()


def start(pod: Pod, config: dict[str, str]) -> tuple[str, ...]:
    pod.write("/etc/nginx", config)
    script = container(wanted(), "Deployment/shop-proxy", "nginx")["command"]
    # Images have the file where nginx looks for it; the test says where it is.
    return (*script[:2], script[2].replace("nginx -e", "nginx -c /etc/nginx/nginx.conf -e"))


def get(pod: Pod, path: str = "/", port: int = 8080, **headers: str) -> http.client.HTTPResponse:
    client = http.client.HTTPConnection("127.0.0.1", pod.port(port), timeout=10)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    client.request("GET", path, headers=names)
    return client.getresponse()


def test_configuration_is_valid_and_quiet(pod: Pod) -> None:
    pod.write("/etc/nginx", files(wanted(), "shop-proxy"))
    result = pod.run("nginx", "-t", "-q", "-e", "stderr", "-c", "/etc/nginx/nginx.conf")
    assert (result.stdout + result.stderr, result.returncode) == ("", 0)


def test_app_learns_who_asked_and_by_which_name(pod: Pod) -> None:
    with pod.running(*start(pod, files(wanted(), "shop-proxy"))):
        eventually(lambda: listens(pod.port(8080)), "nginx listens")
        answer = get(
            pod, Host="shop.example.com", X_Forwarded_For="198.51.100.7", X_Forwarded_Proto="https"
        )
        seen = json.loads(answer.read())
        assert seen["Host"] == "shop.example.com"
        assert seen["X-Forwarded-For"] == "198.51.100.7, 127.0.0.1"
        assert seen["X-Forwarded-Proto"] == "https"
        assert len(seen["X-Request-ID"]) == 32
        assert "Connection" not in seen
        kept = json.loads(get(pod, X_Request_ID="order-1234567").read())
        assert kept["X-Request-ID"] == "order-1234567"
        refused = json.loads(get(pod, X_Request_ID='"}{"').read())
        assert len(refused["X-Request-ID"]) == 32


def test_access_log_is_one_json_object_a_request(pod: Pod) -> None:
    with pod.running(*start(pod, files(wanted(), "shop-proxy"))):
        eventually(lambda: listens(pod.port(8080)), "nginx listens")
        get(pod, "/items?secret=1", User_Agent='a "quoted" name').read()
        log = pod.paths["/dev/stdout"]
        eventually(lambda: "quoted" in log.read_text(), "the request is logged")
        (line,) = log.read_text().splitlines()
        record = json.loads(line)
        assert record["path"] == "/items"
        assert record["status"] == "200"
        assert "secret" not in line


def test_private_port_answers_the_kubelet_without_the_app(pod: Pod) -> None:
    pod.ports[8000] = 1
    with pod.running(*start(pod, files(wanted(), "shop-proxy"))):
        eventually(lambda: listens(pod.port(8081)), "nginx listens")
        assert get(pod, "/healthz", 8081).status == 200
        assert b"Active connections" in get(pod, "/stub_status", 8081).read()
        assert get(pod, "/").status == 502
        assert get(pod, "/nginx.conf", 8081).status == 404


def test_term_lets_requests_finish(pod: Pod) -> None:
    with pod.running(*start(pod, files(wanted(), "shop-proxy"))) as server:
        eventually(lambda: listens(pod.port(8080)), "nginx listens")
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0


def test_sidecar_reloads_what_passes_the_test_and_refuses_what_does_not(pod: Pod) -> None:
    config = files(wanted(), "shop-proxy")
    sidecar = container(wanted(), "Deployment/shop-proxy", "reload")["command"]
    script = sidecar[2].replace("nginx -t", "nginx -c /etc/nginx/nginx.conf -t")
    script = script.replace("sleep 5", "sleep 0.2")
    with pod.running(*sidecar[:2], script), pod.running(*start(pod, config)):
        eventually(lambda: listens(pod.port(8081)), "nginx listens")
        marked = config["nginx.conf"].replace("ok\\n", "reloaded\\n")
        pod.write("/etc/nginx", {"nginx.conf": marked})
        eventually(lambda: get(pod, "/healthz", 8081).read() == b"reloaded\n", "nginx reloads")
        pod.write("/etc/nginx", {"nginx.conf": marked + "nonsense;"})
        eventually(lambda: "since the new one is refused" in pod.output(), "the sidecar refuses")
        assert get(pod, "/healthz", 8081).read() == b"reloaded\n"
