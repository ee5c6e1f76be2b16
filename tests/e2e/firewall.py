"""kube-router's firewall, which enforces NetworkPolicies on the node while a test runs."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import instances, packages, processes
from tests.e2e.conftest import NODE
from tests.judges import controllers


def program() -> Path | None:
    """Returns the folder of kube-router, with the packages that it needs; None if not built."""
    folder = controllers.built("kube-router")
    if folder is not None:
        packages.ensure({"ipset": "ipset", "iptables": "iptables"})
    return folder


@contextlib.contextmanager
def enforcing(folder: Path, node: str = NODE) -> Iterator[None]:
    """Enforces the policies of all pods of a node; afterwards all of its rules are removed."""
    instance = instances.find(node)
    assert instance is not None
    inside = instance.network_namespace
    command = [folder / "kube-router", "--kubeconfig", instance.kubeconfig]
    command += ["--hostname-override", instance.name, "--run-firewall=true", "--run-router=false"]
    command += ["--run-service-proxy=false", "--health-port=0"]
    command += ["--service-cluster-ip-range", instance.service_range]
    running = processes.Processes(instance.state)
    running.start("kube-router", command, network_namespace=inside)
    try:
        yield
        assert running.is_running("kube-router"), running.log("kube-router").read_text()[-2000:]
    finally:
        running.stop("kube-router", grace_seconds=5)
        # Its own clean-up leaves chains of pods, which drop the traffic of the next pod with the
        # same address. kube-proxy uses nftables, so the filter tables have only its rules.
        remove = "for f in iptables ip6tables; do $f -F; $f -X; done; ipset destroy"
        subprocess.run(["nsenter", f"--net=/run/netns/{inside}", "sh", "-c", remove], check=True)
