"""A whole Kubernetes node: control plane, container runtime, kubelet, DNS, metrics, volumes."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import (
    addons,
    apiserver,
    binaries,
    cgroups,
    containerd,
    control_plane,
    execution,
    failures,
    handle,
    images,
    instances,
    leftovers,
    locks,
    network,
    packages,
    processes,
    progress,
    worker,
)

MODE = "node"
# process to blame, object, condition
_READY_WHEN = (
    ("kubelet", "node/{node}", "condition=Ready"),
    ("kube-controller-manager", "serviceaccount/default", "create"),
    ("metrics-server", "apiservice/v1beta1.metrics.k8s.io", "condition=Available"),
)


class Node(handle.Handle):
    """One local node, found again by its name."""

    @property
    def address(self) -> str:
        """The node's address, which the machine reaches; so it does every pod and Service."""
        return self._instance().node_address

    @property
    def pod_logs(self) -> Path:
        """The folder with the logs of all containers; those of a pod are removed with it."""
        return self._instance().pod_logs

    def start(self, *, with_images: bool = False) -> Path:
        """Start it unless it runs, wait until it is ready, return its kubeconfig's path.

        Args:
            with_images: Build all images meanwhile and load them.
        """
        packages.require_root("a local node")
        packages.ensure({**packages.FOR_NODE, **(packages.FOR_IMAGES if with_images else {})})
        with concurrent.futures.ThreadPoolExecutor() as pool:
            built = pool.submit(images.build, ()) if with_images else None
            programs = binaries.ensure()
            with locks.held(instances.lock_path(self.name), f"the instance {self.name}"):
                instance = instances.claim(self.name, network.is_free)
                apiserver.set_mode(instance, MODE)
                _start(instance, programs, pool)
            if built is not None:
                self._load(built.result())
        return instance.kubeconfig

    def stop(self) -> None:
        """Leave no process, mount, namespace, firewall rule, link, cgroup or file of it."""
        with locks.held(instances.lock_path(self.name), f"the instance {self.name}"):
            instance = instances.find(self.name)
            if instance is not None:
                packages.require_root("stopping a local node")
                _stop(instance)

    def load_images(self, names: Sequence[str]) -> None:
        """Put images into the node: archives, or names of images that `build_images` built."""
        archives = [path for name in names if (path := Path(name)).is_file()]
        built = [name for name in names if not Path(name).is_file()]
        runtime = containerd.Containerd(self._instance())
        for archive in archives:
            with progress.step(f"import {archive}"):
                runtime.import_archive(archive)
        if built:
            self._load(images.build(built))

    def build_images(self, names: Sequence[str] = ()) -> None:
        """Builds images (all if none is named); loads them if the node runs."""
        packages.require_root("building images")
        built = images.build(names)
        instance = instances.find(self.name)
        if instance is not None and apiserver.mode_of(instance) == MODE:
            self._load(built)

    def image(self, name: str) -> str:
        """Full name of a loaded image, given its short one (``operator``)."""
        return images.loaded(name, self._instance().state / "images")

    def name_image(self, name: str, reference: str) -> None:
        """Give a loaded image a further name, for example the public one that manifests use."""
        containerd.Containerd(self._instance()).tag(self.image(name), reference)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Runs kubectl against the node and returns its output."""
        return _kubectl(self._instance(), self.programs, *arguments, stdin=stdin)

    def _load(self, built: Sequence[images.Built]) -> None:
        instance = self._instance()
        with locks.held(instances.lock_path(self.name), f"the instance {self.name}"):
            images.load(built, containerd.Containerd(instance), instance.state / "images")


@dataclasses.dataclass(frozen=True)
class Status:
    """The output of `status`."""

    is_up: bool
    lines: list[str]


def status_of(name: str) -> Status:
    """Return whether an instance runs, and a line for each of its processes."""
    instance = instances.find(name)
    if instance is None:
        return Status(False, [f"{name}: down"])
    running = processes.Processes(instance.state).all()
    dead = [process.name for process in running if not process.is_running()]
    is_up = bool(running) and not dead
    lines = [f"{name}: {'up' if is_up else 'broken'} ({apiserver.mode_of(instance)})"]
    for process in running:
        state = f"pid {process.pid}" if process.is_running() else "ended"
        lines.append(f"  {process.name:24} {state}")
    lines += [f"  KUBECONFIG {instance.kubeconfig}", f"  logs       {instance.logs}"]
    if apiserver.mode_of(instance) == MODE:
        lines.append(f"  address    {instance.node_address}")
    return Status(is_up, lines)


def _start(instance: instances.Instance, programs: Path, pool: concurrent.futures.Executor) -> None:
    with progress.step(f"network of {instance.name} ({instance.node_address})"):
        leftovers.expect(instance)
        network.set_up(instance)
    endpoints = control_plane.Endpoints.in_namespace(instance)
    plane = control_plane.ControlPlane(instance, endpoints, programs)
    runtime = containerd.Containerd(instance)
    with progress.step("containerd and control plane"):
        started = pool.submit(runtime.start)
        plane.start_etcd()
        plane.start_api_server()
        plane.start_controller_manager()
        plane.start_scheduler()
        started.result()
    with progress.step("node"):
        worker.Worker(instance, programs, plane, runtime.socket).start()
        addons.Addons(instance, programs, plane).start()
        watched = processes.Processes(instance.state)
        for name, what, condition in _READY_WHEN:
            wait = ["wait", f"--for={condition}", what.format(node=instance.name), "--timeout=1s"]
            is_met = functools.partial(_succeeds, instance, programs, *wait)
            watched.wait_until(name, is_met, seconds=120)
    for process in watched.all():
        if not process.is_running():
            raise failures.NotReadyError(process.name, "ended", watched.log(process.name))


def _succeeds(instance: instances.Instance, programs: Path, *arguments: str) -> bool:
    try:
        _kubectl(instance, programs, *arguments)
    except failures.ClusterError:
        return False
    return True


def _stop(instance: instances.Instance) -> None:
    running = processes.Processes(instance.state)
    with progress.step(f"stopping {instance.name}"):
        # First the processes that start others, then the pods, then the layers below them.
        for name in ("kubelet", "kube-proxy", "kube-controller-manager", "kube-scheduler"):
            running.stop(name, grace_seconds=0)
        cgroups.kill(instance)
        apiserver.stop_control_plane(instance)
        cgroups.kill(instance)
        leftovers.unmount(instance)
        containerd.Containerd(instance).clean_up()
        cgroups.remove(instance)
        network.tear_down(instance)
        leftovers.remove(instance, others_run=_others_run(instance))
        shutil.rmtree(instance.sockets, ignore_errors=True)
        with contextlib.suppress(OSError):
            instance.sockets.parent.rmdir()
        instances.release(instance)


def _others_run(instance: instances.Instance) -> bool:
    others = (other for other in instances.every() if other != instance)
    return any(apiserver.mode_of(other) == MODE for other in others)


def _kubectl(
    instance: instances.Instance, programs: Path, *arguments: str, stdin: str | None = None
) -> str:
    return execution.output_of(
        [programs / "kubectl", *arguments],
        stdin=stdin,
        environment={"KUBECONFIG": str(instance.kubeconfig)},
    )
