"""The programs of the node, built once from pinned Go modules.

All come from one module (`tools/go.mod`), so that the client libraries which they share are
compiled once: half the time of one module a program. The cache's key covers the input of the build.
"""

import hashlib
from pathlib import Path

from tests.cluster import go_build, places, progress
from tests.cluster.made_once import made_once

_SOURCES = places.HERE / "tools"
_PACKAGES = ["./kubernetes", "./coredns", "./volumes", "helm.sh/helm/v3/cmd/helm"]
KUBERNETES = "v1.35.4"  # as in tools/go.mod
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
    "k8s.io/component-base/version.gitVersion": KUBERNETES,
    "k8s.io/component-base/version.gitMajor": "1",
    "k8s.io/component-base/version.gitMinor": "35",
    "k8s.io/component-base/version.gitTreeState": "clean",
    "k8s.io/client-go/pkg/version.gitVersion": KUBERNETES,
    "helm.sh/helm/v3/internal/version.version": _HELM,
    # The default of `helm template` for the cluster's version.
    "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor": "1",
    "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor": "35",
    "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor": "1",
    "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor": "35",
}
_LINKER_FLAGS = "-s -w " + " ".join(f"-X {name}={value}" for name, value in _VARIABLES.items())


def are_cached() -> bool:
    """Returns whether the programs are already built."""
    return (places.cache() / "tools" / _key()).exists()


def ensure() -> Path:
    """Return the folder of the programs, building them if this is the first time.

    Raises:
        ClusterError: Go is missing or the build failed.
    """
    directory = places.cache() / "tools" / _key()
    return made_once(directory, _build, lock="tools", what="the Go build of the tools")


def _key() -> str:
    digest = hashlib.sha256(_LINKER_FLAGS.encode())
    for path in sorted(_SOURCES.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(_SOURCES)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _build(folder: Path) -> Path:
    built = folder / "bin"
    title = "Go build of Kubernetes, etcd, CoreDNS and Helm (once; minutes on two cores)"
    with progress.step(title):
        go_build.build(_SOURCES, _PACKAGES, into=built, linker_flags=_LINKER_FLAGS)
    for part in _PARTS:
        (built / part).symlink_to("kubernetes")
    return built
