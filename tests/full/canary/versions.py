"""Worse versions on a node: how each is made, the judge's findings, and their table.

All run at the same time, each as a service of its own. The app needs no database, so that a small
machine carries them. A canary has one long step: for CPU and for memory, the judge needs 13 windows
of 15 s.
"""

import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks import document
from tests.full.canary.course import READY_SECONDS, aborted, canary, released, worse
from tests.kubectl import Kubectl, eventually
from tests.resilience.scenarios import Bench

RATE = float(os.environ.get("VERSIONS_RATE", "45"))
# Of the requests, in percent: as many as each of three pods has.
SHARE = 33
STEP_SECONDS = 270
END_SECONDS = STEP_SECONDS + 300
HEADINGS = (
    "new version",
    "requests/s",
    "runs",
    "aborted",
    "released",
    "s from its first request until the end of its share: median (all)",
    "last verdict",
)
_RECORD = Path(__file__).resolve().parents[3] / "build" / "versions.json"
_SHARE_ENDS = frozenset({"Promoting", "Ending", "Aborted"})


@dataclass(frozen=True)
class Version:
    """A new version, by the variables of worse.py.

    Attributes:
        name: Its row in the table.
        service: The namespace of its service.
        after: How it is.
        before: How the released version is.
        evidence: A word of a verdict on it; empty if it has to be released.
    """

    name: str
    service: str
    after: Mapping[str, float]
    before: Mapping[str, float] = field(default_factory=dict)
    evidence: str = ""


VERSIONS = (
    Version("as the old one", "worse-not", {"errors": 0.001}, {"errors": 0.001}),
    Version(
        "2 % errors instead of 0.1 %", "worse-errors", {"errors": 0.02}, {"errors": 0.001}, "errors"
    ),
    Version(
        "p99 twice as long",
        "worse-p99",
        {"slow_share": 0.02, "slow_seconds": 0.6},
        {"slow_share": 0.02, "slow_seconds": 0.3},
        "p99",
    ),
    Version(
        "CPU per request + 50 %",
        "worse-cpu",
        {"cpu_seconds": 0.0074},
        {"cpu_seconds": 0.0045},
        "CPU",
    ),
    # The canary has one pod.
    Version(
        "a leak of 0.25 MiB/s",
        "worse-leak",
        {"leak_bytes": round(2**20 / 4 / (RATE * SHARE / 100))},
        evidence="memory",
    ),
)


@dataclass(frozen=True)
class Run:
    """One canary.

    Attributes:
        name: The name of the version.
        outcome: ``Aborted`` or ``Released``.
        seconds: From the begin of its share until its end.
        verdict: The judge's reason.
    """

    name: str
    outcome: str
    seconds: float
    verdict: str


def service(kubectl: Kubectl, image: str, version: Version) -> Bench:
    """Creates the service of a version, with the released one; it is not awaited."""
    bench = Bench(kubectl, image, version.service)
    small = {"requests": {"cpu": "40m"}}
    spec: dict[str, Any] = {
        "image": image,
        "app": "small_app:app",
        "server": {"probes": {"source": "Runtime"}},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "384Mi"}},
        "scaling": {"replicas": 2},
        "proxy": {"replicas": 1},
        "parts": {"proxy": {"resources": small}},
        "rollout": {
            "canary": {"steps": [SHARE], "stepSeconds": STEP_SECONDS, "minRequests": 50},
        },
        **worse(**version.before),
    }
    body = {
        "apiVersion": "fastapi-operator.io/v1alpha1",
        "kind": "FastAPIService",
        "metadata": {"name": bench.name, "namespace": version.service},
        "spec": spec,
    }
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": version.service}}
    kubectl.apply(space, body)
    return bench


def run(shop: Bench, version: Version, number: int) -> Run:
    """Rolls a version out beside the released one, until the end of its canary.

    Args:
        shop: Its service.
        version: The version.
        number: Makes it another one than in the run before.
    """
    shop.patch(worse(**version.after, run=number))
    eventually(
        lambda: canary(shop).get("phase") == "Progressing",
        seconds=READY_SECONDS,
        what=f"a share for {version.name}",
        pause=1,
    )
    began = time.monotonic()
    end = eventually(
        lambda: _ended(shop), seconds=END_SECONDS, what=f"{version.name} ends", pause=1
    )
    seconds = time.monotonic() - began
    outcome = "Released" if end["phase"] == "Promoting" else "Aborted"
    found = Run(version.name, outcome, seconds, end.get("verdict", ""))
    print(f"{version.name}: {outcome} after {seconds:.0f} s: {found.verdict}", flush=True)
    is_over = released if outcome == "Released" else aborted
    eventually(lambda: is_over(shop), seconds=READY_SECONDS, what=f"{version.name} over", pause=2)
    return found


def go_back(shop: Bench, version: Version) -> None:
    """Removes an aborted version from the spec, for the next run."""
    shop.patch(worse(**version.before))
    eventually(lambda: released(shop), seconds=READY_SECONDS, what="released", pause=2)


def _ended(shop: Bench) -> dict[str, Any] | None:
    found = canary(shop)
    return found if found.get("phase") in _SHARE_ENDS else None


def record(runs: Sequence[Run]) -> None:
    """Keeps runs in build/; with ``RECORD=1`` also writes all of them into docs/benchmarks.md."""
    kept = json.loads(_RECORD.read_text()) if _RECORD.exists() else []
    kept += [asdict(one) for one in runs]
    _RECORD.parent.mkdir(exist_ok=True)
    _RECORD.write_text(json.dumps(kept, indent=1))
    if os.environ.get("RECORD"):
        rows = [_row(version.name, kept) for version in VERSIONS]
        lines = [HEADINGS, ["---"] * len(HEADINGS), *rows]
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        document.write("worse versions", f"{document.machine()}.\n\n{table}")


def _row(name: str, kept: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    own = [one for one in kept if one["name"] == name]
    outcomes = [one["outcome"] for one in own]
    seconds = [round(one["seconds"]) for one in own]
    return (
        name,
        f"{RATE:g}",
        f"{len(own)}",
        f"{outcomes.count('Aborted')}",
        f"{outcomes.count('Released')}",
        f"{statistics.median(seconds):.0f} ({', '.join(map(str, seconds))})" if own else "",
        own[-1]["verdict"] if own else "",
    )
