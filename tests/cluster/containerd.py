"""The node's own containerd, which shares no state with one that the machine may run."""

import contextlib
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import execution, failures, instances, processes

PAUSE_IMAGE = "localhost/fastapi-operator/pause:dev"
_BUSYBOX = Path("/bin/busybox")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_CONFIG = """\
version = 2
root = "{root}"
state = "{state}"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  netns_mounts_under_state_dir = true
  # CAP_SYS_RESOURCE may be missing: no process may then lower an OOM score.
  restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{cni}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  Root = "{state}/runc"
  SystemdCgroup = false
"""


class Containerd:
    """The container runtime of one node."""

    def __init__(self, instance: instances.Instance) -> None:
        """Describe containerd without starting it."""
        self._instance = instance
        self._processes = processes.Processes(instance.state)
        self.socket = instance.sockets / "containerd.sock"

    def start(self) -> None:
        """Starts it, waits until it is ready, and loads the sandbox image."""
        root, state = self._instance.state / "containerd", self._instance.sockets / "containerd"
        networks = self._instance.state / "cni"
        for folder in (root, state, networks):
            folder.mkdir(parents=True, exist_ok=True)
        (networks / "10-node.conflist").write_text(json.dumps(self._network(), indent=2))
        config = self._instance.state / "containerd.toml"
        config.write_text(
            _CONFIG.format(
                root=root, state=state, socket=self.socket, pause=PAUSE_IMAGE, cni=networks
            )
        )
        self._processes.start(
            "containerd",
            ["containerd", "--config", config],
            network_namespace=self._instance.network_namespace,
        )
        self._processes.wait_until("containerd", self._answers, seconds=30)
        if PAUSE_IMAGE not in self.images():
            archive = self._instance.state / "pause.tar"
            _write_pause_archive(archive)
            self.import_archive(archive)

    def images(self) -> set[str]:
        """Names of the images that pods can use."""
        return set(self._ctr(["images", "list", "--quiet"]).split())

    def import_archive(self, archive: Path) -> None:
        """Import an archive of images, in Docker's or OCI's format."""
        self._ctr(["images", "import", str(archive)])

    def tag(self, image: str, name: str) -> None:
        """Give an image a further name."""
        self._ctr(["images", "tag", "--force", image, name])

    def clean_up(self) -> None:
        """Removes its files outside its folders, after each of its processes has ended."""
        tasks = self._instance.sockets / "containerd/io.containerd.runtime.v2.task"
        for address in tasks.glob("*/*/address"):
            Path(address.read_text().removeprefix("unix://")).unlink(missing_ok=True)
        results = Path("/var/lib/cni/results")
        for result in results.glob("*"):
            # Some carry the node's network in their name, all the path of the pod's namespace.
            with contextlib.suppress(FileNotFoundError):
                if f"{self._instance.sockets}/" in result.read_text():
                    result.unlink()
        # Left by the last one of all nodes, they are empty.
        for folder in (results, results.parent, Path("/run/containerd/s"), Path("/run/containerd")):
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _network(self) -> dict[str, object]:
        """One route a pod and no bridge, so that the kernel sees every packet of a Service.

        On a bridge, responses between two of its pods would pass by connection tracking unless
        the machine has br_netfilter.
        """
        address_management = {
            "type": "host-local",
            "ranges": [[{"subnet": self._instance.pod_range}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(self._instance.state / "cni-addresses"),
        }
        return {
            "cniVersion": "0.4.0",
            "name": self._instance.network_namespace,
            "plugins": [{"type": "ptp", "ipMasq": False, "ipam": address_management}],
        }

    def _answers(self) -> bool:
        if not self.socket.exists():
            return False
        try:
            self._ctr(["version"])
        except failures.ClusterError:
            return False
        return True

    def _ctr(self, arguments: Sequence[str]) -> str:
        command = ["ctr", "--address", str(self.socket), "--namespace", "k8s.io", *arguments]
        return execution.output_of(command)


def _write_pause_archive(archive: Path) -> None:
    """Write the sandbox image: busybox asleep, in Docker's archive format."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        program = tar.gettarinfo(_BUSYBOX.resolve(), arcname="busybox")
        program.mode = 0o755
        with _BUSYBOX.open("rb") as content:
            tar.addfile(program, content)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": _ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {"Entrypoint": ["/busybox", "sleep", "infinity"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    files = {
        "layer.tar": layer.getvalue(),
        "config.json": json.dumps(config).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    with tarfile.open(archive, "w") as tar:
        for name, content_bytes in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content_bytes)
            tar.addfile(entry, io.BytesIO(content_bytes))
