"""The programs of the node, built once from pinned Go modules.

All come from one module (`tools/go.mod`), so that the client libraries which they share are
compiled once: half the time of one module a program. The cache's key is what the build reads.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from tests.cluster import failures, locks, places, progress

_SOURCES = places.HERE / "tools"
_PACKAGES = ["./kubernetes", "./coredns", "./volumes", "helm.sh/helm/v3/cmd/helm"]
_KUBERNETES = "v1.35.4"  # as in tools/go.mod
_HELM = "v3.20.2"  # as in tools/go.mod
_PARTS = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "metrics-server",
]
_VARIABLES = {
    "k8s.io/component-base/version.gitVersion": _KUBERNETES,
    "k8s.io/component-base/version.gitMajor": "1",
    "k8s.io/component-base/version.gitMinor": "35",
    "k8s.io/component-base/version.gitTreeState": "clean",
    "k8s.io/client-go/pkg/version.gitVersion": _KUBERNETES,
    "helm.sh/helm/v3/internal/version.version": _HELM,
    # What `helm template` takes for the cluster's version when none is asked.
    "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor": "1",
    "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor": "35",
    "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor": "1",
    "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor": "35",
}
_LINKER_FLAGS = "-s -w " + " ".join(f"-X {name}={value}" for name, value in _VARIABLES.items())


def ensure() -> Path:
    """Return the folder of the programs, building them if this is the first time.

    Raises:
        ClusterError: Go is missing or the build failed.
    """
    directory = places.cache() / "tools" / _key()
    if directory.exists():
        return directory
    with locks.held(places.cache() / "tools.lock", "the Go build of the tools"):
        if not directory.exists():
            _build(directory)
    return directory


def _key() -> str:
    digest = hashlib.sha256(_LINKER_FLAGS.encode())
    for path in sorted(_SOURCES.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(_SOURCES)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _build(directory: Path) -> None:
    if shutil.which("go") is None:
        raise failures.ClusterError("missing: go (1.26 or later) to build Kubernetes' programs")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as temporary:
        built = Path(temporary) / "bin"
        title = "Go build of Kubernetes, etcd, CoreDNS and Helm (once; minutes on two cores)"
        with progress.step(title):
            _go_build(built)
        for part in _PARTS:
            (built / part).symlink_to("kubernetes")
        built.rename(directory)


def _go_build(into: Path) -> None:
    command = ["go", "build", "-v", "-trimpath", "-buildvcs=false", "-mod=readonly"]
    command += ["-ldflags", _LINKER_FLAGS, "-o", f"{into}/", *_PACKAGES]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    with subprocess.Popen(
        command,
        cwd=_SOURCES,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        lines: list[str] = []
        reporter = threading.Thread(target=_report, args=(process, lines), daemon=True)
        reporter.start()
        assert process.stdout is not None
        lines.extend(line.rstrip() for line in process.stdout)
    if process.returncode:
        end = "\n".join(lines[-20:])
        raise failures.ClusterError(f"{' '.join(command[:2])} in {_SOURCES} failed:\n{end}")


def _report(process: "subprocess.Popen[str]", lines: list[str]) -> None:
    """Say each half minute how many packages are compiled; Go prints one a line."""
    while process.poll() is None:
        time.sleep(30)
        compiled = sum(not line.startswith("go: ") for line in lines)  # "go: downloading ..."
        if process.poll() is None:
            progress.say(f"  Go build: {compiled} packages compiled so far")
