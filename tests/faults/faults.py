"""The faults: each hits a fleet in its stages while its owners edit it, and then lets it settle.

The operator that was hit must get over it by itself: another one is started for the settling only
where the fault is that it dies.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi_operator.tuning import figures
from tests.api.faulty import Write
from tests.cluster import packages
from tests.faults.field import SETTLE_SECONDS, Field
from tests.faults.fleet import DOOMED, Stage

# The differences between the writes of services and contents that are not differences in kind.
_MEMBER = re.compile(r"\b[sd]\d\d\b")
_HASH = re.compile(r"-[0-9a-f]{8,10}\b|\.[0-9a-f]{16}\b")
_JUMPS = ("+3600s", "-86400s", "+2592000s", "-7200s", "+0s")


def nothing(field: Field) -> None:
    """No fault: the run that the others are compared with."""
    with field.operator():
        field.settle()


def killed_at_every_write(field: Field) -> None:
    """SIGKILL at each kind of write, once before it is carried out and once after."""
    met: set[tuple[str, bool]] = set()
    most = 8 if field.short else 1000

    def fate(write: Write) -> bool | None:
        for done in (False, True):
            if (kind_of(write), done) not in met and len(met) < most:
                met.add((kind_of(write), done))
                process.child.kill()
                return done
        return None

    with field.proxy(fate=fate) as proxy:
        process, deaths = field.start(proxy=proxy), 0
        deadline = time.monotonic() + SETTLE_SECONDS
        while field.left():
            field.stir(0.04)
            if proxy.dead.wait(2.0):
                process.child.wait(10)
                proxy.revive()
                process, deaths = field.start(proxy=proxy), deaths + 1
                # Each death is progress: another kind of write was reached.
                deadline = time.monotonic() + SETTLE_SECONDS
            assert time.monotonic() < deadline, f"after {deaths} deaths: {field.left()[:20]}"
        process.end()
    kinds = {kind for kind, _ in met}
    field.met = f"{deaths} kills at {len(kinds)} kinds of writes"
    assert deaths >= min(most, 40), field.met


def api_server_away(field: Field) -> None:
    """The API server is killed, and away for 30 s."""
    with field.operator():
        field.stir(0.5)
        field.kill("kube-apiserver")
        time.sleep(4 if field.short else 30)
        field.restart()
        field.settle()


def etcd_restarted(field: Field) -> None:
    """etcd is killed and started again 3 s later; the API server continues."""
    with field.operator():
        field.stir(0.5)
        field.kill("etcd")
        time.sleep(3)
        field.restart()
        field.settle()


def requests_fail(field: Field) -> None:
    """A tenth of the requests is answered 429, 500 or 409, delayed, or cut before or after."""
    with field.proxy(share=0.1) as proxy, field.operator(proxy=proxy):
        field.settle()
        met = dict(proxy.met)
    field.met = ", ".join(f"{count} {fault}" for fault, count in sorted(met.items()))
    assert sum(met.values()) >= (3 if field.short else 10), field.met


def watches_expire(field: Field) -> None:
    """Watches report no events while objects are deleted by hand, and then return 410 Gone."""
    with field.proxy() as proxy, field.operator(proxy=proxy):
        # The watches have shown everything, and are trusted.
        time.sleep(4.0)
        proxy.blind()
        doomed = field.members(Stage.READY, Stage.CHANGING)[:5]
        for member in doomed:
            field.delete_by_hand("v1", "services", member, member.name)
        field.stir(0.5)
        proxy.expire()
        field.settle()
    field.met = f"{len(doomed)} objects deleted unseen"


def edited_while_down(field: Field) -> None:
    """All edits happen while no operator runs: services go, come, and come again."""
    field.stir()
    with field.operator():
        field.settle()
    returned = field.members(Stage.RETURNING)
    field.met = f"{len(returned)} services deleted and created again"


def two_operators(field: Field) -> None:
    """Two operators work at once, as no Lease would let them."""
    with field.operator(), field.operator():
        field.settle()


def clock_jumps(field: Field) -> None:
    """The operator's clock jumps by up to a month, forwards and backwards; a standby's does not."""
    clock = field.folder / "clock"
    clock.write_text("+0s")
    lease = ("--lease-namespace", "default", "--lease-name", "clock")
    # The proxy speaks plain HTTP: a certificate is rightly refused a month before it was made.
    with (
        field.proxy() as proxy,
        field.operator(*lease, proxy=proxy, environment=_faked(clock)) as operator,
    ):
        standby = field.start(*lease)
        for jump in _JUMPS:
            clock.write_text(jump)
            field.stir(1 / len(_JUMPS))
            time.sleep(0.5 if field.short else 3.0)
        field.settle()
        if not field.short:
            # What the proxies had read by the wrong clock is still awaited by the right one.
            time.sleep(figures.RELOAD_SECONDS)
        log = operator.log.read_text()
        assert "lease acquired" not in standby.log.read_text(), "the standby took over"
        standby.end()
    days = {match[:10] for match in re.findall(r'"timestamp": "([^"]+)"', log)}
    field.met = f"the log has {len(days)} different days"
    assert len(days) > 1, "the clock of the operator did not jump"


def namespace_deleted(field: Field) -> None:
    """A namespace is deleted under the services in it."""
    path = f"/api/v1/namespaces/{DOOMED}"
    with field.operator():
        field.stir(0.5)
        since = field.log.mark()
        field.kube.delete(path)
        field.settle()
        field.until(lambda: field.kube.get(path) is None)
    refused = [
        request
        for request in field.log.requests(since)
        if request.namespace == DOOMED and request.code >= 400
    ]
    field.met = f"{len(refused)} requests without success"
    assert len(refused) <= 10 * len(field.doomed), field.met


def discovery_fails(field: Field) -> None:
    """Discovery is answered 500 over two of its turns; optional kinds must stay."""
    with field.proxy() as proxy, field.operator(proxy=proxy):
        proxy.refused = frozenset({"/apis", "/version"})
        field.stir(0.5)
        time.sleep(6 if field.short else 12)
        proxy.refused = frozenset()
        field.settle()


@dataclass(frozen=True)
class Fault:
    """A fault and its budget.

    Attributes:
        name: Its name in the table.
        hit: The function that injects it.
        budget: Requests for services, as a multiple of those of the undisturbed run. Progress is
            reported each 15 s, so a slow machine alone needs up to 1.3 times of it.
        controllers: The real controllers finish the work; only the kubelet is played.
    """

    name: str
    hit: Callable[[Field], None]
    budget: float
    controllers: bool = False


FAULTS = (
    # Each new process reads objects that it has not written, and writes those that it cannot judge.
    Fault("operator killed at every kind of write", killed_at_every_write, 2.0),
    Fault("API server away for 30 s", api_server_away, 1.5),
    Fault("etcd restarted", etcd_restarted, 1.5),
    Fault("a tenth of the requests fails", requests_fail, 1.5),
    Fault("watches expire", watches_expire, 1.5),
    Fault("services edited while the operator is down", edited_while_down, 1.5),
    # Both write the same, and each checks whether the other was faster.
    Fault("two operators at once", two_operators, 2.5),
    Fault("clock jumps", clock_jumps, 1.5),
    Fault("namespace deleted", namespace_deleted, 1.5),
    Fault("discovery fails", discovery_fails, 1.5),
)


def kind_of(write: Write) -> str:
    """Returns a write without the differences between services."""
    name = ""
    if write.method == "POST":
        name = json.loads(write.body)["metadata"]["name"]
    inside = write.path.partition("/namespaces/")[2].partition("/")[2]
    return f"{write.method} {_HASH.sub('-H', _MEMBER.sub('S', f'{inside}/{name}'))}"


def _faked(clock: Path) -> Mapping[str, str]:
    """An environment in which the wall clock is off by the value in the file; it runs evenly."""
    packages.ensure({"faketime": "faketime"})
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
