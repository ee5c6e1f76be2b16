"""The operands' real programs, run on the files that the builders print.

Paths of a pod become paths of a test's own directory; nothing else in a file changes.
"""

import os
import pwd
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi_operator_runtime.testing.server import free_port

from fastapi_operator.api.service import FastAPIService
from fastapi_operator.facts import Facts
from fastapi_operator.resources.build import build
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.stage import Stage
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.services import service

# The operands refuse to run as root.
USER = "nobody"
PACKAGES = {
    "redis-server": "redis-server",
    "redis-cli": "redis-tools",
    "pgbouncer": "pgbouncer",
    "initdb": "postgresql",
    "postgres": "postgresql",
    "pg_ctl": "postgresql",
    "psql": "postgresql-client",
}


def wanted(*, stage: Stage | None = None, **spec: Any) -> dict[str, Desired]:
    """The objects of a service with cache, database and proxy, by ``Kind/name``."""
    given: FastAPIService = service(**({"redis": {}, "postgres": {"migrations": {}}} | spec))
    settings, facts = Settings(), Facts()
    objects = build(given, derive(given, settings, facts), settings, facts, stage)
    return {f"{item.key.kind}/{item.key.name}": item for item in objects}


def files(objects: Mapping[str, Desired], prefix: str) -> dict[str, str]:
    """The files of all ConfigMaps whose name begins with ``prefix``."""
    found = [
        item.body["data"] for key, item in objects.items() if key.startswith(f"ConfigMap/{prefix}")
    ]
    assert found, prefix
    return {name: text for data in found for name, text in data.items()}


def container(objects: Mapping[str, Desired], workload: str, name: str) -> Mapping[str, Any]:
    """A container or sidecar of a workload."""
    pod = objects[workload].body["spec"]["template"]["spec"]
    (found,) = [
        c for c in (*pod.get("initContainers", ()), *pod["containers"]) if c["name"] == name
    ]
    return dict(found)


def program(name: str) -> str:
    """Where a program is; without it the test fails, since CI must not skip in silence."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    search = os.pathsep.join([*map(str, versions), os.environ["PATH"], "/usr/sbin"])
    found = shutil.which(name, path=search)
    assert found, f"{name} is missing: apt-get install {PACKAGES[name]}"
    return found


class Pod:
    """A directory that stands for the file system of a pod."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths: dict[str, Path] = {}
        self.ports: dict[int, int] = {}
        self.hosts: dict[str, str] = {}

    def directory(self, path: str) -> Path:
        """Makes a directory of the pod, and lets ``localize`` know it."""
        real = self.root / path.strip("/").replace("/", "-")
        real.mkdir(exist_ok=True)
        self.paths[path] = real
        _give(real)
        return real

    def install(self, folder: Path, *programs: str) -> None:
        """Copies programs to where the pod's user may run them."""
        binaries = self.root / "bin"
        binaries.mkdir(exist_ok=True)
        for name in programs:
            shutil.copy(folder / name, binaries / name)

    def install_with_libraries(self, folder: Path) -> None:
        """Copies a program that came with all that it needs."""
        shutil.copytree(folder, self.root / "bin", symlinks=True, dirs_exist_ok=True)

    def port(self, port: int) -> int:
        """A free port in place of one of the pod."""
        if port not in self.ports:
            self.ports[port] = free_port()
        return self.ports[port]

    def localize(self, text: str) -> str:
        """A file or script with the pod's paths, ports and hosts replaced by the test's."""
        # All at once: the test's own paths may hold what stands for a path of the pod.
        known = {path: str(real) for path, real in self.paths.items()}
        known |= {str(port): str(free) for port, free in self.ports.items()} | self.hosts
        longest_first = sorted(known, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, longest_first)), lambda m: known[m[0]], text)

    def write(self, directory: str, contents: Mapping[str, str]) -> None:
        """Writes files into a directory of the pod, replacing them as the kubelet does."""
        for name, text in contents.items():
            path = self.paths[directory] / name
            path.parent.mkdir(exist_ok=True)
            fresh = path.with_suffix(".fresh")
            fresh.write_text(self.localize(text))
            fresh.rename(path)

    def run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end as the pod's user."""
        return subprocess.run(
            self._command(command),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **self._options(),
            **options,
        )

    @contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        """Runs a server for the length of a block; its output goes to ``output()``."""
        with (self.root / "output").open("a") as output:
            process = subprocess.Popen(
                self._command(command), stdout=output, stderr=output, text=True, **self._options()
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.terminate()
                    try:
                        process.wait(20)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait()

    def output(self) -> str:
        """What the servers have written so far."""
        return (self.root / "output").read_text()

    def _command(self, command: tuple[str, ...]) -> list[str]:
        return [self.localize(part) for part in command]

    def _options(self) -> dict[str, Any]:
        found = {str(Path(program(name)).parent) for name in PACKAGES if _installed(name)}
        path = os.pathsep.join([*sorted(found, reverse=True), os.environ["PATH"]])
        options: dict[str, Any] = {
            "env": {
                "PATH": f"{self.root / 'bin'}{os.pathsep}{path}",
                "HOME": str(self.root),
                "LC_ALL": "C.UTF-8",
                "PGPORT": str(self.ports.get(5432, 5432)),
            },
            "cwd": self.root,
        }
        if os.geteuid() == 0:
            account = pwd.getpwnam(USER)
            options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        return options


def eventually(check: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Waits until something holds."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Whether a local port takes connections."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def _installed(name: str) -> bool:
    try:
        program(name)
    except AssertionError:
        return False
    return True


def _give(path: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, USER)
