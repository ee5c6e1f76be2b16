"""``kubectl fastapi rotate`` under traffic: no request fails, no server restarts."""

import base64
import http.client
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fastapi_operator.reconcile.observe.observed import Phase, Rotation
from tests.e2e.conftest import Shop
from tests.kubectl import KubectlError, eventually

pytestmark = pytest.mark.node

SECRETS = ("shop-postgres", "shop-redis")
SERVERS = ("database", "pooler", "cache", "proxy")
COMMAND = "from fastapi_operator.cli.main import main; main()"


@contextmanager
def traffic(address: str, paths: tuple[str, ...]) -> Iterator[Counter[str]]:
    """Four clients that keep their connections; counts responses by status, failures by error.

    nginx closes idle connections when it reloads, which it does as pods come and go. A request that
    meets that is sent once more by a new connection, as RFC 9110 (9.2.2) has clients do.
    """
    seen: Counter[str] = Counter()
    stop = threading.Event()

    def client(path: str) -> None:
        connection, reused = http.client.HTTPConnection(address, 80, timeout=10), False
        while not stop.is_set():
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                seen[str(answer.status)] += 1
                reused = not answer.will_close
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if not (reused and isinstance(error, http.client.RemoteDisconnected)):
                    seen[f"{path}: {error!r}"] += 1
                reused = False
                continue
            time.sleep(0.02)

    clients = [threading.Thread(target=client, args=(path,)) for path in paths]
    for one in clients:
        one.start()
    try:
        yield seen
    finally:
        stop.set()
        for one in clients:
            one.join()


def values(shop: Shop, name: str) -> dict[str, str]:
    secret = shop.kubectl.json("get", "secret", name, "-n", shop.namespace)
    return {key: base64.b64decode(text).decode() for key, text in secret["data"].items()}


def is_closed(shop: Shop, name: str) -> bool:
    rotation = Rotation.of(shop.kubectl.json("get", "secret", name, "-n", shop.namespace))
    return rotation is not None and rotation.phase is Phase.CLOSED


def pods(shop: Shop, *components: str) -> dict[str, int]:
    """Restarts of the containers by pod."""
    selector = f"fastapi-operator.io/service={shop.name}"
    kind = f"app.kubernetes.io/component in ({','.join(components)})"
    found = shop.kubectl.json("get", "pods", "-n", shop.namespace, "-l", f"{selector},{kind}")
    return {
        pod["metadata"]["uid"]: sum(
            container["restartCount"]
            for key in ("containerStatuses", "initContainerStatuses")
            for container in pod["status"].get(key, ())
        )
        for pod in found["items"]
    }


def opens(shop: Shop, host: str, user: str, password: str) -> bool:
    """Whether a user gets through to the database by a host."""
    url = f"postgresql://{user}@{host}:5432/app"
    shell = f"PGPASSWORD={password} psql -X -d {url} -c 'SELECT 1'"
    try:
        shop.kubectl(
            *("exec", "-n", shop.namespace, "shop-postgres-0", "-c", "postgres", "--"),
            *("sh", "-c", shell),
        )
    except KubectlError as error:
        if "authentication failed" in str(error):
            return False
        raise
    return True


def test_a_rotation_under_traffic_loses_no_request_and_restarts_no_server(shop: Shop) -> None:
    item = shop.request("POST", "/items", {"name": f"kept-{time.time_ns()}", "price_cents": 7})
    before = {name: values(shop, name) for name in SECRETS}
    servers, address = (
        pods(shop, *SERVERS),
        shop.kubectl.json("get", "service", shop.name, "-n", shop.namespace)["spec"]["clusterIP"],
    )
    paths = ("/items", "/items?limit=5", f"/items/{item.body['id']}", "/items?limit=50")
    with traffic(address, paths) as seen:
        time.sleep(5)
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, "rotate", shop.name, "-n", shop.namespace],
            env=shop.kubectl.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        eventually(
            lambda: all(is_closed(shop, name) for name in SECRETS),
            seconds=300,
            what="the rotation is through",
            pause=2,
        )
        shop.wait_until_ready()
        # The kubelet brings the new password to the servers within a minute and a half.
        for host in ("127.0.0.1", "shop-pooler"):
            eventually(
                lambda host=host: not opens(shop, host, "app", before["shop-postgres"]["app"]),
                seconds=150,
                what=f"{host} refuses the former password",
                pause=3,
            )
        time.sleep(5)
    assert set(seen) == {"200"}, seen
    assert seen["200"] > 3000, seen
    assert pods(shop, *SERVERS) == servers
    for name in SECRETS:
        now, old = values(shop, name), before[name]
        assert (now["username"], now["password"]) == ("app_alternate", old["app_alternate"])
        assert now["app"] != old["app"]
    connected = shop.database("SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = 'app'")
    assert "app_alternate" in connected
    assert opens(shop, "shop-pooler", "app_alternate", before["shop-postgres"]["app_alternate"])
