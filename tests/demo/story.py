"""The steps of the demo, and its output."""

import csv
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.cluster import places, progress
from tests.demo import targets
from tests.demo.targets import ROOT, Cluster, Target
from tests.kubectl import Kubectl, condition, eventually

NAMESPACE = "fastapi-demo"
OPERATOR_NAMESPACE = "fastapi-operator-system"
SERVICE = "shop"
_PORT = 8080
_READY_SECONDS = 300


def run(target: Target) -> None:
    """Brings everything up and ends with live responses."""
    began = time.monotonic()
    cluster = target.prepare()
    install_operator(cluster)
    apply_service(cluster)
    wait_until_ready(cluster.kubectl)
    url = forward(cluster.kubectl)
    print(f"\n{SERVICE} is ready at {url}\n")
    show_requests(url)
    show_data(cluster.kubectl)
    show_tuning(cluster.kubectl)
    print(_where_next(cluster, url, time.monotonic() - began))


def end(target: Target) -> None:
    """Removes all parts of the demo that exist."""
    _stop_forwarding()
    if isinstance(target, targets.LocalNode):
        target.remove()
        return
    cluster = target.reach()
    with progress.step("removing the service and the operator"):
        cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait")
        _helm(cluster, "uninstall", "fastapi-operator", "--ignore-not-found", "--wait")
        cluster.kubectl("delete", "namespace", OPERATOR_NAMESPACE, "--ignore-not-found")


def install_operator(cluster: Cluster) -> None:
    """Runs ``helm install`` for the operator's chart with the built images."""
    settings = [part for value in cluster.values for part in ("--set-string", value)]
    with progress.step("helm install fastapi-operator"):
        _helm(
            cluster,
            *("upgrade", "--install", "fastapi-operator", "charts/fastapi-operator"),
            *("--create-namespace", "--wait", "--timeout", "3m", *settings),
        )


def apply_service(cluster: Cluster, *, namespace: str = NAMESPACE) -> None:
    """Applies the shop in a namespace that enforces the restricted profile."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "labels": labels},
        }
    )
    manifest = (Path(__file__).parent / "shop.yaml").read_text()
    progress.say(f"kubectl apply: FastAPIService {namespace}/{SERVICE}")
    cluster.kubectl(
        *("apply", "--namespace", namespace, "-f", "-"),
        stdin=manifest.replace("APP_IMAGE", cluster.app_image),
    )


def wait_until_ready(kubectl: Kubectl, *, namespace: str = NAMESPACE) -> None:
    """Waits for the service and shows when each part becomes ready."""
    seen: set[str] = set()

    def is_ready() -> bool:
        service = kubectl.json("get", "fas", SERVICE, "-n", namespace)
        for found in service.get("status", {}).get("conditions", ()):
            part = found["type"]
            if found["status"] == "True" and part.endswith("Ready") and part not in seen:
                seen.add(part)
                progress.say(f"  {part}")
        return condition(service, "Ready").get("status") == "True"

    with progress.step("waiting until every part is ready"):
        eventually(is_ready, seconds=_READY_SECONDS, what=f"{SERVICE} Ready", pause=1)


def forward(kubectl: Kubectl) -> str:
    """Forwards a local port to the proxy, in a process that continues after the demo."""
    _stop_forwarding()
    port = _free_port(_PORT)
    log = _state("port-forward.log").open("w")
    process = subprocess.Popen(
        kubectl.command("port-forward", "-n", NAMESPACE, f"service/{SERVICE}", f"{port}:80"),
        env=kubectl.environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    _state("port-forward.pid").write_text(f"{process.pid} {_started(process.pid)}")
    url = f"http://127.0.0.1:{port}"
    eventually(lambda: _responds(url), seconds=20, what=f"{url} responds")
    return url


def show_requests(url: str) -> None:
    """Creates a user and an item, and reads the item twice: the second time from Redis."""
    suffix = f"{time.time():.0f}"
    user = {"name": "Ada Lovelace", "email": f"ada-{suffix}@example.com", "password": "engine-1843"}
    _show("POST", f"{url}/users", user)
    item = _show("POST", f"{url}/items", {"name": "Difference engine", "price_cents": 1_999_00})
    _show("GET", f"{url}/items/{item['id']}")
    _show("GET", f"{url}/items/{item['id']}")


def show_data(kubectl: Kubectl) -> None:
    """Shows the rows in PostgreSQL, and that the app connects through PgBouncer only."""
    print("\nThe rows in PostgreSQL:")
    print(database(kubectl, "select id, name, email from users order by id desc limit 3"))
    print("Clients of PostgreSQL with the app's role (only PgBouncer pods):")
    print(
        database(
            kubectl,
            "select client_addr, count(*) from pg_stat_activity where usename = 'app' group by 1",
        )
    )
    print("The app's connections to PgBouncer (SHOW CLIENTS):")
    for client in clients_of_poolers(kubectl):
        print(f"  {client['addr']:16} {client['user']}@{client['database']} {client['state']}")


def show_tuning(kubectl: Kubectl) -> None:
    """Shows the headline numbers and their reasons from the status."""
    print("\nNumbers that the operator derived (status.tuning):")
    status = kubectl.json("get", "fas", SERVICE, "-n", NAMESPACE)["status"]
    for decision in status["tuning"]:
        print(f"  {decision['name']:32} {decision['value']!s:>12}  {decision['reason']}")


def database(kubectl: Kubectl, query: str, *, namespace: str = NAMESPACE) -> str:
    """Returns the result of a query, run by psql in the database's pod."""
    return kubectl(
        *("exec", "-n", namespace, f"statefulset/{SERVICE}-postgres", "-c", "postgres", "--"),
        *("psql", "-X", "-h", "/run/postgresql", "-U", "postgres", "-d", "app", "-c", query),
    )


def clients_of_poolers(kubectl: Kubectl, *, namespace: str = NAMESPACE) -> list[dict[str, str]]:
    """Returns the app's clients in every PgBouncer pod, from SHOW CLIENTS."""
    selector = f"fastapi-operator.io/service={SERVICE},app.kubernetes.io/component=pooler"
    pods = kubectl.json("get", "pods", "-n", namespace, "-l", selector)["items"]
    found = []
    for pod in pods:
        listing = kubectl(
            *("exec", "-n", namespace, pod["metadata"]["name"], "-c", "pgbouncer", "--"),
            *("psql", "-X", "--csv", "-h", "/run/pgbouncer", "-p", "5432", "-U", "pgbouncer"),
            *("-d", "pgbouncer", "-c", "SHOW CLIENTS"),
        )
        found += [row for row in csv.DictReader(listing.splitlines()) if row["user"] == "app"]
    return found


def _where_next(cluster: Cluster, url: str, seconds: float) -> str:
    kubeconfig = cluster.kubectl.kubeconfig
    export = f"  export KUBECONFIG={kubeconfig}\n" if kubeconfig else ""
    return (
        f"\nDone in {seconds:.0f} s. Next steps:\n"
        f"{export}"
        f"  {cluster.kubectl.program} get fastapiservice -n {NAMESPACE}\n"
        f"  {cluster.kubectl.program} describe fastapiservice {SERVICE} -n {NAMESPACE}\n"
        f"  curl {url}/items\n"
        f"  {url}/docs in a browser: the app's own documentation\n"
        "  docs/tuning.md: the formula of each number\n"
        "Remove everything with: make demo-down\n"
    )


def _show(method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """One request as curl would show it, and its response."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data=data, method=method, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
        cache = response.headers.get("X-Cache")
        print(f"{method} {url}\n  {response.status} {json.dumps(answer)}")
        if cache:
            print(f"  X-Cache: {cache}")
    return answer


def _helm(cluster: Cluster, *arguments: str) -> None:
    chosen = ["--kube-context", cluster.kubectl.context] if cluster.kubectl.context else []
    result = subprocess.run(
        [cluster.helm, *chosen, *arguments, "--namespace", OPERATOR_NAMESPACE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=cluster.kubectl.environment,
    )
    if result.returncode:
        raise AssertionError(f"helm {arguments[0]}: {result.stderr.strip()}")


def _responds(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/items", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stop_forwarding() -> None:
    """Stops the forwarding that an earlier demo left, and no other process with the same pid."""
    record = _state("port-forward.pid")
    if not record.exists():
        return
    pid, _, started = record.read_text().partition(" ")
    record.unlink()
    if _started(int(pid)) == started:
        os.kill(int(pid), signal.SIGTERM)


def _started(pid: int) -> str:
    """Returns the start time of a process in the kernel's ticks; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _state(name: str) -> Path:
    folder = places.state() / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name
