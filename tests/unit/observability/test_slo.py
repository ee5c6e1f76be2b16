"""The rules of an SLO, evaluated by promtool."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastapi_operator.facts import Facts
from fastapi_operator.observability import slo
from fastapi_operator.observability.metrics import METRICS
from fastapi_operator.settings import Settings
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.derive import derive
from tests.promtool import NoPromtoolError, promtool
from tests.unit.services import service

ERRORS = "FastAPIServiceErrorBudgetBurn"
SLOW = "FastAPIServiceLatencyBudgetBurn"
REQUESTS = "http_server_request_duration_seconds"
SHOP = 'namespace="team", fastapi_operator_io_service="shop", pod="shop-1"'
NEIGHBOUR = 'namespace="team", fastapi_operator_io_service="cart", pod="cart-1"'


def groups(**promise: Any) -> list[dict[str, Any]]:
    plan = derive(service(observability={"slo": promise}), Settings(), Facts()).observability
    return slo.groups("team", "shop", plan, runbooks="https://runbooks.example.com")


def rules(**promise: Any) -> list[dict[str, Any]]:
    return [rule for group in groups(**promise) for rule in group["rules"]]


def counter(rates: list[tuple[int, float]]) -> str:
    """A counter sampled each minute, from consecutive pairs of minutes and requests per second."""
    parts, value = [], 0.0
    for minutes, rate in rates:
        step = rate * 60
        parts.append(f"{value:g}+{step:g}x{minutes - 1}")
        value += step * minutes
    return " ".join(parts)


def traffic(
    answers: dict[str, list[tuple[int, float]]], labels: str = SHOP
) -> list[dict[str, str]]:
    """Series of the app: requests by status."""
    return [
        {
            "series": f'{REQUESTS}_count{{{labels}, http_response_status_code="{code}"}}',
            "values": counter(rates),
        }
        for code, rates in answers.items()
    ]


def check(
    directory: Path,
    series: list[dict[str, str]],
    at: str,
    expected: dict[str, set[str]],
    **promise: Any,
) -> None:
    """Runs promtool: exactly these windows of these alerts fire at that time."""
    try:
        program = promtool()
    except NoPromtoolError as error:
        pytest.skip(str(error))
    (directory / "rules.yaml").write_text(yaml.safe_dump({"groups": groups(**promise)}))
    alerts = [rule for rule in rules(**promise) if "alert" in rule]
    tests = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": series,
                "promql_expr_test": [
                    {
                        "expr": f'count by (window) (ALERTS{{alertname="{name}"}})',
                        "eval_time": at,
                        "exp_samples": [
                            {"labels": f'{{window="{window}"}}', "value": 1}
                            for window in sorted(expected.get(name, ()))
                        ],
                    }
                    for name in sorted({alert["alert"] for alert in alerts})
                ],
            }
        ],
    }
    (directory / "tests.yaml").write_text(yaml.safe_dump(tests))
    result = subprocess.run(
        [program, "test", "rules", directory / "tests.yaml"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr


# Long enough for the short windows; long windows use the available samples. Checking days of
# samples would take minutes.
LONG = 420
HEALTHY = {"200": [(LONG, 10.0)], "500": [(LONG, 0.004)]}


def test_a_healthy_service_is_silent(tmp_path: Path) -> None:
    check(tmp_path, traffic(HEALTHY), f"{LONG - 1}m", {})


def test_the_share_is_zero_if_no_request_fails(tmp_path: Path) -> None:
    check(tmp_path, traffic({"200": [(LONG, 10.0)]}), f"{LONG - 1}m", {})


def test_an_outage_pages_within_minutes_and_resolves_soon_after(tmp_path: Path) -> None:
    hour = 60
    answers = {
        "200": [(10 * hour, 10.0), (10, 5.0), (2 * hour, 10.0)],
        "500": [(10 * hour, 0.0), (10, 5.0), (2 * hour, 0.0)],
    }
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    # Half of the requests fail for nine minutes: the share is above each threshold of its window.
    check(tmp_path / "a", traffic(answers), "609m", {ERRORS: {"1h", "6h", "1d", "3d"}})
    # An hour later the short windows of critical alerts have no failures.
    check(tmp_path / "b", traffic(answers), "680m", {ERRORS: {"1d", "3d"}})


@pytest.mark.parametrize(
    ("times", "windows"),
    [
        (0.9, set()),
        (1.3, {"3d"}),
        (4, {"3d", "1d"}),
        (8, {"3d", "1d", "6h"}),
        (20, {"3d", "1d", "6h", "1h"}),
    ],
)
def test_each_window_fires_from_its_own_burn_rate(
    tmp_path: Path, times: float, windows: set[str]
) -> None:
    broken = 10 * times / 1000
    answers = {"200": [(LONG, 10 - broken)], "503": [(LONG, broken)]}
    check(tmp_path, traffic(answers), f"{LONG - 1}m", {ERRORS: windows} if windows else {})


def test_few_failures_at_night_do_not_page(tmp_path: Path) -> None:
    # One request per minute, of which four consecutive ones fail.
    answers = {
        "200": [(LONG, 1 / 60), (4, 0.0), (60, 1 / 60)],
        "500": [(LONG, 0.0), (4, 1 / 60), (60, 0.0)],
    }
    check(tmp_path, traffic(answers), f"{LONG + 6}m", {})


def test_an_outage_of_another_service_fires_no_alert(tmp_path: Path) -> None:
    series = traffic(HEALTHY) + traffic({"500": [(LONG, 10.0)]}, NEIGHBOUR)
    check(tmp_path, series, f"{LONG - 1}m", {})


@pytest.mark.parametrize("bound", ["1", "1.0"])
def test_slow_requests_fire_the_latency_alert(tmp_path: Path, bound: str) -> None:
    fast = [(300, 10.0), (100, 6.0)]
    series = [
        *traffic({"200": [(400, 10.0)]}),
        {"series": f'{REQUESTS}_bucket{{{SHOP}, le="{bound}"}}', "values": counter(fast)},
        {"series": f'{REQUESTS}_bucket{{{SHOP}, le="2.5"}}', "values": counter([(400, 10.0)])},
    ]
    promise = {"latencyMilliseconds": 1000}
    check(tmp_path, series, "290m", {}, **promise)
    check(tmp_path, series, "390m", {SLOW: {"1h", "6h", "1d", "3d"}}, **promise)


def test_every_alert_has_severity_values_and_a_runbook() -> None:
    found = [rule for rule in rules(latencyMilliseconds=300) if "alert" in rule]
    assert {(rule["alert"], rule["labels"]["severity"]) for rule in found} == {
        (alert, severity) for alert in (ERRORS, SLOW) for severity in ("critical", "warning")
    }
    for rule in found:
        notes = rule["annotations"]
        assert "{{ $value | humanizePercentage }}" in notes["summary"]
        page = notes["runbook_url"].removeprefix("https://runbooks.example.com/")
        assert (Path("docs/runbooks") / page).exists()


def test_rules_read_metrics_that_exist() -> None:
    records = {rule["record"] for rule in rules(latencyMilliseconds=300) if "record" in rule}
    known = {metric.name for metric in METRICS} | records
    text = "\n".join(rule["expr"] for rule in rules(latencyMilliseconds=300))
    used = set(re.findall(r"([a-z_][a-z0-9_:]+)\{", text))
    assert {name.removesuffix("_count").removesuffix("_bucket") for name in used} <= known


def test_a_budget_that_cannot_burn_so_fast_has_no_alert() -> None:
    windows = {
        rule["labels"]["window"] for rule in rules(availabilityPercent="90") if "alert" in rule
    }
    assert windows == {"6h", "1d", "3d"}


def test_a_service_without_an_objective_has_no_rules() -> None:
    plan = derive(service(), Settings(), Facts()).observability
    assert slo.groups("team", "shop", plan, runbooks="") == []


def test_latency_bounds_equal_the_buckets_of_the_runtime() -> None:
    source = Path("runtime/fastapi_operator_runtime/metrics.py").read_text()
    (text,) = re.findall(r"REQUEST_SECONDS_BUCKETS = \((.*?)\)", source, flags=re.DOTALL)
    seconds = [float(item) for item in text.split(",") if item.strip()]
    assert [round(item * 1000) for item in seconds] == list(figures.REQUEST_BUCKETS_MILLISECONDS)


def test_an_objective_is_measured_by_the_app_or_nginx_or_has_a_warning() -> None:
    def found(proxy: str = "Nginx", **metrics: bool) -> tuple[list[str], set[str]]:
        section = {"slo": {}, "metrics": metrics}
        plan = derive(service(observability=section, proxy={"engine": proxy}), Settings(), Facts())
        made = slo.groups("team", "shop", plan.observability, runbooks="")
        text = "\n".join(rule["expr"] for group in made for rule in group["rules"])
        read = set(re.findall(r"\w+_request_duration_seconds", text))
        return [problem.path for problem in plan.problems], read

    warned = ["spec.observability.slo"]
    assert found() == ([], {REQUESTS})
    assert found(enabled=False) == (warned, set())
    assert found(enabled=False, exporters=True) == ([], {"fastapi_proxy_request_duration_seconds"})
    assert found("Caddy", enabled=False, exporters=True) == (warned, set())
