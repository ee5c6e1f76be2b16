"""Debian packages that the node needs: installed if possible, else named."""

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.cluster import execution, failures, progress

# program or file that shows that it is there -> Debian package
FOR_API_SERVER = {"openssl": "openssl"}
FOR_NODE = {
    **FOR_API_SERVER,
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "/bin/busybox": "busybox-static",
}
FOR_IMAGES = {
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "runc": "runc",
}
_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def ensure(needed: dict[str, str]) -> None:
    """Install the missing ones of these packages.

    Raises:
        ClusterError: Some are missing and this is not root on Debian, or apt-get failed.
    """
    missing = sorted({package for probe, package in needed.items() if not _is_there(probe)})
    if not missing:
        return
    if sys.platform != "linux":
        raise failures.ClusterError("a local cluster needs Linux; any other cluster will do too")
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise failures.ClusterError(
            f"missing: {' '.join(missing)} (installed by itself only as root on Debian)"
        )
    with progress.step(f"Debian packages {' '.join(missing)}"):
        _apt_get(["update"])
        # Only the local node runs containerd: the package must not start its service.
        _apt_get(["install", "--yes", "--no-install-recommends", *missing])


def require_root(purpose: str) -> None:
    """Report in one line that only root can do it."""
    if os.geteuid() != 0:
        raise failures.ClusterError(f"{purpose} needs root (network namespaces, mounts, cgroups)")


def _is_there(probe: str) -> bool:
    return Path(probe).exists() if probe.startswith("/") else _which(probe) is not None


def _which(program: str) -> str | None:
    return shutil.which(program, path=_SEARCH)


def _apt_get(arguments: Iterable[str]) -> None:
    command = ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=300", *arguments]
    execution.output_of(command, environment={"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"})
