"""Pods of variants: started, timed, watched from their own control group."""

import contextlib
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.serving.variants import NAMESPACE, PORT
from tests.kubectl import Kubectl, eventually

_READY_SECONDS = 240
# Share of a core below which all workers have started.
_RESTING = 0.15
# Files of a container's figures in both versions of control groups, read in the container.
_READ = (
    "cat /proc/uptime; cut -d ' ' -f 22 /proc/1/stat; getconf CLK_TCK; "
    "cat /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpu/cpu.stat 2>/dev/null; "
    "echo used_nanoseconds $(cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null); "
    "echo current $(cat /sys/fs/cgroup/memory.current "
    "/sys/fs/cgroup/memory/memory.usage_in_bytes 2>/dev/null); "
    "grep -h inactive_file /sys/fs/cgroup/memory.stat "
    "/sys/fs/cgroup/memory/memory.stat 2>/dev/null || true"
)


@dataclass(frozen=True)
class Figures:
    """A container's figures at one moment.

    Attributes:
        periods: CPU periods in which it wanted to run.
        throttled: Periods in which its quota ran out.
        memory_bytes: Its working set.
        age_seconds: Seconds since its first process started.
        cpu_seconds: CPU time that it has used.
    """

    periods: int
    throttled: int
    memory_bytes: int
    age_seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Running:
    """A pod that is ready.

    Attributes:
        url: Its address, past any proxy.
        ready_seconds: From the start of its first process to its first response.
    """

    kubectl: Kubectl
    name: str
    url: str
    ready_seconds: float

    def figures(self) -> Figures:
        """Its figures now."""
        return _figures(self.kubectl, self.name)


@contextlib.contextmanager
def running(kubectl: Kubectl, body: Mapping[str, Any]) -> Iterator[Running]:
    """Yields the pod when it is ready; deletes it afterwards."""
    name = body["metadata"]["name"]
    kubectl.apply(dict(body))
    try:
        yield _started(kubectl, name)
    finally:
        kubectl("delete", "pod", name, "-n", NAMESPACE, "--grace-period=0", "--force")


def settle(pod: Running) -> None:
    """Waits until a pod at rest rests: all of its workers have started."""
    before = pod.figures()
    for _ in range(120):
        time.sleep(2)
        now = pod.figures()
        # Event loops at rest still tick, and reading the figures costs something.
        if now.cpu_seconds - before.cpu_seconds < _RESTING * (now.age_seconds - before.age_seconds):
            return
        before = now


def _started(kubectl: Kubectl, name: str) -> Running:
    def address() -> str:
        status = kubectl.json("get", "pod", name, "-n", NAMESPACE)["status"]
        states = [container.get("state", {}) for container in status.get("containerStatuses", ())]
        if any("terminated" in state for state in states):
            raise RuntimeError(f"{name} ended: {kubectl('logs', name, '-n', NAMESPACE)[-2000:]}")
        found: str = status.get("podIP", "") if any("running" in s for s in states) else ""
        return found

    eventually(address, seconds=_READY_SECONDS, what=f"{name} runs", pause=0.2)
    url = f"http://{address()}:{PORT}"
    eventually(lambda: _answers(url), seconds=_READY_SECONDS, what=f"{url} answers", pause=0.05)
    answered = time.clock_gettime(time.CLOCK_BOOTTIME)
    asked = _figures(kubectl, name)
    age_then = asked.age_seconds - (time.clock_gettime(time.CLOCK_BOOTTIME) - answered)
    return Running(kubectl, name, url, age_then)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/awaiting", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _figures(kubectl: Kubectl, name: str) -> Figures:
    uptime, began, ticks, *lines = kubectl(
        "exec", name, "-n", NAMESPACE, "--", "sh", "-c", _READ
    ).splitlines()
    figures = {}
    for line in lines:
        key, _, value = line.partition(" ")
        figures.setdefault(key, int(value.split()[0]) if value.split() else 0)
    # Control groups v1 count a group's children under a name of their own.
    inactive = figures.get("total_inactive_file", figures.get("inactive_file", 0))
    return Figures(
        periods=figures.get("nr_periods", 0),
        throttled=figures.get("nr_throttled", 0),
        memory_bytes=figures["current"] - inactive,
        cpu_seconds=figures.get("used_nanoseconds", 0) / 1e9 or figures.get("usage_usec", 0) / 1e6,
        age_seconds=float(uptime.split()[0]) - int(began) / int(ticks),
    )
