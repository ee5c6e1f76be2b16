"""Broken images on a real node: each is named within 20 s, and none reaches a pod of the app."""

import json
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import buildah, execution, images, places
from tests.demo.targets import Cluster
from tests.e2e.conftest import NODE, Shop
from tests.kubectl import eventually
from tests.parts.conftest import service, small

pytestmark = pytest.mark.node

SECONDS = 20
GOOD = """
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root() -> dict[str, str]:
    return {"version": "good"}
"""
SETTINGS = """
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    stripe_key: str


settings = Settings()
"""
# A connection that the app's pods can open, and the pod of the check cannot.
CONNECTS = """
import os
import socket

socket.create_connection((os.environ["KUBERNETES_API"], 443), timeout=5).close()
"""


@dataclass(frozen=True)
class Fault:
    """One broken version: its code, and the report about it."""

    code: str
    reason: str
    words: tuple[str, ...]
    line: str = ""


FAULTS = {
    "module": Fault(
        f"import stripe\n{GOOD}", "MissingModule", ("No module named 'stripe'", "/app/main.py:1")
    ),
    "syntax": Fault(
        f"{GOOD}\ndef pay(:\n    pass\n", "SyntaxError", ("SyntaxError", "/app/main.py:10")
    ),
    "variable": Fault(
        f"{SETTINGS}{GOOD}", "MissingVariable", ("STRIPE_KEY", "/app/main.py:8", "spec.env")
    ),
    "path": Fault(
        GOOD.replace("app =", "application =").replace("@app", "@application"),
        "AppNotFound",
        ("main has no attribute app", "spec.app"),
    ),
    "extension": Fault(
        f"import fast\n{GOOD}",
        "MissingLibrary",
        ("fast.so", "/app/main.py:1"),
        line="RUN printf 'not a library, not a library' > /app/fast.so",
    ),
}


@pytest.fixture(scope="module")
def versions(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The images of the node, by version."""
    (base,) = images.build(["sample-app"])
    folder = tmp_path_factory.mktemp("versions")
    codes = {name: (fault.code, fault.line) for name, fault in FAULTS.items()}
    codes |= {"good": (GOOD, ""), "connects": (CONNECTS + GOOD, "")}
    found = {}
    for name, (code, line) in codes.items():
        found[name] = f"localhost/preflight/{name}:{int(time.time())}"
        _build(folder / name, base.references[0], found[name], textwrap.dedent(code), line)
    return found


def _build(folder: Path, base: str, reference: str, code: str, line: str) -> None:
    folder.mkdir()
    (folder / "main.py").write_text(code.lstrip())
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text(f"FROM {base}\nUSER 0\nCOPY main.py /app/main.py\n{line}\nUSER 10001\n")
    buildah.build(
        reference, dockerfile=dockerfile, context=folder, arguments={}, log=folder / "build.log"
    )
    archive = folder / "image.tar"
    buildah.save(reference, archive, reference)
    load = ("python3", "-m", "tests.cluster", "load-image", "--name", NODE, str(archive))
    execution.output_of(("env", "-C", places.REPOSITORY, *load))
    archive.unlink()


def test_a_broken_image_is_named_before_it_reaches_a_pod(
    cluster: Cluster, versions: dict[str, str]
) -> None:
    shop = Shop(cluster.kubectl, versions["good"], namespace="preflight", name="web")
    rollout = {"preflight": "Enabled"}
    service(shop, small(app="main:app", rollout=rollout))
    shop.wait_until_ready()
    found = shop.get()["status"]["preflight"]
    print(json.dumps(found))
    assert found["outcome"] == "Passed"
    assert found["routes"] == 1
    assert 20 * 2**20 < found["memoryBytes"] < 200 * 2**20
    assert found["server"].startswith("uvicorn ")
    for name, fault in FAULTS.items():
        began = time.monotonic()
        shop.patch({"image": versions[name]})

        def is_named(reason: str = fault.reason) -> bool:
            status = shop.get()["status"]
            stalled = shop.condition("Stalled")
            seen = status.get("preflight", {}).get("reason")
            return (stalled.get("reason"), seen) == ("PreflightFailed", reason)

        eventually(is_named, seconds=60, what=f"{name} named")
        seconds = time.monotonic() - began
        message = shop.condition("Stalled")["message"]
        print(f"{name}: {seconds:.1f} s: {message}")
        assert seconds <= SECONDS
        assert not [words for words in fault.words if words not in message]
        app = cluster.kubectl.json("get", "deployment", "web", "-n", "preflight")
        (container,) = app["spec"]["template"]["spec"]["containers"]
        assert container["image"] == versions["good"]
        assert shop.request("GET", "/").body == {"version": "good"}


def test_an_image_that_connects_while_it_is_imported_is_released_with_a_warning(
    cluster: Cluster, versions: dict[str, str]
) -> None:
    shop = Shop(cluster.kubectl, versions["connects"], namespace="preflight", name="connects")
    env = [{"name": "KUBERNETES_API", "value": "kubernetes.default.svc.cluster.local"}]
    service(shop, small(app="main:app", rollout={"preflight": "Enabled"}, env=env))
    shop.wait_until_ready()
    status = shop.get()["status"]
    (warning,) = [item for item in status["problems"] if item["path"] == "spec.rollout.preflight"]
    print(warning["message"])
    assert status["preflight"]["outcome"] == "Unknown"
    assert "kubernetes.default.svc.cluster.local:443" in warning["message"]
