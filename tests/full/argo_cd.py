"""Argo CD's application controller and repo-server beside an API server, and a Git server."""

import contextlib
import functools
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fastapi_operator import naming
from tests.api.kube import Kube, RefusedError
from tests.api.process import fetch, free_port
from tests.api.world import eventually
from tests.charts.conftest import ROOT, chosen_helm
from tests.cluster import execution, instances, packages, processes
from tests.cluster.apiserver import ApiServer
from tests.full import following
from tests.judges import controllers, modules
from tests.kubectl import Kubectl
from tests.kubectl import eventually as until

NAMESPACE = "argocd"
SERVER = "https://kubernetes.default.svc"
APPLICATIONS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/applications"
_PACKAGES = {"redis-server": "redis-server", "git": "git"}
_PROGRAMS = ("argocd-redis", "argocd-git", "argocd-repo-server", "argocd-controller")
_STARTED_SECONDS = 60
_SYNCED_SECONDS = 150.0


def require() -> None:
    """Skips the test if Argo CD is not built."""
    if controllers.built("argo-cd") is None:
        pytest.skip("argo-cd is not built; `make judges` builds it")


class Tree:
    """A Git repository, served on loopback; a commit is there as soon as it is made."""

    def __init__(self, folder: Path, address: str) -> None:
        self.address = f"{address}/{folder.name}"
        self._folder = folder
        folder.mkdir()
        self._git("init", "--quiet", "--initial-branch", "main")

    def commit(self, files: Mapping[str, str]) -> str:
        """Makes a commit in which the repository has exactly these files; returns its hash."""
        for entry in self._folder.iterdir():
            if entry.name != ".git":
                shutil.rmtree(entry)
        for name, text in files.items():
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._git("add", "--all")
        author = ("-c", "user.name=tests", "-c", "user.email=tests@example.com")
        self._git(*author, "commit", "--quiet", "--message", "Change the tree")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str) -> str:
        return execution.output_of(["git", "-C", self._folder, *arguments])


@dataclass(frozen=True)
class State:
    """The state of an Application, as the list of Argo CD shows it.

    Attributes:
        sync: ``Synced`` or ``OutOfSync``.
        health: Its health, of which ``Degraded`` is the worst.
        operation: The phase of its newest sync.
        services: The health of its services.
    """

    sync: str
    health: str
    operation: str
    services: frozenset[str]


@dataclass
class Application:
    """An Application of Argo CD."""

    kube: Kube
    name: str

    @property
    def path(self) -> str:
        """Its path in the API."""
        return f"{APPLICATIONS}/{self.name}"

    def status(self) -> dict[str, Any]:
        """Returns its status; empty if it is gone or new."""
        found: dict[str, Any] = (self.kube.get(self.path) or {}).get("status", {})
        return found

    def state(self) -> State:
        """Returns its state."""
        status = self.status()
        return State(
            sync=status.get("sync", {}).get("status", ""),
            health=status.get("health", {}).get("status", ""),
            operation=status.get("operationState", {}).get("phase", ""),
            services=frozenset(
                one.get("health", {}).get("status", "")
                for one in status.get("resources", ())
                if one["kind"] == naming.KIND
            ),
        )

    def health_of(self, kind: str, name: str) -> dict[str, Any]:
        """Returns the health of one of its objects."""
        for found in self.status().get("resources", ()):
            if (found["kind"], found["name"]) == (kind, name):
                return dict(found.get("health", {}))
        return {}

    def refresh(self, *, hard: bool = False) -> None:
        """Compares Git and cluster, as after a push; a hard one also renders again."""
        note = {"argocd.argoproj.io/refresh": "hard" if hard else "normal"}
        self.kube.patch(self.path, {"metadata": {"annotations": note}})

        def compared() -> bool:
            body = self.kube.get(self.path)
            assert body is not None
            return not set(note) & set(body["metadata"].get("annotations") or {})

        eventually(compared, within=_SYNCED_SECONDS)

    def until(self, *, within: float = _SYNCED_SECONDS, **expected: object) -> None:
        """Waits for a state, given by its attributes."""

        def reached() -> bool:
            state = self.state()
            assert all(getattr(state, name) == value for name, value in expected.items()), (
                f"{self.name} is {state}, not {expected}: {self._messages()}"
            )
            return True

        eventually(reached, within=within)

    def delete(self, *, within: float = _SYNCED_SECONDS) -> None:
        """Deletes it with its objects, and waits until it is gone."""
        finalizers = ["resources-finalizer.argocd.argoproj.io"]
        self.kube.patch(self.path, {"metadata": {"finalizers": finalizers}})
        self.kube.delete(self.path)
        eventually(lambda: self.kube.get(self.path) is None, within=within)

    def _messages(self) -> list[str]:
        status = self.status()
        found = [one["message"] for one in status.get("conditions", ())]
        for one in status.get("resources", ()):
            if (
                one.get("health", {}).get("status", "Healthy") != "Healthy"
                or one["status"] != "Synced"
            ):
                found.append(f"{one['kind']} {one['name']}: {one['status']}, {one.get('health')}")
        return [*found, status.get("operationState", {}).get("message", "")]


def apply(kube: Kube, body: Mapping[str, Any]) -> Application:
    """Applies an Application as a user does."""
    application = Application(kube, body["metadata"]["name"])
    kube.apply(application.path, body)
    return application


@contextlib.contextmanager
def followed(application: Application) -> Iterator[list[State]]:
    """Follows the states of an Application while the block runs."""
    course = list[State]()
    with following.followed(application.state, course, seconds=0.05):
        yield course


@contextlib.contextmanager
def running(server: ApiServer, folder: Path) -> Iterator[str]:
    """Installs Argo CD with our health check, and runs it; the address of the Git server.

    Args:
        server: The API server.
        folder: An empty folder; the Git server serves the repositories in its ``git``.
    """
    program, instance = controllers.built("argo-cd"), instances.find(server.name)
    assert program is not None and instance is not None
    packages.ensure(_PACKAGES)
    _install(Kubectl(str(server.programs / "kubectl"), server.kubeconfig))
    names = ("redis", "git", "repo-server", "repo-server-metrics", "controller-metrics")
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    node = processes.Processes(instance.state)
    for name in ("git", "tmp", "tls", "ssh", "plugins"):
        (folder / name).mkdir()
    paths = ["/usr/local/bin", "/usr/bin", "/bin", str(chosen_helm().parent)]
    environment = {
        "PATH": ":".join(paths),
        "HOME": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "KUBECONFIG": str(server.kubeconfig),
        "ARGOCD_FAKE_IN_CLUSTER": "true",
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_TLS_DATA_PATH": str(folder / "tls"),
        "ARGOCD_SSH_DATA_PATH": str(folder / "ssh"),
        "ARGOCD_PLUGINSOCKFILEPATH": str(folder / "plugins"),
        # The path of a Unix socket is short.
        "ARGOCD_ASK_PASS_SOCK": f"/tmp/argocd-{ports['redis']}.sock",
    }
    redis = f"127.0.0.1:{ports['redis']}"
    local = ["--bind", "127.0.0.1", "--port", str(ports["redis"]), "--save", ""]
    served = [f"--base-path={folder / 'git'}", "--export-all", "--listen=127.0.0.1"]
    repositories = ["--address=127.0.0.1", f"--port={ports['repo-server']}", "--disable-tls"]
    repositories += [f"--metrics-port={ports['repo-server-metrics']}"]
    repositories += ["--metrics-address=127.0.0.1", f"--redis={redis}"]
    control = [f"--kubeconfig={server.kubeconfig}", f"--namespace={NAMESPACE}"]
    control += [f"--metrics-port={ports['controller-metrics']}", f"--redis={redis}"]
    control += [f"--repo-server=127.0.0.1:{ports['repo-server']}", "--repo-server-plaintext"]
    # The health of each object is then in the status, and not only in Redis.
    control += ["--persist-resource-health"]
    commands: dict[str, list[str | Path]] = {
        "argocd-redis": ["redis-server", *local],
        "argocd-git": ["git", "daemon", *served, f"--port={ports['git']}"],
        "argocd-repo-server": [program / "argo-cd", "repo-server", *repositories],
        "argocd-controller": [program / "argo-cd", "application-controller", *control],
    }
    try:
        for name, command in commands.items():
            node.start(name, command, environment=environment)
        for name, port in (
            ("argocd-repo-server", ports["repo-server-metrics"]),
            ("argocd-controller", ports["controller-metrics"]),
        ):
            is_ready = functools.partial(_is_healthy, port)
            node.wait_until(name, is_ready, seconds=_STARTED_SECONDS)
        yield f"git://127.0.0.1:{ports['git']}"
        for name in _PROGRAMS:
            assert node.is_running(name), node.log(name).read_text()[-2000:]
    finally:
        for name in reversed(_PROGRAMS):
            node.stop(name, grace_seconds=5)


def _is_healthy(port: int) -> bool:
    return fetch(port, "/healthz")[0] == 200


def _free_ports(count: int) -> set[int]:
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return ports


def _install(kubectl: Kubectl) -> None:
    """Installs Argo CD's definitions and settings from its module, and our health check."""
    manifests = modules.folder(modules.ARGO_CD) / "manifests"
    kubectl("apply", "--server-side", "-k", str(manifests / "crds"))
    for kind in ("applications", "appprojects"):
        served = functools.partial(kubectl.json, "get", f"{kind}.argoproj.io", "--all-namespaces")
        until(served, seconds=60, what=f"{kind} are served")
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    kubectl("apply", "-n", NAMESPACE, "-k", str(manifests / "base/config"))
    # Argo CD's API server makes the key and the project when it starts.
    key = f'{{"stringData": {{"server.secretkey": "{secrets.token_hex(32)}"}}}}'
    kubectl("patch", "secret", "argocd-secret", "-n", NAMESPACE, "--patch", key)
    kubectl.apply(
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AppProject",
            "metadata": {"name": "default", "namespace": NAMESPACE},
            "spec": {
                "sourceRepos": ["*"],
                "destinations": [{"server": "*", "namespace": "*"}],
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            },
        }
    )
    # The command of docs/gitops.md.
    check = str(ROOT / "manifests/gitops/argocd")
    kubectl("apply", "-k", check, "--server-side", "--field-manager", "fastapi-operator")


def forget(kube: Kube, name: str) -> None:
    """Removes an Application that a test left, without its objects."""
    with contextlib.suppress(RefusedError):
        kube.patch(f"{APPLICATIONS}/{name}", {"metadata": {"finalizers": None}})
        kube.delete(f"{APPLICATIONS}/{name}")
