"""Canaries whose requests a Gateway or Caddy divides: the services, the figures and their table.

The app counts its own requests, so it has the runtime. It needs no database, so that both services
fit on a small machine.
"""

import contextlib
import itertools
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import traefik
from tests.full.canary import course, rollouts
from tests.full.canary.course import READY_SECONDS, released
from tests.full.canary.rollouts import Seen, State
from tests.kubectl import eventually
from tests.resilience.client import Request
from tests.resilience.load import Answer, Load
from tests.resilience.scenarios import Bench

RATE = float(os.environ.get("DIVIDERS_RATE", "40"))
STEPS = (10, 50)
STEP_SECONDS = 45
# Of a step, without the time in which Caddy has not read its configuration yet.
_WINDOW_SECONDS = 20
# A state is seen this late.
_SEEN_SECONDS = 2
_HOST = "shop.example.com"
HEADINGS = (
    "divided by",
    "new version",
    "requests/s",
    "requests",
    *(f"measured share at {percent} %" for percent in STEPS),
    "served by the canary",
    "failed by it",
    "s from its first failure to its last request",
    "lost",
    "s until its objects were gone",
)


@dataclass(frozen=True)
class Edge:
    """Where clients reach a service.

    Attributes:
        host: The host of their requests.
        address: The address to connect to.
        port: Its port.
    """

    host: str
    address: str
    port: int = 80


@dataclass(frozen=True)
class Divider:
    """A divider of the requests.

    Attributes:
        name: Its name in the table.
        namespace: The namespace of its service.
        spec: The fields of the spec that choose it.
        edge: Where its clients reach the service, for the length of a block.
    """

    name: str
    namespace: str
    spec: Mapping[str, Any]
    edge: Callable[[Bench, Path], "contextlib.AbstractContextManager[Edge]"]


@contextlib.contextmanager
def _gateway(shop: Bench, folder: Path) -> Iterator[Edge]:
    """Traefik with a Gateway for the service."""
    for body in traefik.definitions(traefik.GATEWAY_API, "config/crd/standard"):
        shop.kubectl("apply", "--server-side", "-f", "-", stdin=traefik.text(body))
    config = shop.kubectl.kubeconfig
    assert config is not None
    with traefik.running(config, folder / "traefik.log") as port:
        gateway = traefik.gateway(shop.namespace, port, "*.example.com")
        shop.kubectl.apply(traefik.GATEWAY_CLASS, gateway)
        # The operator learns within a minute that the cluster serves a new API.
        eventually(
            lambda: shop.condition("ExposureReady").get("status") == "True",
            seconds=150,
            what="ExposureReady",
        )
        yield Edge(_HOST, "127.0.0.1", port)


@contextlib.contextmanager
def _service(shop: Bench, _: Path) -> Iterator[Edge]:
    eventually(lambda: released(shop), seconds=READY_SECONDS, what="released", pause=2)
    yield Edge(shop.address, shop.address)


GATEWAY = Divider(
    "weights of a Gateway (Traefik)",
    "canary-gateway",
    {
        "proxy": {"engine": "None"},
        "exposure": {"hosts": [_HOST], "gateway": {"name": "public"}},
    },
    _gateway,
)
CADDY = Divider(
    "Caddy",
    "canary-caddy",
    {
        "proxy": {"engine": "Caddy", "replicas": 2},
        "parts": {"proxy": {"resources": {"requests": {"cpu": "40m"}}}},
    },
    _service,
)


@contextlib.contextmanager
def running(divider: Divider, bench: Bench, folder: Path) -> Iterator[Callable[..., Seen]]:
    """A released service, and the function that rolls a version out under load.

    Args:
        divider: The divider of its requests.
        bench: The service, which does not exist yet.
        folder: A folder for logs.
    """
    spec: dict[str, Any] = {
        "image": bench.app_image,
        "app": "small_app:app",
        "server": {"probes": {"source": "Runtime"}},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        "scaling": {"replicas": 2},
        "rollout": {
            "canary": {"steps": list(STEPS), "stepSeconds": STEP_SECONDS, "minRequests": 50}
        },
        **divider.spec,
        **course.worse(),
    }
    body = {
        "apiVersion": "fastapi-operator.io/v1alpha1",
        "kind": "FastAPIService",
        "metadata": {"name": bench.name, "namespace": bench.namespace},
        "spec": spec,
    }
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": bench.namespace}}
    bench.kubectl.apply(space, body)
    try:
        with divider.edge(bench, folder) as edge:
            eventually(lambda: released(bench), seconds=READY_SECONDS, what="released", pause=2)

            def roll_out(name: str, patch: dict[str, Any], end: Callable[[Bench], bool]) -> Seen:
                requests = itertools.repeat(Request("read", "GET", "/items"))
                with Load(
                    edge.host, requests, rate=RATE, port=edge.port, address=edge.address
                ) as load:
                    followed = course.follow(bench, load, patch, end, rate=RATE)
                seen = followed.seen(name)
                _record(divider, seen)
                return seen

            yield roll_out
    finally:
        bench.kubectl("delete", "namespace", bench.namespace, "--timeout=90s")


@dataclass(frozen=True)
class Share:
    """The share of a canary at the end of a step.

    Attributes:
        percent: As its status has it.
        requests: The requests in the window.
        of_canary: Those that a pod of the canary served.
    """

    percent: int
    requests: int
    of_canary: int

    @property
    def measured(self) -> float:
        """The measured share, in percent."""
        return 100 * self.of_canary / self.requests

    @property
    def tolerance(self) -> float:
        """Four standard deviations of a share by chance, in percent."""
        wanted = self.percent / 100
        return 400 * math.sqrt(wanted * (1 - wanted) / self.requests)


def shares(seen: Seen) -> Iterator[Share]:
    """Yields the share of each step that lasted until its end."""
    for state, following in itertools.pairwise(seen.states):
        until = following.at - _SEEN_SECONDS
        if state.phase == "Progressing" and state.percent and _lasted(state, following):
            answers = [one for one in seen.answers if until - _WINDOW_SECONDS < one.at <= until]
            yield Share(state.percent, len(answers), sum(map(_is_of_canary, answers)))


def _lasted(state: State, following: State) -> bool:
    return following.at - state.at >= STEP_SECONDS - _SEEN_SECONDS


def _is_of_canary(answer: Answer) -> bool:
    return "-canary-" in answer.ending.served_by


def _record(divider: Divider, seen: Seen) -> None:
    print(seen.report(), flush=True)
    found = {share.percent: f"{share.measured:.1f} %" for share in shares(seen)}
    row = (
        divider.name,
        seen.name,
        f"{seen.rate:g}",
        f"{len(seen.answers)}",
        *(found.get(percent, "") for percent in STEPS),
        f"{len(seen.of_canary)}",
        f"{seen.failed}",
        f"{seen.stopped_seconds:.1f}" if seen.failed else "",
        f"{len(seen.lost)}",
        f"{seen.ended - seen.began:.0f}",
    )
    rollouts.keep("canary dividers", HEADINGS, row, named_by=2)
