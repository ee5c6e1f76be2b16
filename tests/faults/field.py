"""One round: its own API server, a fleet in its stages, an operator, and its requests."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from tests.api.definitions import DEFINITIONS, MONITOR_CRD
from tests.api.faulty import Fate, FaultyProxy
from tests.api.kube import Kube
from tests.api.process import Process
from tests.api.world import install_crd
from tests.benchmarks.operator import audit
from tests.cluster import instances, processes
from tests.cluster.apiserver import ApiServer
from tests.faults import judge
from tests.faults.fleet import DOOMED, NAMESPACES, Member, Stage, fleet
from tests.faults.people import People, with_retries

# Of a fleet that nothing disturbs any more. A machine with other load takes several times longer.
SETTLE_SECONDS = 600.0
QUIET_SECONDS = 3.0
# The shortest that the settings permit, so that a discovery takes place within a round.
_SETTINGS = "discoverySeconds: 5\n"
# The last lets claims go, which the namespace cannot end before.
_CONTROLLERS = (
    "garbage-collector-controller",
    "namespace-controller",
    "persistentvolumeclaim-protection-controller",
)


class NotSettledError(AssertionError):
    """The fleet did not come to its end in time."""


@dataclass
class Field:
    """The environment of a fault.

    Attributes:
        short: A small fleet and short faults, for CI.
        wanted: The objects at the end of the undisturbed run; None in that run itself.
        remade: How often objects were deleted by hand, by the name they begin with.
        apart: Beginnings of the names of objects that are not compared: their history differs.
        met: The remark of the fault about itself.
    """

    server: ApiServer
    kube: Kube
    people: People
    log: audit.AuditLog
    folder: Path
    seed: int
    short: bool
    wanted: judge.Objects | None
    remade: dict[str, int] = field(default_factory=dict)
    apart: list[str] = field(default_factory=list)
    met: str = ""
    settled_seconds: float = 0.0
    _edits: list[Callable[[], None]] = field(default_factory=list)
    _count: int = 0
    _turn: int = 0
    _kept: int = 0
    _final: bool = True
    _started: list[Process] = field(default_factory=list)
    _values: dict[str, Any] = field(default_factory=dict)
    _kept_open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    # The operator ------------------------------------------------------------------------------

    def start(
        self,
        *options: str,
        proxy: FaultyProxy | None = None,
        environment: Mapping[str, str] | None = None,
        lease: bool = False,
    ) -> Process:
        """Starts an operator for the whole cluster; it is killed at the end of the round."""
        settings = self.folder / "settings.yaml"
        settings.write_text(_SETTINGS)
        kubeconfig = proxy.kubeconfig(self.folder) if proxy else self.server.kubeconfig
        options = ("--settings", str(settings), *(() if lease else ("--no-lease",)), *options)
        log = self.folder / f"operator-{len(self._started)}.log"
        process = Process(kubeconfig, log, *options, environment=environment)
        self._started.append(process)
        return process

    @contextlib.contextmanager
    def operator(self, *options: str, **more: Any) -> Iterator[Process]:
        """An operator at work, for the length of a block; it must not end by itself."""
        process = self.start(*options, **more)
        self.until(process.is_working)
        yield process
        ended = process.child.poll()
        assert ended is None, f"the operator ended with {ended}: {process.log.read_text()[-3000:]}"
        process.end()

    def proxy(
        self, *, share: float = 0.0, fate: Fate = lambda _write: None, user: str = ""
    ) -> FaultyProxy:
        """A proxy to the API server with the round's seed, for a user or the administrator."""
        kubeconfig = self.server.kubeconfig_of(user) if user else self.server.kubeconfig
        return FaultyProxy(kubeconfig, share=share, seed=self.seed, fate=fate)

    def keep(self, condition: contextlib.AbstractContextManager[None]) -> None:
        """Enters a context that lasts until the round ends."""
        self._kept_open.enter_context(condition)

    def end(self) -> None:
        """Ends the contexts that were kept, and kills the remaining processes."""
        self._kept_open.close()
        for process in self._started:
            if process.child.poll() is None:
                process.end(signal.SIGKILL)

    # The API server ----------------------------------------------------------------------------

    def kill(self, part: str) -> None:
        """Kills a part of the control plane."""
        os.kill(pid_of(self.server, part), signal.SIGKILL)

    def restart(self) -> None:
        """Starts the killed process, and waits until it is ready."""
        self.server.start()

    # Events ------------------------------------------------------------------------------------

    def open_turn(self, number: int, of: int) -> None:
        """Begins the turn of one of several faults; each has its share of the edits."""
        self._final = number == of - 1
        self._kept = self._count * (of - 1 - number) // of
        self._turn = max(1, len(self._edits) - self._kept)

    def stir(self, share: float = 1.0) -> None:
        """The owners do a share of the turn's edits, not all at once."""
        for _ in range(max(1, round(self._turn * share))):
            if len(self._edits) > self._kept:
                self._edits.pop(0)()
                time.sleep(0.05)

    def delete_by_hand(self, api: str, plural: str, member: Member, name: str) -> None:
        """A user deletes an object of a service."""
        self.kube.delete(f"/api/{api}/namespaces/{member.namespace}/{plural}/{name}")
        self.remade[member.name] = 1

    def until(self, check: Callable[[], Any], *, seconds: float = 300.0) -> None:
        """Waits until something holds; that the API server is away only takes longer."""
        deadline = time.monotonic() + seconds
        while not _answers(check):
            if time.monotonic() > deadline:
                raise NotSettledError(f"not within {seconds:.0f} s: {check.__qualname__}")
            time.sleep(0.3)

    def settle(self) -> None:
        """Waits until all changes are complete; if other faults follow, only for a moment.

        Raises:
            NotSettledError: Changes were not complete in time; the message has the differences.
        """
        self.stir()
        if not self._final:
            time.sleep(2.0)
            return
        began = time.monotonic()
        while left := self.left():
            if time.monotonic() - began > SETTLE_SECONDS:
                raise NotSettledError("\n".join(left[:20]))
            time.sleep(0.5)
        self.settled_seconds = time.monotonic() - began

    def left(self) -> list[str]:
        """Returns the differences from the desired state; after all edits, no change may wait."""
        if len(self._edits) > self._kept:
            return [f"{len(self._edits)} edits to be done"]
        if not self._final:
            return []
        self.people.release()
        members = [m for m in self.members() if m.stage is not Stage.LEAVING]
        states = zip(members, with_retries(lambda: self.people.states(members)), strict=True)
        left = [
            f"{m.name}, which {m.stage}: {why}" for m, (state, why) in states if state != "True"
        ]
        if not left and not self.short:
            # When the last pods have read a changed configuration, the status changes once more.
            under_way = with_retries(lambda: self.people.reasons("Reconciling"))
            left = [f"{name}: {reason}" for name, reason in under_way.items()]
        if not left:
            left = with_retries(lambda: judge.orphans(self.kube, NAMESPACES))
        if not left and self.wanted is not None:
            now = with_retries(lambda: judge.snapshot(self.kube, NAMESPACES))
            left = judge.differences(self._compared(now), self._compared(self.wanted))
        return left

    def _compared(self, objects: judge.Objects) -> judge.Objects:
        apart = tuple(self.apart)
        return {name: body for name, body in objects.items() if not name.startswith(apart)}

    def members(self, *stages: Stage) -> list[Member]:
        """The services that stay, or those of them that were in some stages."""
        return [
            member
            for member in self.people.members.values()
            if member.namespace in NAMESPACES and (not stages or member.stage in stages)
        ]

    @property
    def doomed(self) -> list[Member]:
        """The services of the namespace that goes."""
        return [m for m in self.people.members.values() if m.namespace == DOOMED]

    def begin(self) -> None:
        """Brings the fleet to its stages, with an operator that is then stopped."""
        with self.operator():
            self.people.begin(self.until)
            # Those that are held have come as far as they can.
            time.sleep(2.0)
        self._values = judge.secrets(self.kube, NAMESPACES)
        self._edits = self.people.edits()
        random.Random(self.seed).shuffle(self._edits)
        # A service is made again after it was deleted, however they were shuffled.
        self._edits.sort(key=lambda edit: edit.__name__ == "apply")
        self._count = len(self._edits)

    def broken_promises(self, requests: list[audit.Request]) -> list[str]:
        """Actions that an operator must never take, whatever the fault is."""
        now = judge.secrets(self.kube, NAMESPACES)
        changed = [
            f"the values of Secret {name} changed"
            for uid, (name, values) in self._values.items()
            if uid in now and now[uid][1] != values
        ]
        again = {m.name: 1 for m in self.people.members.values() if m.stage is Stage.RETURNING}
        return changed + judge.made_twice(requests, {**again, **self.remade})


@contextlib.contextmanager
def field_of(
    name: str,
    *,
    seed: int,
    count: int,
    folder: Path,
    wanted: judge.Objects | None,
    short: bool,
    controllers: bool = False,
) -> Iterator[Field]:
    """A fresh API server with a fleet, and all controllers or those that collect garbage."""
    members: list[Member] = fleet(seed, count, canaries=not short)
    members += fleet(seed + 1, max(2, count // 10), prefix="d", doomed=True)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = True if controllers else _CONTROLLERS
    with ApiServer(name) as bare:
        kube = Kube(bare.kubeconfig)
        install_crd(kube)
        definition = f"{DEFINITIONS}/{MONITOR_CRD['metadata']['name']}"
        with_retries(lambda: kube.apply(definition, MONITOR_CRD))
        # After the CRDs: the collector looks for new kinds each half minute alone.
        server = ApiServer(name, controllers=chosen)
        server.start()
        for namespace in (*NAMESPACES, DOOMED):
            space = {"metadata": {"name": namespace}}
            kube.request("POST", "/api/v1/namespaces", space)
        people = People(kube, members, (*NAMESPACES, DOOMED), kubelet=controllers)
        log = audit.AuditLog(server.audit_log)
        found = Field(server, kube, people, log, folder, seed, short, wanted)
        with people.working():
            try:
                yield found
            finally:
                found.end()


def pid_of(server: ApiServer, name: str) -> int:
    """The process of a part of the control plane."""
    instance = instances.find(server.name)
    assert instance is not None
    running = processes.Processes(instance.state)
    return next(process.pid for process in running.all() if process.name == name)


def _answers(check: Callable[[], Any]) -> Any:
    try:
        return check()
    except (urllib3.exceptions.HTTPError, OSError):
        return False
