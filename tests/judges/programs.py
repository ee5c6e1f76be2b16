"""Programs of other projects, each set built once from a pinned Go module."""

import functools
import hashlib
from pathlib import Path

from tests.cluster import go_build, places, progress
from tests.cluster.made_once import made_once

_SOURCES = Path(__file__).parent / "tools"
# folder of go.mod -> packages that are built from it; those of `make test-full` take minutes
_PACKAGES = {
    "judges": (
        "github.com/yannh/kubeconform/cmd/kubeconform",
        "github.com/zegl/kube-score/cmd/kube-score",
        "./lua",
    ),
    "actionlint": ("github.com/rhysd/actionlint/cmd/actionlint",),
    "network": ("github.com/mattfenwick/cyclonus/cmd/cyclonus",),
    "flux": ("github.com/fluxcd/kustomize-controller",),
    "helm": ("helm.sh/helm/v4/cmd/helm",),
    "packages": (
        "github.com/operator-framework/api/cmd/operator-verify",
        "sigs.k8s.io/krew/cmd/validate-krew-manifest",
    ),
    "vegeta": ("github.com/tsenart/vegeta/v12",),
    "monitoring": (
        "github.com/prometheus-operator/prometheus-operator/cmd/operator",
        "github.com/prometheus-operator/prometheus-operator/cmd/prometheus-config-reloader",
        "k8s.io/kube-state-metrics/v2",
    ),
}


@functools.cache
def program(name: str, *, of: str = "judges") -> Path:
    """A program, built if this is the first time.

    Raises:
        ClusterError: Go is missing or the build failed.
    """
    digest = hashlib.sha256()
    for path in sorted((_SOURCES / of).rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    built = places.cache() / of / digest.hexdigest()[:16]
    made_once(built, lambda folder: _build(of, folder), lock=of, what=f"the Go build of {of}")
    return built / name


def _build(of: str, folder: Path) -> Path:
    with progress.step(f"Go build of {of} (once)"):
        go_build.build(_SOURCES / of, _PACKAGES[of], into=folder / "bin")
    return folder / "bin"
