"""``explain``: its table, the cost per month, and ``--what-if``."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fastapi_operator.facts import Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.views.explanation import SECTIONS
from tests.unit.cli.test_commands import SHOP, invoke
from tests.unit.services import EVERYTHING, service

ROOT = Path(__file__).resolve().parents[3]
FULL = ROOT / "manifests/samples/full.yaml"
PRICES = {"currency": "EUR", "cpuCoreMonth": 30, "memoryGibMonth": 4, "storageGibMonth": 0.1}


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    file = tmp_path / "prices.yaml"
    file.write_text(yaml.safe_dump(PRICES))
    return file


def test_table_explains_each_part_and_each_disruption() -> None:
    text = invoke("explain", "-f", str(FULL)).stdout

    assert "pooler: PgBouncer, which lets many processes share few database connections" in text
    assert "restart: the server stops and starts" in text


def test_yaml_and_json_have_the_same_content() -> None:
    """The sample has problems, and numbers that are lists."""
    arguments = ("explain", "-f", str(FULL), "-o")
    from_yaml = yaml.safe_load(invoke(*arguments, "yaml").stdout)
    assert from_yaml == json.loads(invoke(*arguments, "json").stdout)
    steps = {item["name"]: item["value"] for item in from_yaml["decisions"]}["canary.steps"]
    assert steps == [5, 25, 50]


def test_narrow_terminal_wraps_reasons_but_not_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    wide = invoke("explain", "-f", "-", text=SHOP).stdout
    monkeypatch.setenv("COLUMNS", "100")
    narrow = invoke("explain", "-f", "-", text=SHOP).stdout

    table = narrow.split("Disruption (")[0].splitlines()
    titles = [line for line in table if line[:1].isalpha() and ": " in line]
    # The name of a field may be longer than its column: it is not divided.
    long = [line for line in table if line not in titles and len(line) > 100]
    assert all(line.split() == [line.strip()] for line in long)
    assert " ".join(narrow.split("max_connections")[1].split()[:2]) == "28 connections"
    assert len(narrow.splitlines()) > len(wide.splitlines())


def test_prices_add_the_cost_per_month_to_both_footprints(prices: Path) -> None:
    arguments = ("explain", "-f", "-", "--prices", str(prices))
    record = json.loads(invoke(*arguments, "-o", "json", text=SHOP).stdout)

    for size in record["footprint"].values():
        cpu, memory, storage = (
            30 * size["cpuMillicores"] / 1000,
            4 * size["memoryBytes"] / 2**30,
            0.1 * size["storageBytes"] / 2**30,
        )
        assert size["monthlyCost"] == pytest.approx(cpu + memory + storage, abs=0.01)
        shown = f"{size['monthlyCost']:,.2f} EUR per month"
        assert shown in invoke(*arguments, text=SHOP).stdout


def test_a_missing_or_negative_price_is_reported_with_its_field(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    for wrong, field in (({"cpuCoreMonth": -1}, "cpuCoreMonth"), ({"storage": 1}, "storage")):
        file.write_text(yaml.safe_dump(PRICES | wrong))
        result = invoke("explain", "-f", "-", "--prices", str(file), text=SHOP)
        assert result.exit_code == 2
        assert f"prices.yaml: {field}: " in result.stderr


def test_what_if_shows_budget_and_cost_before_and_after(prices: Path) -> None:
    result = invoke(
        "explain", "-f", "-", "--prices", str(prices), "--what-if", "scaling.maxReplicas=30",
        "-o", "json", text=SHOP,
    )  # fmt: skip

    record = json.loads(result.stdout)
    before, after = (record["footprint"][moment]["maximum"] for moment in ("before", "after"))
    assert after["pods"] - before["pods"] == 20
    assert after["monthlyCost"] > before["monthlyCost"]
    demand = [record["connectionBudget"][moment]["demand"] for moment in ("before", "after")]
    assert demand[0] < demand[1]
    assert "scaling.max_replicas" in {change["name"] for change in record["changes"]}


def test_what_if_without_a_change_prints_one_line() -> None:
    result = invoke("explain", "-f", "-", "--what-if", "rollout.maxSurge=25%", text=SHOP)

    assert result.stdout == "shop: no numbers would change\n"


def test_what_if_can_add_or_remove_a_part() -> None:
    removed = invoke("explain", "-f", "-", "-o", "json", "--what-if", "redis=null", text=SHOP)
    names = {
        change["name"]: change["after"] for change in json.loads(removed.stdout)["changes"]
    }  # fmt: skip
    assert names["cache.maxmemory_bytes"] is None
    added = invoke("explain", "-f", "-", "--what-if", "queue={}", text=SHOP)
    assert "queue.maxmemory_bytes" in added.stdout


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("scaling.maxReplica=9", "unknown field 'maxReplica'; did you mean maxReplicas?"),
        ("server.threads", "must be PATH=VALUE"),
        ("server.threads={", "--what-if server.threads={: "),
    ],
)
def test_an_invalid_what_if_is_reported(assignment: str, message: str) -> None:
    result = invoke("explain", "-f", "-", "--what-if", assignment, text=SHOP)

    assert result.exit_code == 2
    assert message in result.stderr


def test_explain_requires_either_a_name_or_a_file() -> None:
    assert invoke("explain").exit_code == 2
    assert invoke("explain", "shop", "-f", "-", text=SHOP).exit_code == 2


def test_explain_imports_neither_templates_nor_rich() -> None:
    program = (
        "import sys; from fastapi_operator.cli.main import app\n"
        "app(['explain', '-f', '-'], standalone_mode=False)\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'jinja2', 'rich', 'prometheus_client', 'structlog'}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], input=SHOP, capture_output=True, text=True
    )

    assert result.stdout.endswith("[]\n"), result.stderr


def test_explain_finishes_within_four_times_its_target(tmp_path: Path) -> None:
    """The target is 0.3 s (docs/benchmarks.md), with compiled bytecode as after an installation.

    CPU time is measured, not wall-clock time, so that other processes do not affect the result.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    program = "from fastapi_operator.cli.main import main; main()"
    command = [sys.executable, "-c", program, "explain", "-f", str(FULL)]
    seconds = []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=environment, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    assert min(seconds[1:]) < 1.2, seconds


def test_every_section_of_the_plan_has_its_words() -> None:
    gateway = {"name": "public", "namespace": "gateways", "timeouts": {}}
    routed = service(exposure={"hosts": ["shop.example.com"], "gateway": gateway})
    plans = [derive(item, Settings(), Facts()) for item in (EVERYTHING, routed)]
    sections = {item.name.partition(".")[0] for plan in plans for item in plan.decisions()}

    assert sections == set(SECTIONS)
