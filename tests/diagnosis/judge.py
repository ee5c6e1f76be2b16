"""Runs a fault, and collects its diagnoses, its alerts and the output of its runbook."""

import contextlib
import json
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fastapi_operator_runtime import testing

from fastapi_operator.facts import Facts
from fastapi_operator.observability import readings
from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis
from fastapi_operator.observability.diagnoses.rules import diagnose
from fastapi_operator.observability.readings import Pod
from fastapi_operator.observability.samples import Scrape, Series, Window, read_page
from fastapi_operator.observability.signals import Planned, ProxyLog, Signals
from fastapi_operator.parts import Part
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import Plan
from tests.diagnosis import load, replay, runbooks
from tests.diagnosis.faults import HEALTHY, Fault
from tests.diagnosis.limits import MemoryLimit
from tests.diagnosis.stage import PROXY, Stage, running
from tests.unit.services import service

STEP_SECONDS = 1.0
# Other processes of this machine may take CPU from the app. That is true, but not the fault.
STARVED = "cpu-starved"
ATTEMPTS_MAX = 3
NAMES = (*readings.NAMES, *replay.NAMES)


@dataclass(frozen=True)
class Verdict:
    """The result of a fault.

    Attributes:
        fault: The fault.
        found: The diagnoses, ordered by effect.
        signals: The signals that they are based on.
        alerts: The alerts that would fire if the fault continued, with their severity.
        runbook_output: The output of the commands and queries of its runbook.
        windows: The samples that the signals are based on, by part.
        plan: The numbers of the service.
    """

    fault: Fault
    found: tuple[Diagnosis, ...]
    signals: Signals
    alerts: Mapping[str, str]
    runbook_output: str
    windows: Mapping[Part, list[Window]]
    plan: Plan

    @property
    def first(self) -> str:
        """The rule of the first diagnosis."""
        return self.found[0].rule if self.found else HEALTHY

    @property
    def is_first(self) -> bool:
        """Whether the first diagnosis is the expected one."""
        return self.first == self.fault.expected

    @property
    def alerts_match(self) -> bool:
        """Whether the fault's own alert fires, and no other critical alert does."""
        own = {self.fault.alert} - {""}
        critical = {name for name, severity in self.alerts.items() if severity == "critical"}
        return own <= set(self.alerts) and critical <= own

    @property
    def runbook_matches(self) -> bool:
        """Whether the output of its runbook shows the cause."""
        return re.search(self.fault.culprit, self.runbook_output, re.MULTILINE) is not None


def judge(fault: Fault, database: testing.PostgresServer, *, seconds: float) -> Verdict:
    """Injects a fault, and returns its diagnoses, its alerts and the output of its runbook."""
    plan = _plan(fault)
    with running(fault, database, plan) as stage, _clients(fault, stage):
        pods = stage.pods
        if fault.memory_bytes:
            pods = _killed(fault, stage)
        time.sleep(fault.warm_seconds)
        for _ in range(ATTEMPTS_MAX):
            before = readings.read_proxy_log(_log(stage))
            recorded = _record(stage, max(seconds, fault.seconds))
            windows = {pod: Window(scrapes) for pod, scrapes in recorded.items()}
            proxy = _since(before, readings.read_proxy_log(_log(stage)))
            signals = readings.read(windows, pods, planned=Planned.of(plan), proxy=proxy)
            found = diagnose(signals)
            if STARVED not in {item.rule for item in found}:
                break
        output = list(runbooks.commands(fault.page, stage)) if fault.page else []
    given = replay.series(recorded, pods, plan)
    output += runbooks.queries(fault.page, given) if fault.page else []
    parts: dict[Part, list[Window]] = {}
    for pod in pods:
        if pod.name in windows:
            parts.setdefault(pod.part, []).append(windows[pod.name])
    firing = replay.firing(given)
    return Verdict(fault, found, signals, firing, "\n".join(output), parts, plan)


def _plan(fault: Fault) -> Plan:
    given = {"redis": {}, "postgres": {}, "scaling": {"replicas": 2}, **fault.spec}
    return derive(service(**given), Settings(), Facts())


def _clients(fault: Fault, stage: Stage) -> contextlib.AbstractContextManager[None]:
    if stage.nginx is not None:
        return load.in_waves(fault.load, stage.nginx.pod.port(8080), fault.wave_seconds)
    return load.running(fault.load, [app.port for app in stage.apps])


def _killed(fault: Fault, stage: Stage) -> tuple[Pod, ...]:
    """Has the kernel kill the first pod at a limit, and starts it again as the kubelet would."""
    app = stage.apps[0]
    with MemoryLimit(app.pid, more_bytes=fault.memory_bytes) as limit:
        app.wait_for_kill()
        assert limit.kills() == 1
    app.start()
    return (Pod("shop-a", Part.APP, restarts=1, memory_killed=True), *stage.pods[1:])


def _record(stage: Stage, seconds: float) -> dict[str, list[Scrape]]:
    """Scrapes each pod once a second."""
    scrapes: dict[str, list[Scrape]] = {pod.name: [] for pod in stage.pods}
    began = time.monotonic()
    for moment in range(round(seconds / STEP_SECONDS) + 1):
        time.sleep(max(0.0, began + moment * STEP_SECONDS - time.monotonic()))
        for name, url in stage.pages.items():
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as response:
                text = response.read().decode()
                scrapes[name].append(read_page(text, time.monotonic(), NAMES))
        if stage.nginx is not None:
            scrapes[PROXY].append(Scrape(time.monotonic(), _counted(_log(stage))))
    return {name: found for name, found in scrapes.items() if len(found) > 1}


def _counted(lines: Iterable[str]) -> dict[Series, float]:
    """The counts that nginx would have, from its access log."""
    found: Counter[Series] = Counter()
    for line in lines:
        if line.startswith("{"):
            labels = {"http_response_status_code": str(json.loads(line)["status"])}
            found["fastapi_proxy_request_duration_seconds_count", frozenset(labels.items())] += 1
    return dict(found)


def _log(stage: Stage) -> list[str]:
    """Access and error lines, mixed as in a container's log."""
    if stage.nginx is None:
        return []
    return [line for path in stage.logs if path.exists() for line in path.read_text().splitlines()]


def _since(before: ProxyLog, now: ProxyLog) -> ProxyLog:
    return ProxyLog(
        now.requests - before.requests,
        now.bad_gateways - before.bad_gateways,
        now.closed_early - before.closed_early,
    )
