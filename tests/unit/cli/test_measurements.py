"""``--measurements``: figures of a file in ``explain`` and ``render``."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cli.test_commands import SHOP, invoke

MEASURED = {
    "service": "shop",
    "busyShare": 0.4,
    "figures": {
        "workerMemoryBytes": {"value": 94_000_000, "seconds": 86_400, "count": 50_000},
        "p95Milliseconds": {"value": 40, "seconds": 600, "count": 500},
    },
}


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    file = tmp_path / "measured.yaml"
    file.write_text(yaml.safe_dump(MEASURED))
    return file


def explained(*arguments: str, text: str = SHOP) -> dict[str, Any]:
    result = invoke("explain", "-f", "-", "-o", "json", *arguments, text=text)
    assert result.exit_code == 0, result.output
    return {item["name"]: item for item in json.loads(result.stdout)["decisions"]}


def test_explain_shows_a_measured_number_and_its_source(measured: Path) -> None:
    limit = explained("--measurements", str(measured))["compute.memory_limit_bytes"]

    assert explained()["compute.memory_limit_bytes"]["source"] == "derived"
    assert (limit["source"], limit["value"]) == ("tuned", 160 * 2**20)
    assert limit["reason"].endswith("; measured")


def test_a_figure_with_too_few_data_is_named(measured: Path) -> None:
    result = invoke("explain", "-f", "-", "--measurements", str(measured), text=SHOP)

    assert "shop: p95Milliseconds is not used: 500 requests; 1,000 are needed" in result.stderr


def test_render_builds_the_measured_pod(measured: Path) -> None:
    result = invoke("render", "-f", "-", "--measurements", str(measured), text=SHOP)
    (pod,) = [
        item["spec"]["template"]["spec"]["containers"][0]
        for item in yaml.safe_load_all(result.stdout)
        if item["kind"] == "Deployment" and item["metadata"]["name"] == "shop"
    ]

    assert pod["resources"]["limits"]["memory"] == "160Mi"


def test_each_service_of_a_file_has_its_own_document(tmp_path: Path) -> None:
    other = SHOP.replace("name: shop", "name: stock")
    file = tmp_path / "measured.yaml"
    file.write_text(yaml.safe_dump_all([MEASURED | {"service": "stock"}]))
    result = invoke(
        "explain", "-f", "-", "-o", "json", "--measurements", str(file), text=f"{SHOP}---{other}"
    )
    limits = [
        item["value"]
        for service in json.loads(result.stdout)
        for item in service["decisions"]
        if item["name"] == "compute.memory_limit_bytes"
    ]

    assert limits == [256 * 2**20, 160 * 2**20]


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([MEASURED | {"service": "stock"}], "service: stock must name one of shop, each once"),
        ([MEASURED, MEASURED], "service: shop must name one of shop, each once"),
        ([{"busyShare": 0.1}], "figures: is required"),
        (["busyShare"], "measured.yaml"),
        ([MEASURED | {"busyShare": -1}], "busyShare"),
        ([MEASURED | {"busy": 1}], "busy: unknown field; did you mean busyShare?"),
    ],
)
def test_a_wrong_file_ends_the_command(documents: list[Any], message: str, tmp_path: Path) -> None:
    file = tmp_path / "measured.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    result = invoke("explain", "-f", "-", "--measurements", str(file), text=SHOP)

    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
