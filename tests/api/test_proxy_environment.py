"""The operator and the commands behind a proxy: HTTPS_PROXY, and networks in NO_PROXY."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.api.connect_proxy import ConnectProxy
from tests.api.process import MAIN, Process
from tests.api.world import World, eventually

# An address of this machine that is not a loopback address, which no program sends to a proxy.
HOST = "0.0.0.0"


@pytest.fixture
def kubeconfig(world: World, tmp_path: Path) -> Path:
    body = yaml.safe_load(world.kubeconfig.read_text())
    cluster = body["clusters"][0]["cluster"]
    cluster["server"] = cluster["server"].replace("127.0.0.1", HOST)
    cluster.pop("certificate-authority", None)
    cluster.pop("certificate-authority-data", None)
    # The certificate of the API server is for 127.0.0.1.
    cluster["insecure-skip-tls-verify"] = True
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(body))
    return path


@pytest.mark.parametrize(
    ("no_proxy", "through_proxy"),
    [("192.168.0.0/16", True), ("192.168.0.0/16,0.0.0.0/8", False)],
    ids=["other network", "network of the server"],
)
def test_every_connection_follows_no_proxy(
    world: World, kubeconfig: Path, tmp_path: Path, no_proxy: str, through_proxy: bool
) -> None:
    with ConnectProxy() as proxy:
        environment = {"NO_PROXY": no_proxy, "HTTPS_PROXY": proxy.url}
        environment |= {name.lower(): value for name, value in environment.items()}
        process = Process(
            kubeconfig,
            tmp_path / "log",
            *("--namespace", world.namespace, "--lease-namespace", world.namespace),
            environment=environment,
        )
        try:
            since = world.mark()
            eventually(process.is_working)
            world.apply()
            world.until_ready()
            eventually(lambda: "deployments" in world.watches(since))
        finally:
            process.end(signal.SIGKILL)
        operators = len(proxy.targets)
        command = [sys.executable, "-c", MAIN, "status", "shop", "-n", world.namespace]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment, "KUBECONFIG": str(kubeconfig)},
        )
        assert done.returncode == 0, done.stderr
        # Kopf's watches have connections of their own.
        assert (operators > 1) is through_proxy
        assert (len(proxy.targets) > operators) is through_proxy
        assert all(target.startswith(f"{HOST}:") for target in proxy.targets)
