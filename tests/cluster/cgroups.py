"""The control groups below which all pods of one node live."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import failures, instances

_ROOT = "/fastapi-operator"
# Relative to 1,024 of each process outside of the groups.
_PREFERRED_SHARES = 40_000


def path(instance: instances.Instance) -> str:
    """The node's group, as the kubelet's cgroupRoot names it."""
    return f"{_ROOT}/{instance.slot}"


def make(instance: instances.Instance) -> None:
    """Make the group in every hierarchy; the kubelet refuses a root that is not there."""
    for hierarchy in hierarchies():
        (hierarchy / path(instance).lstrip("/")).mkdir(parents=True, exist_ok=True)


def prefer(instance: instances.Instance) -> None:
    """Give the pods the CPU before the processes outside of them, with cgroup v1.

    All pods together otherwise get as little of a busy core as one process, for example a kubectl.
    """
    for hierarchy in hierarchies():
        for group in (_ROOT, path(instance)):
            shares = hierarchy / group.lstrip("/") / "cpu.shares"
            if shares.exists():
                shares.write_text(f"{_PREFERRED_SHARES}")


def members(instance: instances.Instance) -> set[int]:
    """Returns the processes of all pods of the node."""
    return {pid for group in _groups(instance) for pid in _members(group)}


def kill(instance: instances.Instance) -> None:
    """Kill every process of every pod.

    Raises:
        ClusterError: Some do not end.
    """
    for _ in range(100):
        found = members(instance)
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    raise failures.ClusterError(f"processes in cgroup {path(instance)} do not end")


def remove(instance: instances.Instance) -> None:
    """Remove the empty groups, the innermost first."""
    for group in _groups(instance):
        for _ in range(50):
            with contextlib.suppress(FileNotFoundError):
                try:
                    group.rmdir()
                except OSError:  # EBUSY: the kernel is still letting go of its last process
                    time.sleep(0.02)
                    continue
            break
    for hierarchy in hierarchies():
        with contextlib.suppress(OSError):  # other nodes are in it, or it never was
            (hierarchy / _ROOT.lstrip("/")).rmdir()


def _groups(instance: instances.Instance) -> Iterator[Path]:
    for hierarchy in hierarchies():
        root = hierarchy / path(instance).lstrip("/")
        for folder, _, _ in os.walk(root, topdown=False):
            yield Path(folder)


def _members(group: Path) -> list[int]:
    try:
        return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def hierarchies() -> list[Path]:
    """Return the mount points of cgroup v2, or of each controller of cgroup v1."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return [Path(fields[1]) for fields in mounts if fields[2] in ("cgroup", "cgroup2")]
