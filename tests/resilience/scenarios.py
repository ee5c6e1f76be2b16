"""The changes to the running service, one function each, which returns when it is complete."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

from fastapi_operator import naming
from tests.e2e.conftest import Shop
from tests.kubectl import eventually

# The service's own variables. Cached properties are kept until a scenario ends.
ENVIRONMENT = ({"name": "CACHE_TTL_SECONDS", "value": "3600"},)
_SECONDS = 240
_PAUSE = 2


@dataclass(frozen=True)
class Bench(Shop):
    """The shop that is changed.

    Attributes:
        images: Two images of its app.
    """

    images: tuple[str, str] = ("", "")

    @functools.cached_property
    def address(self) -> str:
        """Read once, because no scenario creates the Service again."""
        return super().address


@dataclass(frozen=True)
class Scenario:
    """One change under load.

    Attributes:
        name: Its name in the table.
        change: Makes the change and waits until it is complete.
        database_gone: Whether requests that need the database may get 503 meanwhile.
    """

    name: str
    change: Callable[[Bench], None]
    database_gone: bool = False


def image_rollout(shop: Bench) -> None:
    """Changes the image: a migration, then new pods."""
    (other,) = {*shop.images} - {shop.get()["spec"]["image"]}
    shop.patch({"image": other})
    _settle(shop)


def configuration_change(shop: Bench) -> None:
    """Changes the value of an environment variable."""
    shop.patch({"env": [*ENVIRONMENT, {"name": "MARKER", "value": f"{time.time_ns()}"}]})
    _settle(shop)


def scaling(shop: Bench) -> None:
    """Adds a third pod, and removes it again."""
    for replicas in (3, 2):
        shop.patch({"scaling": {"replicas": replicas}})
        _settle(shop)


def proxy_reload(shop: Bench) -> None:
    """Changes a header in nginx.conf three times; the sidecars reload each."""
    for _ in range(3):
        marker = f"{time.time_ns()}"
        shop.patch({"proxy": {"headers": {"add": [{"name": "X-Marker", "value": marker}]}}})
        eventually(
            functools.partial(_every_proxy_has, shop, marker),
            seconds=_SECONDS,
            what=f"X-Marker: {marker} from every proxy",
            pause=_PAUSE,
        )


def proxy_rollout(shop: Bench) -> None:
    """Replaces the pods of the proxy."""
    _restart(shop, "deployment", "proxy")


def pooler_rollout(shop: Bench) -> None:
    """Replaces the pods of PgBouncer."""
    _restart(shop, "deployment", "pooler")


def pods_deleted(shop: Bench) -> None:
    """Deletes each pod of the app, one after the other, as when nodes are drained."""
    for pod in pods(shop, "app"):
        shop.kubectl("delete", "pod", pod, "-n", shop.namespace, "--wait=false")
        _settle(shop)


def app_terminated(shop: Bench) -> None:
    """Sends SIGTERM to the app's process six times, without notice."""
    for pod in pods(shop, "app") * 3:
        terminate(shop, pod)


def terminate(shop: Bench, pod: str) -> None:
    """Sends SIGTERM to the app in a pod, whose container then restarts."""
    before = _starts(shop, pod)
    kill = "import os, signal; os.kill(1, signal.SIGTERM)"
    shop.kubectl("exec", "-n", shop.namespace, pod, "-c", "app", "--", "python3", "-c", kill)
    # It serves while it drains, and restarts only after a back-off that grows each time.
    eventually(
        lambda: _starts(shop, pod) > before,
        seconds=_SECONDS,
        what=f"the app of {pod} restarts",
        pause=_PAUSE,
    )
    _settle(shop)


def credential_rotation(shop: Bench) -> None:
    """Rotates the credentials of database and cache."""
    annotation = f"{naming.ROTATE_ANNOTATION}={time.time_ns()}"
    shop.kubectl("annotate", "fas", shop.name, "-n", shop.namespace, "--overwrite", annotation)
    eventually(lambda: _rotates(shop), seconds=_SECONDS, what="the rotation begins")
    eventually(
        lambda: not _rotates(shop), seconds=_SECONDS, what="the rotation's end", pause=_PAUSE
    )
    _settle(shop)


def redis_restart(shop: Bench) -> None:
    """Deletes the cache's pod; the new one is empty."""
    _restart(shop, "deployment", "redis")


def database_restart(shop: Bench) -> None:
    """Deletes the database's pod; the new one has its volume."""
    _restart(shop, "statefulset", "postgres")


SCENARIOS = (
    Scenario("image rollout", image_rollout),
    Scenario("configuration change", configuration_change),
    Scenario("scale 2 to 3 to 2", scaling),
    Scenario("three reloads of the proxy", proxy_reload),
    Scenario("rollout of the proxy", proxy_rollout),
    Scenario("rollout of PgBouncer", pooler_rollout),
    Scenario("both pods of the app deleted", pods_deleted),
    Scenario("six times SIGTERM to the app", app_terminated),
    Scenario("rotation of credentials", credential_rotation),
    Scenario("restart of Redis", redis_restart),
    Scenario("restart of PostgreSQL", database_restart, database_gone=True),
)


def pods(shop: Bench, component: str) -> list[str]:
    selector = f"fastapi-operator.io/service={shop.name},app.kubernetes.io/component={component}"
    found = shop.kubectl.json("get", "pods", "-n", shop.namespace, "-l", selector)["items"]
    return sorted(pod["metadata"]["name"] for pod in found)


def _restart(shop: Bench, kind: str, part: str) -> None:
    name = f"{kind}/{shop.name}-{part}"
    shop.kubectl("rollout", "restart", name, "-n", shop.namespace)
    shop.kubectl("rollout", "status", name, "-n", shop.namespace, f"--timeout={_SECONDS}s")


def _settle(shop: Bench) -> None:
    """Waits until the service is Ready and no pod of the app is terminating."""
    eventually(shop.is_ready, seconds=_SECONDS, what="Ready", pause=_PAUSE)
    eventually(
        lambda: len(pods(shop, "app")) == _desired(shop),
        seconds=_SECONDS,
        what="the desired number of pods of the app",
        pause=_PAUSE,
    )


def _desired(shop: Bench) -> int:
    """The current number of desired pods, which an autoscaler may change."""
    found = shop.kubectl.json("get", "deployment", shop.name, "-n", shop.namespace)
    return int(found["spec"]["replicas"])


def _starts(shop: Bench, pod: str) -> int:
    """How often the app's container became ready after its first time."""
    found = shop.kubectl.json("get", "pod", pod, "-n", shop.namespace)
    (app,) = (one for one in found["status"]["containerStatuses"] if one["name"] == "app")
    return int(app["restartCount"]) if app["ready"] else -1


def _rotates(shop: Bench) -> bool:
    pending = shop.get()["status"].get("pending", ())
    return any(item["name"].startswith("rotation of Secret") for item in pending)


def _every_proxy_has(shop: Bench, marker: str) -> bool:
    """Returns whether ten new connections, distributed to all proxies, see the header."""
    responses = (shop.request("GET", "/items?limit=1") for _ in range(10))
    return all(response.headers["X-Marker"] == marker for response in responses)
