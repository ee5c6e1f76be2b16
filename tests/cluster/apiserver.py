"""An API server and etcd on loopback, for the api tier; no node, no root needed."""

import json
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import (
    binaries,
    control_plane,
    failures,
    handle,
    instances,
    locks,
    packages,
    processes,
    progress,
)

MODE = "api-only"
_PORTS = 3


class ApiServer(handle.Handle):
    """One API server, found again by its name."""

    def __init__(self, name: str = "api", *, controllers: bool | Sequence[str] = False) -> None:
        """Describe the server without starting it.

        Args:
            name: The name by which it is found; two names never disturb each other.
            controllers: Also run kube-controller-manager (Deployments, Jobs, garbage collection),
                or only those of its controllers that are named.
        """
        super().__init__(name)
        self._controllers = ("*",) if controllers is True else tuple(controllers or ())

    def start(self) -> Path:
        """Start it unless it runs, wait until it is ready, return its kubeconfig's path."""
        packages.ensure(packages.FOR_API_SERVER)
        programs = binaries.ensure()
        with locks.held(instances.lock_path(self.name), f"the instance {self.name}"):
            instance = instances.claim(self.name, _ports_are_free)
            set_mode(instance, MODE)
            endpoints = control_plane.Endpoints.on_loopback(instance)
            plane = control_plane.ControlPlane(instance, endpoints, programs)
            with progress.step(f"API server at {endpoints.server}"):
                plane.start_etcd()
                plane.start_api_server()
                if self._controllers:
                    plane.start_controller_manager(self._controllers)
            return instance.kubeconfig

    def kubeconfig_of(self, user: str) -> Path:
        """Return the path of a kubeconfig for a user, who has no rights unless they are granted."""
        instance = self._instance()
        endpoints = control_plane.Endpoints.on_loopback(instance)
        return control_plane.ControlPlane(instance, endpoints, self.programs).kubeconfig(user)

    def stop(self) -> None:
        """Leave no process and no file of it."""
        with locks.held(instances.lock_path(self.name), f"the instance {self.name}"):
            instance = instances.find(self.name)
            if instance is not None:
                stop_control_plane(instance)
                instances.release(instance)


def set_mode(instance: instances.Instance, mode: str) -> None:
    """Records the kind of an instance; refuses to turn one kind into the other."""
    record = instance.state / "mode.json"
    if record.exists() and (other := json.loads(record.read_text())) != mode:
        raise failures.ClusterError(
            f"{instance.name} is there as {other!r}: choose another --name, or run down first"
        )
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(mode))


def mode_of(instance: instances.Instance) -> str | None:
    """Returns the kind of an instance; None if `up` did not get that far."""
    record = instance.state / "mode.json"
    return str(json.loads(record.read_text())) if record.exists() else None


def stop_control_plane(instance: instances.Instance) -> None:
    """End the control plane by force, the API server before its etcd, then any stray.

    None of its data outlives it, so there is no need to wait.
    """
    running = processes.Processes(instance.state)
    for name in control_plane.STOP_ORDER:
        running.stop(name, grace_seconds=0)
    running.kill_strays()


def _ports_are_free(instance: instances.Instance) -> bool:
    for offset in range(_PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", instance.loopback_port(offset)))
            except OSError:
                return False
    return True
