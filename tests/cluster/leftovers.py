"""Files of the kubelet and containerd on the machine outside the node's own folders."""

import contextlib
from pathlib import Path

from tests.cluster import execution, instances

_KUBELET = Path("/var/lib/kubelet")
# Marks the folder above as created by a local node.
_OURS = _KUBELET / ".fastapi-operator"
_CONTAINER_LOGS = Path("/var/log/containers")


def expect(instance: instances.Instance) -> None:
    """Records files that the kubelet will create: its device plugin folder cannot be moved."""
    del instance
    if not _KUBELET.exists():
        _KUBELET.mkdir(parents=True)
        _OURS.touch()


def unmount(instance: instances.Instance) -> None:
    """Unmount everything below the node's folders, the innermost first."""
    roots = (f"{instance.state}/", f"{instance.sockets}/")
    points = [point for point in _mount_points() if f"{point}/".startswith(roots)]
    for point in reversed(points):
        if point in _mount_points():  # it may have gone with an outer one
            execution.output_of(["umount", "--lazy", point])


def remove(instance: instances.Instance, *, others_run: bool) -> None:
    """Remove log links of the node's containers and, with the last node, the kubelet's folder."""
    if _CONTAINER_LOGS.exists():
        for link in _CONTAINER_LOGS.iterdir():
            if link.is_symlink() and str(link.readlink()).startswith(f"{instance.state}/"):
                link.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            _CONTAINER_LOGS.rmdir()
    if _OURS.exists() and not others_run:
        _remove_tree(_KUBELET)


def _remove_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.rmdir()


def _mount_points() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    # Field 5; blanks in it are written in octal (proc(5)).
    return [line.split()[4].encode().decode("unicode_escape") for line in lines]
