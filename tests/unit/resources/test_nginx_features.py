"""What a service may ask of its proxy, each feature seen at a real nginx."""

import os
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fastapi_operator.api.proxy import PRIVATE_HEADERS
from fastapi_operator.observability.readings import read_proxy_log
from fastapi_operator.observability.signals import ProxyLog
from fastapi_operator.tuning import figures
from tests.unit.resources.nginx import Nginx
from tests.unit.resources.operands import container, eventually, wanted
from tests.unit.resources.web import BEHIND_INGRESS, Answer, App, ask, received, serving

# nginx counts whole seconds: what is fresh for one second is old after two.
EXPIRED = 2.1
CACHED = {"cache": {"routes": [{"path": "/items", "seconds": 60}]}}


@pytest.fixture(scope="module")
def nginx_with_cache() -> Iterator[Nginx]:
    """nginx with a cache, running for several tests."""
    with tempfile.TemporaryDirectory(prefix="operands-") as folder, serving() as app:
        Path(folder).chmod(0o755)
        nginx = Nginx(Path(folder), app)
        with nginx.running(proxy=CACHED):
            yield nginx


def test_slow_apps_and_slow_clients_time_out(nginx: Nginx, app: App) -> None:
    app.answers["/slow"] = Answer(delay=3)
    with nginx.running(proxy={"timeouts": {"readSeconds": 1, "clientSeconds": 1}}):
        assert nginx.get("/slow").status == 504
        # What took too long once would do so again.
        assert app.asked == ["/slow"]
        with socket.create_connection(("127.0.0.1", nginx.pod.port(8080)), timeout=5) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
            with pytest.raises(ConnectionResetError):
                client.recv(100)
        assert nginx.get("/fast").status == 200


def test_a_pod_that_accepts_no_connection_times_out(nginx: Nginx) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        nginx.pod.ports[8000], nginx.pod.hosts["shop-app"] = port, "127.0.0.1"
        timeouts = {"connectSeconds": 1, "readSeconds": 30}
        with nginx.running(proxy={"balancing": "Service", "timeouts": timeouts}):
            before = time.monotonic()
            assert nginx.get().status == 504
            # A second a try, each of which may land on another pod.
            tries = figures.PROXY_SERVICE_TRIES
            assert tries - 0.5 < time.monotonic() - before < tries + 3
        for filler in fillers:
            filler.close()


class LosingPods(socketserver.ThreadingTCPServer):
    """Reads each request and hangs up, until the last try that a request has."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _HangsUp)
        self.asked: list[str] = []


class _HangsUp(socketserver.StreamRequestHandler):
    server: LosingPods

    def handle(self) -> None:
        self.server.asked.append(self.rfile.readline().split()[0].decode())
        while self.rfile.readline().strip():
            pass
        if len(self.server.asked) == figures.PROXY_SERVICE_TRIES:
            # Or nginx could keep the connection, and send its next request to a closed one.
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def test_reads_are_tried_on_other_pods_and_writes_are_never_sent_twice(nginx: Nginx) -> None:
    with LosingPods() as pods:
        threading.Thread(target=pods.serve_forever, daemon=True).start()
        nginx.pod.ports[8000] = pods.server_address[1]
        with nginx.running(proxy={"balancing": "Service"}):
            assert nginx.get().status == 200
            assert pods.asked == ["GET"] * figures.PROXY_SERVICE_TRIES
            assert ask(nginx.pod.port(8080), method="POST", body=b"{}").status == 502
            assert pods.asked[figures.PROXY_SERVICE_TRIES :] == ["POST"]
            eventually(lambda: len(nginx.log()) == 2, "both are in the log")
        # The pod that closed the connection is in the log, without a line of its own.
        assert read_proxy_log(nginx.pod.paths["/dev/stdout"].read_text().splitlines()) == ProxyLog(
            requests=2, bad_gateways=1, closed_early=1
        )
        pods.shutdown()


def test_lines_headers_and_bodies_that_are_too_long_are_rejected(nginx: Nginx, app: App) -> None:
    with nginx.running(proxy={"maxHeaderSize": "2Ki", "maxBodySize": "1Ki"}):
        port = nginx.pod.port(8080)
        assert nginx.get("/" + 3000 * "a").status == 414
        assert nginx.get(X_Long=3000 * "a").status == 431
        assert ask(port, method="POST", body=2000 * b"a").status == 413
        assert app.asked == []
        assert nginx.get("/" + 1500 * "a", X_Long=1500 * "a").status == 200
        assert ask(port, method="POST", body=1000 * b"a").status == 200


def test_streams_are_forwarded_unbuffered_and_uncompressed(nginx: Nginx, app: App) -> None:
    compression = {"minBytes": 0}
    with nginx.running(proxy={"streamingPaths": ["/events"], "compression": compression}):
        answer = nginx.get("/events/1", Accept_Encoding="gzip")
        assert answer.read(6) == b"first\n"
        app.may_continue.set()
        assert answer.read() == b"second\n"
        assert answer.headers["Content-Encoding"] is None


def test_other_paths_are_buffered(nginx: Nginx, app: App) -> None:
    with nginx.running(), ThreadPoolExecutor() as pool:
        answer = pool.submit(lambda: nginx.get("/events/1").read())
        eventually(lambda: app.asked == ["/events/1"], "the app is asked")
        time.sleep(0.3)
        assert not answer.done()
        app.may_continue.set()
        assert answer.result() == b"first\nsecond\n"


def test_streams_can_be_silent_longer_than_other_responses(nginx: Nginx, app: App) -> None:
    timeouts = {"readSeconds": 1}
    with nginx.running(proxy={"streamingPaths": ["/events"], "timeouts": timeouts}):
        answer = nginx.get("/events/1")
        threading.Timer(2, app.may_continue.set).start()
        assert answer.read() == b"first\nsecond\n"


def test_web_sockets_are_upgraded(nginx: Nginx) -> None:
    head = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with (
        nginx.running(proxy={"streamingPaths": ["/ws"]}),
        socket.create_connection(("127.0.0.1", nginx.pod.port(8080)), timeout=5) as client,
    ):
        client.sendall(head)
        answer = client.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101")
        client.sendall(b"ping\n")
        assert client.recv(4096) == b"ping\n"


def test_cached_responses_are_served_without_the_app(nginx: Nginx, app: App) -> None:
    with nginx.running(proxy=CACHED):
        states = [nginx.get(path).headers["X-Cache"] for path in 2 * ["/items/1", "/items?page=2"]]
        assert states == ["MISS", "MISS", "HIT", "HIT"]
        assert app.asked == ["/items/1", "/items?page=2"]
        assert nginx.get("/itemsets").headers["X-Cache"] is None


def test_personal_responses_are_never_cached(nginx: Nginx, app: App) -> None:
    app.answers["/items/cookie"] = Answer(headers={"Set-Cookie": "session=1"})
    with nginx.running(proxy=CACHED):
        for path, headers in (
            ("/items/1", {"Authorization": "Bearer a"}),
            ("/items/2", {"Cookie": "session=a"}),
            ("/items/cookie", {}),
        ):
            for _ in range(2):
                assert nginx.get(path, **headers).headers["X-Cache"] in ("BYPASS", "MISS")
            assert app.asked.count(path) == 2, path
        # Other clients do not get these responses either.
        assert nginx.get("/items/1").headers["X-Cache"] == "MISS"
        assert nginx.get("/items/2").headers["X-Cache"] == "MISS"


def test_a_response_for_one_key_is_not_served_to_another(nginx_with_cache: Nginx) -> None:
    def states(header: str) -> list[str | None]:
        path, found = f"/items/{header}", []
        # For nginx, the value 0 of a condition means no.
        for key in ("0", "a", "a"):
            answer = nginx_with_cache.get(path, **{header: key})
            assert key in received(answer).values()
            found.append(answer.headers["X-Cache"])
        return [*found, nginx_with_cache.get(path).headers["X-Cache"]]

    # Examples for FastAPI use access_token, which nginx reads as Access-Token.
    headers = [*PRIVATE_HEADERS, "x-api-key", "access_token"]
    with ThreadPoolExecutor(8) as pool:
        found = dict(zip(headers, pool.map(states, headers), strict=True))
    assert found == {header: ["BYPASS", "BYPASS", "BYPASS", "MISS"] for header in headers}


def test_a_response_to_a_body_is_not_served_to_others(nginx_with_cache: Nginx) -> None:
    port = nginx_with_cache.pod.port(8080)
    for _ in range(2):
        answer = ask(port, "/items/body", body=b"mine")
        assert (answer.status, answer.headers["X-Cache"]) == (200, "BYPASS")
    assert nginx_with_cache.get("/items/body").headers["X-Cache"] == "MISS"


def test_private_headers_can_be_chosen(nginx: Nginx, app: App) -> None:
    chosen = {"cache": CACHED["cache"] | {"privateHeaders": ["X-Tenant"]}}
    with nginx.running(proxy=chosen):
        nginx.get("/items").read()
        assert nginx.get("/items", X_Tenant="a").headers["X-Cache"] == "BYPASS"
        assert nginx.get("/items", Cookie="a=b").headers["X-Cache"] == "HIT"


def test_the_cache_follows_vary(nginx: Nginx, app: App) -> None:
    app.answers["/items/any"] = Answer(headers={"Vary": "*"})
    app.answers["/items/language"] = Answer(headers={"Vary": "Accept-Language"})
    with nginx.running(proxy=CACHED):
        states = [nginx.get("/items/any").headers["X-Cache"] for _ in range(3)]
        assert states == ["MISS"] * 3
        states = [
            nginx.get("/items/language", Accept_Language=language).headers["X-Cache"]
            for language in ("en", "fr", "en", "fr")
        ]
        assert states == ["MISS", "MISS", "HIT", "HIT"]


def test_cache_control_of_the_app_takes_precedence(nginx: Nginx, app: App) -> None:
    app.answers["/items/private"] = Answer(headers={"Cache-Control": "private"})
    app.answers["/items/short"] = Answer(headers={"Cache-Control": "max-age=1"})
    with nginx.running(proxy={"cache": CACHED["cache"] | {"staleSeconds": 0}}):
        for _ in range(2):
            assert nginx.get("/items/private").headers["X-Cache"] == "MISS"
        assert nginx.get("/items/short").headers["X-Cache"] == "MISS"
        assert nginx.get("/items/short").headers["X-Cache"] == "HIT"
        eventually(lambda: nginx.get("/items/short").headers["X-Cache"] == "EXPIRED", "it expires")


def test_errors_are_not_cached(nginx: Nginx, app: App) -> None:
    app.answers["/items/1"] = Answer(status=500)
    with nginx.running(proxy=CACHED):
        assert [nginx.get("/items/1").status for _ in range(2)] == [500, 500]
        assert len(app.asked) == 2


def test_a_stale_response_is_served_during_an_update(nginx: Nginx, app: App) -> None:
    route = {"path": "/items", "seconds": 1}
    with nginx.running(proxy={"cache": {"routes": [route], "staleSeconds": 60}}):
        app.answers["/items"] = Answer(body=b"old")
        assert nginx.get("/items").read() == b"old"
        time.sleep(EXPIRED)
        app.answers["/items"] = Answer(body=b"new", delay=1)
        before = time.monotonic()
        stale = [nginx.get("/items") for _ in range(5)]
        assert {answer.headers["X-Cache"] for answer in stale} <= {"STALE", "UPDATING"}
        assert {answer.read() for answer in stale} == {b"old"}
        assert time.monotonic() - before < 1
        eventually(lambda: nginx.get("/items").read() == b"new", "the answer is renewed")
        assert len(app.asked) <= 3


def test_stale_responses_are_served_while_the_app_fails(nginx: Nginx, app: App) -> None:
    route = {"path": "/items", "seconds": 1}
    with nginx.running(proxy={"cache": {"routes": [route], "staleSeconds": 60}}):
        app.answers["/items"] = Answer(body=b"old")
        nginx.get("/items").read()
        app.answers["/items"] = Answer(status=503)
        time.sleep(EXPIRED)
        answers = [nginx.get("/items") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert {answer.headers["X-Cache"] for answer in answers} <= {"STALE", "UPDATING"}


def test_a_response_that_the_app_no_longer_serves_leaves_the_cache(nginx: Nginx, app: App) -> None:
    routes = [{"path": "/items", "seconds": 1}, {"path": "/others", "seconds": 600}]
    cache = {"cache": {"routes": routes, "staleSeconds": 1}}
    sidecar = container(wanted(proxy=cache), "Deployment/shop-proxy", "reload")["command"]
    script = sidecar[2].replace("sleep 5", "sleep 0.1")
    app.answers["/items/kept"] = Answer(headers={"Cache-Control": "max-age=600"})
    with nginx.running(proxy=cache):
        for path in ("/items/kept", "/items/deleted"):
            nginx.get(path).read()
        app.answers["/items/deleted"] = Answer(status=404)
        time.sleep(EXPIRED)
        assert nginx.get("/items/deleted").status == 200
        minutes_ago = time.time() - 120
        for file in nginx.pod.paths["/var/cache/nginx"].rglob("*"):
            os.utime(file, (minutes_ago, minutes_ago))
        with nginx.pod.running(*sidecar[:2], script):
            eventually(lambda: nginx.get("/items/deleted").status == 404, "it is removed")
        assert nginx.get("/items/kept").headers["X-Cache"] == "HIT"


def test_many_requests_for_one_key_reach_the_app_once(nginx: Nginx, app: App) -> None:
    app.answers["/items"] = Answer(delay=0.5)
    with nginx.running(proxy=CACHED), ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: nginx.get("/items").status, range(20)))
    assert answers == 20 * [200]
    assert app.asked == ["/items"]


def _static(nginx: Nginx) -> None:
    root = nginx.pod.paths["/srv/www"]
    (root / "static/css").mkdir(parents=True)
    (root / "static/app.js").write_text("let a;" + 2000 * " ")
    (root / "static/css/site.css").write_text("a {}")
    (root / "secret").write_text("secret")
    (root / "static/link").symlink_to(root / "secret")


STATIC = {"static": [{"path": "/static", "directory": "/app/static"}]}


def test_static_files_are_served_without_the_app(nginx: Nginx, app: App) -> None:
    _static(nginx)
    with nginx.running(proxy=STATIC):
        answer = nginx.get("/static/app.js", Accept_Encoding="gzip")
        assert answer.headers["Content-Type"] == "text/javascript"
        assert answer.headers["Cache-Control"] == "max-age=3600"
        assert answer.headers["Content-Encoding"] == "gzip"
        assert nginx.get("/static/css/site.css").headers["Content-Type"] == "text/css"
        assert nginx.get("/static/missing").status == 404
        assert app.asked == []


def test_static_files_are_limited_to_their_directory(nginx: Nginx, app: App) -> None:
    _static(nginx)
    with nginx.running(proxy=STATIC):
        for path in ("/static/../secret", "/static%2f..%2fsecret", "/static../secret"):
            answer = nginx.get(path)
            assert b"secret" not in answer.read().replace(path.encode(), b""), path
        assert nginx.get("/static/link").status == 403
        assert nginx.get("/static/").status == 403
        directory = nginx.get("/static/css")
        assert (directory.status, directory.headers["Location"]) == (301, "/static/css/")


def test_static_files_are_copied_from_the_apps_image() -> None:
    objects = wanted(proxy=STATIC, image="registry.example.com/shop:2")
    copy = container(objects, "Deployment/shop-proxy", "copy-static-0")
    assert copy["image"] == "registry.example.com/shop:2"
    assert copy["command"] == ["cp", "-RPf", "/app/static/.", "/srv/www/static"]
    target = {mount["name"]: mount["mountPath"] for mount in copy["volumeMounts"]}
    assert target["static-0"] == "/srv/www/static"


def test_a_copy_over_a_failed_copy_succeeds(nginx: Nginx) -> None:
    source, target = nginx.pod.directory("/app/static"), nginx.pod.directory("/srv/www/static")
    (source / "a.txt").write_text("a")
    (source / "a.txt").chmod(0o444)
    (source / "link").symlink_to("/etc/passwd")
    copy = container(wanted(proxy=STATIC), "Deployment/shop-proxy", "copy-static-0")
    for _ in range(2):
        assert nginx.pod.run(*copy["command"]).returncode == 0
    assert (target / "a.txt").read_text() == "a"
    assert (target / "link").is_symlink()


def test_the_rate_limit_applies_to_one_client_only(nginx: Nginx) -> None:
    limit = {"requestsPerSecond": 1, "burst": 2, "paths": ["/login"]}
    with nginx.running(proxy={"rateLimit": limit}, exposure=BEHIND_INGRESS):
        fast = [nginx.get("/login", X_Forwarded_For="198.51.100.7") for _ in range(6)]
        assert [answer.status for answer in fast] == [200, 200, 200, 429, 429, 429]
        assert fast[-1].headers["Retry-After"] == "1"
        assert fast[0].headers["Retry-After"] is None
        assert nginx.get("/login", X_Forwarded_For="198.51.100.8").status == 200
        assert nginx.get("/items", X_Forwarded_For="198.51.100.7").status == 200


def test_no_spelling_of_the_root_path_passes_the_rate_limit(nginx: Nginx) -> None:
    # Granian removes its root path also from these paths.
    limit = {"requestsPerSecond": 1, "burst": 1, "paths": ["/login"]}
    with nginx.running(server={"rootPath": "/shop"}, proxy={"rateLimit": limit}):
        paths = ("/shop/login", "/shop/shop/login", "/shop%2Flogin", "/login") * 2
        assert [nginx.get(path).status for path in paths].count(200) == 2


def test_a_429_of_the_app_keeps_its_own_retry_after(nginx: Nginx, app: App) -> None:
    app.answers["/"] = Answer(status=429, headers={"Retry-After": "30"})
    with nginx.running(proxy={"rateLimit": {"requestsPerSecond": 100}}):
        assert nginx.get().headers.get_all("Retry-After") == ["30"]


@pytest.mark.parametrize(
    ("compression", "size", "encoding"),
    [
        ({}, 2000, "gzip"),
        ({}, 500, None),
        ({"minBytes": 100}, 500, "gzip"),
        ({"enabled": False}, 2000, None),
    ],
)
def test_responses_above_the_minimum_size_are_compressed(
    nginx: Nginx, app: App, compression: dict[str, int], size: int, encoding: str | None
) -> None:
    app.answers["/"] = Answer(body=size * b"a")
    with nginx.running(proxy={"compression": compression}):
        assert nginx.get(Accept_Encoding="gzip").headers["Content-Encoding"] == encoding


def test_security_headers_are_in_every_response_unless_the_app_sets_them(
    nginx: Nginx, app: App
) -> None:
    app.answers["/framed"] = Answer(headers={"X-Frame-Options": "DENY"})
    with nginx.running(proxy=STATIC):
        for path in ("/", "/static/missing", "/%00"):
            headers = nginx.get(path).headers
            assert headers["X-Content-Type-Options"] == "nosniff", path
            assert headers["X-Frame-Options"] == "SAMEORIGIN"
            assert headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
            assert headers["Strict-Transport-Security"] is None
            assert headers["Server"] == "nginx"
        assert nginx.get("/framed").headers.get_all("X-Frame-Options") == ["DENY"]


def test_hsts_is_sent_to_tls_clients_only(nginx: Nginx) -> None:
    exposure = {"hosts": ["shop.example.com"], "ingress": {}, "tls": {}}
    with nginx.running(exposure=exposure):
        encrypted = nginx.get(X_Forwarded_Proto="https").headers
        assert encrypted["Strict-Transport-Security"] == "max-age=31536000"
        assert nginx.get(X_Forwarded_Proto="http").headers["Strict-Transport-Security"] is None


def test_added_headers_replace_those_of_the_app(nginx: Nginx, app: App) -> None:
    app.answers["/"] = Answer(headers={"X-Powered-By": "FastAPI"})
    policy = "default-src 'self'; img-src *"
    added = [
        {"name": "X-Powered-By", "value": "tea"},
        {"name": "Content-Security-Policy", "value": policy},
        {"name": "x-frame-options", "value": "DENY"},
    ]
    with nginx.running(proxy={"headers": {"add": added}}):
        headers = nginx.get().headers
        assert headers.get_all("X-Powered-By") == ["tea"]
        assert headers["Content-Security-Policy"] == policy
        assert headers.get_all("X-Frame-Options") == ["DENY"]
    with nginx.running(proxy={"headers": {"security": False}}):
        assert nginx.get().headers["X-Content-Type-Options"] is None


def test_private_paths_return_404(nginx: Nginx, app: App) -> None:
    with nginx.running(exposure={"privatePaths": ["/admin"]}):
        for path in ("/admin", "/admin/users", "/%61dmin", "//admin", "/admin%2Fx"):
            assert nginx.get(path).status == 404, path
        assert nginx.get("/x/../admin").status == 400
        assert app.asked == []
        assert nginx.get("/administration").status == 200


def test_the_root_path_is_removed_once(nginx: Nginx, app: App) -> None:
    with nginx.running(
        server={"rootPath": "/shop"},
        exposure={"hosts": ["example.com"], "ingress": {}, "privatePaths": ["/admin"]},
    ):
        for path in ("/shop/items?a=1", "/shop", "/shop/", "/shopping", "/items"):
            nginx.get(path).read()
        assert app.asked == ["/items?a=1", "/", "/", "/shopping", "/items"]
        assert nginx.get("/shop/admin").status == 404


def test_idle_connections_are_kept_longer_than_by_the_edge(nginx: Nginx) -> None:
    nginx.written(exposure={"idleTimeoutSeconds": 120})
    text = (nginx.pod.paths["/etc/nginx"] / "nginx.conf").read_text()
    assert "keepalive_timeout 135s;" in text


def test_tls_ends_at_the_proxy_behind_a_plain_load_balancer(nginx: Nginx, app: App) -> None:
    folder = nginx.pod.paths["/etc/proxy-tls"]
    request = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=shop.example.com"
    subprocess.run(
        ["openssl", *request.split(), "-keyout", folder / "tls.key", "-out", folder / "tls.crt"],
        check=True,
        capture_output=True,
    )
    (folder / "tls.key").chmod(0o444)
    exposure = {
        "hosts": ["shop.example.com"],
        "loadBalancer": {},
        "tls": {"secretName": "shop-tls"},
    }
    with nginx.running(exposure=exposure):
        redirect = nginx.get("/items?a=1", Host="shop.example.com")
        assert redirect.status == 308
        assert redirect.headers["Location"] == "https://shop.example.com/items?a=1"
        assert received(nginx.get(Host="shop.team-a.svc"))["X-Forwarded-Proto"] == "http"
        context = ssl.create_default_context(cafile=folder / "tls.crt")
        plain = socket.create_connection(("127.0.0.1", nginx.pod.port(8443)), timeout=5)
        with context.wrap_socket(plain, server_hostname="shop.example.com") as client:
            client.sendall(b"GET / HTTP/1.0\r\nHost: shop.example.com\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert b'"X-Forwarded-Proto": "https"' in answer
        assert b"Strict-Transport-Security" in answer
