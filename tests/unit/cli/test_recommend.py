"""``recommend`` with files: its table, data and patch."""

import json
from pathlib import Path

import pytest
import yaml

from tests.unit.cli.test_commands import SHOP, invoke
from tests.unit.cli.test_measurements import MEASURED, measured

__all__ = ["measured"]


def test_table_has_both_values_the_evidence_and_the_gain(measured: Path) -> None:
    result = invoke("recommend", "-f", "-", "--measurements", str(measured), text=SHOP)

    assert result.exit_code == 0, result.output
    assert "shop: 1 number to change" in result.stdout
    assert "compute.memory_limit_bytes  256Mi  160Mi   -192Mi    rollout" in result.stdout
    assert "workerMemoryBytes 96Mi (50,000 requests in 24 h)" in " ".join(result.stdout.split())
    assert result.stdout.endswith("Requests of all pods at the minimum: -192Mi\n")
    assert "p95Milliseconds is not used" in result.stderr


def test_yaml_is_a_patch_that_gives_the_numbers(measured: Path) -> None:
    arguments = ("recommend", "-f", "-", "--measurements", str(measured), "-o", "yaml")
    patch = yaml.safe_load(invoke(*arguments, text=SHOP).stdout)

    assert patch["metadata"] == {"name": "shop", "namespace": "default"}
    assert patch["spec"] == {"resources": {"limits": {"memory": "160Mi"}}}


def test_json_has_one_record_or_a_list(measured: Path, tmp_path: Path) -> None:
    arguments = ("recommend", "-f", "-", "-o", "json", "--measurements")
    one = json.loads(invoke(*arguments, str(measured), text=SHOP).stdout)
    both = tmp_path / "both.yaml"
    both.write_text(yaml.safe_dump_all([MEASURED, MEASURED | {"service": "stock"}]))
    text = f"{SHOP}---{SHOP.replace('name: shop', 'name: stock')}"
    two = json.loads(invoke(*arguments, str(both), text=text).stdout)

    assert [item["number"] for item in one["recommendations"]] == ["compute.memory_limit_bytes"]
    assert one["toWin"] == {"cpuMillicores": 0, "memoryBytes": 192 * 2**20}
    assert [item["service"] for item in two] == ["shop", "stock"]


def test_a_number_that_the_spec_sets_is_not_recommended(measured: Path) -> None:
    text = SHOP + "  resources: {limits: {memory: 1Gi}}\n"
    arguments = ("recommend", "-f", "-", "--measurements", str(measured))

    assert invoke(*arguments, text=text).stdout == "shop: no numbers to change\n"
    patch = invoke(*arguments, "-o", "yaml", text=text)
    assert patch.stdout == ""
    assert "shop: there is nothing to change" in patch.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name either a service in the cluster or, with -f, a file"),
        (("./shop.yaml",), "to read a file, use -f ./shop.yaml"),
        (("shop", "--all"), "name a service, or use --all, not both"),
        (("shop", "-A"), "--all-namespaces needs --all"),
        (("-f", "-"), "-f FILE needs --measurements FILE"),
        (("--all", "--measurements", "x"), "--all measures the services"),
    ],
)
def test_arguments_that_contradict_end_the_command(
    arguments: tuple[str, ...], message: str
) -> None:
    result = invoke("recommend", *arguments, text=SHOP)

    assert result.exit_code == 2
    assert message in result.stderr
