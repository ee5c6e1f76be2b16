"""Repeats a recorded window until alerts can fire.

Promtool evaluates the installed rules on the repeated window. Labels are those that a service's
monitors add.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import yaml

from fastapi_operator.naming import SERVICE_SERIES_LABEL
from fastapi_operator.observability.alerts import catalog
from fastapi_operator.observability.exported import EXPORTED
from fastapi_operator.observability.metrics import METRICS, Kind
from fastapi_operator.observability.planned import planned
from fastapi_operator.observability.promql import COMPONENT
from fastapi_operator.observability.readings import Pod
from fastapi_operator.observability.samples import Scrape, Series
from fastapi_operator.tuning.plan import Plan
from tests.promtool import promtool

INTERVAL_SECONDS = 15
# The slowest alert on a cause queries ten minutes, and must hold for fifteen.
MINUTES = 40
KILLED_AFTER_MINUTES = 30
_GAUGES = {metric.name for metric in (*METRICS, *EXPORTED) if metric.kind is Kind.GAUGE}
# The metrics to read from a page, as prefixes of their names.
NAMES = tuple(metric.name for metric in (*METRICS, *EXPORTED))
_SERVICE = {"namespace": "team", SERVICE_SERIES_LABEL: "shop"}

Recorded = Mapping[str, Sequence[Scrape]]


def firing(given: Mapping[str, str]) -> dict[str, str]:
    """The alerts that fire at the end of these series, with their severity."""
    (found,) = results(['ALERTS{alertstate="firing"}'], given)
    return dict(sorted(re.findall(r'alertname="(\w+)"[^}]*severity="(\w+)"', found)))


def series(recorded: Recorded, pods: Sequence[Pod], plan: Plan) -> dict[str, str]:
    """Returns the values of all series over the whole time, as promtool reads them.

    Args:
        recorded: The scrapes of each pod, by its name.
        pods: The pods.
        plan: The numbers of the service, which the operator exposes as metrics.
    """
    moments = range(0, MINUTES * 60 + 1, INTERVAL_SECONDS)
    found = {}
    for pod in pods:
        scrape = {"pod": pod.name, COMPONENT: pod.part.value, **_SERVICE}
        found[_written("up", scrape)] = f"1x{len(moments)}"
        scrapes = recorded.get(pod.name, ())
        for name, labels in {key for scrape in scrapes for key in scrape.values}:
            values = _values((name, labels), scrapes, moments)
            found[_written(name, {**dict(labels), **scrape})] = " ".join(f"{v:g}" for v in values)
        if pod.memory_killed:
            found |= _kube_state(pod, len(moments))
    found["fastapi_operator_working"] = f"1x{len(moments)}"
    for decision, value in planned(plan).items():
        found[_written("fastapi_operator_planned", {**_SERVICE, "decision": decision})] = (
            f"{value:g}x{len(moments)}"
        )
    return found


def results(queries: Sequence[str], given: Mapping[str, str]) -> list[str]:
    """The result of each query at the end of the time; ``nil`` is an empty result."""
    with tempfile.TemporaryDirectory() as folder:
        rules, test = Path(folder) / "rules.yaml", Path(folder) / "test.yaml"
        rules.write_text(yaml.safe_dump({"groups": catalog.groups("https://runbooks.example.com")}))
        test.write_text(yaml.safe_dump(_test(queries, given)))
        done = subprocess.run(
            [promtool(), "test", "rules", test], capture_output=True, text=True, check=False
        )
    # No result is as the test expects, so that promtool prints each.
    found = re.findall(r"^\s*got: (.*)$", done.stderr, re.MULTILINE)
    if len(found) != len(queries):
        raise AssertionError(done.stdout + done.stderr)
    return found


def _test(queries: Sequence[str], given: Mapping[str, str]) -> dict[str, object]:
    unlikely = [{"labels": "nothing", "value": -1}]
    return {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": f"{INTERVAL_SECONDS}s",
                "input_series": [{"series": name, "values": v} for name, v in given.items()],
                "promql_expr_test": [
                    {"expr": query, "eval_time": f"{MINUTES}m", "exp_samples": unlikely}
                    for query in queries
                ],
            }
        ],
    }


def _values(key: Series, scrapes: Sequence[Scrape], moments: range) -> Iterator[float]:
    """A series at each time: its window repeated, with counters that continue to grow."""
    seen = [scrape.values.get(key) for scrape in scrapes]
    levels = [0.0 if value is None else value for value in seen]
    length = scrapes[-1].at - scrapes[0].at
    steps = len(levels) - 1
    is_gauge = key[0] in _GAUGES
    counted = [0.0]
    for before, now in pairwise(levels):
        # If a counter decreases, it started again at zero.
        counted.append(counted[-1] + (now - before if now >= before else now))
    for moment in moments:
        rounds, rest = divmod(moment, length)
        at = min(steps, round(rest / length * steps))
        yield levels[at] if is_gauge else rounds * counted[-1] + counted[at]


def _kube_state(pod: Pod, moments: int) -> dict[str, str]:
    """The series of kube-state-metrics for a container that was OOM-killed."""
    labels = {"namespace": "team", "pod": pod.name, "container": "app"}
    alive = KILLED_AFTER_MINUTES * 60 // INTERVAL_SECONDS
    values = f"0x{alive} 1x{moments - alive}"
    reason = labels | {"reason": "OOMKilled"}
    return {
        _written("kube_pod_container_status_restarts_total", labels): values,
        _written("kube_pod_container_status_last_terminated_reason", reason): values,
    }


def _written(name: str, labels: Mapping[str, str]) -> str:
    inside = ", ".join(f'{label}="{_escaped(value)}"' for label, value in labels.items())
    return f"{name}{{{inside}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
