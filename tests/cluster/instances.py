"""A named instance and the values that follow from its slot: addresses, ports, folders.

A slot is a number below 200 that one instance at a time owns. It starts at a hash of the name,
so that an instance usually gets the same addresses again. If the slot is taken, the next is used.
"""

import contextlib
import dataclasses
import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.cluster import failures, locks, places

SLOTS = 200
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,28}[a-z0-9])?")


@dataclasses.dataclass(frozen=True)
class Instance:
    """One local node or API server."""

    name: str
    slot: int

    @property
    def state(self) -> Path:
        """Certificates, logs, process records and data of this instance."""
        return places.state() / "instances" / self.name

    @property
    def logs(self) -> Path:
        """One log file a process."""
        return self.state / "logs"

    @property
    def pod_logs(self) -> Path:
        """The kubelet's folder with the logs of all containers."""
        return self.state / "pods-logs"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def sockets(self) -> Path:
        """A short path, because the path of a Unix socket holds 107 characters at most."""
        return Path(f"/run/fastapi-operator/{self.slot}")

    @property
    def network_namespace(self) -> str:
        """Name of the network namespace, as `ip netns` lists it."""
        return f"fastapi-operator-{self.slot}"

    @property
    def host_link(self) -> str:
        """Name of the host's end of the veth pair."""
        return f"fop{self.slot}"

    @property
    def host_address(self) -> str:
        """The host's address on the link to the node."""
        return f"10.213.{self.slot}.1"

    @property
    def node_address(self) -> str:
        """The node's only address; everything of the node listens here."""
        return f"10.213.{self.slot}.2"

    @property
    def pod_range(self) -> str:
        """Addresses of pods."""
        return f"10.214.{self.slot}.0/24"

    @property
    def service_range(self) -> str:
        """Cluster IPs of Services; the first is that of `kubernetes.default`."""
        return f"10.215.{self.slot}.0/24"

    @property
    def api_service_address(self) -> str:
        """Cluster IP of `kubernetes.default`."""
        return f"10.215.{self.slot}.1"

    def loopback_port(self, offset: int) -> int:
        """A port for an API server without a node, below the range of outgoing connections."""
        return 20000 + self.slot * 10 + offset


def find(name: str) -> Instance | None:
    """Returns the instance of that name if one holds a slot."""
    with contextlib.suppress(FileNotFoundError):
        return Instance(name, int((_claims() / name).read_text()))
    return None


def claim(name: str, is_free: Callable[[Instance], bool]) -> Instance:
    """Return the instance of that name, giving it a free slot if it has none.

    Args:
        name: A DNS label of at most 30 characters.
        is_free: Whether the machine uses none of the names and addresses of the slot.

    Raises:
        ClusterError: The name is unfit or every slot is taken.
    """
    check_name(name)
    with locks.held(places.state() / "slots.lock", "the table of instances"):
        if (known := find(name)) is not None:
            return known
        _claims().mkdir(parents=True, exist_ok=True)
        taken = {instance.slot for instance in every()}
        first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        for step in range(SLOTS):
            instance = Instance(name, (first + step) % SLOTS)
            if instance.slot not in taken and is_free(instance):
                (_claims() / name).write_text(str(instance.slot))
                return instance
    raise failures.ClusterError(f"all {SLOTS} slots for local clusters are taken: {_claims()}")


def every() -> list[Instance]:
    """Return all instances that have a slot."""
    if not _claims().exists():
        return []
    return [Instance(path.name, int(path.read_text())) for path in _claims().iterdir()]


def release(instance: Instance) -> None:
    """Forgets an instance: its files first, its slot last, so that a broken `down` can continue."""
    if instance.state.exists():
        shutil.rmtree(instance.state)
    (_claims() / instance.name).unlink(missing_ok=True)


def check_name(name: str) -> None:
    """Refuse a name that could not be a node's name or a folder."""
    if not _NAME.fullmatch(name):
        raise failures.ClusterError(
            f"name {name!r}: use lower-case letters, digits and '-', at most 30 characters"
        )


def lock_path(name: str) -> Path:
    """Return the lock that every command on the instance acquires."""
    check_name(name)
    return places.state() / "locks" / name


def _claims() -> Path:
    return places.state() / "slots"
