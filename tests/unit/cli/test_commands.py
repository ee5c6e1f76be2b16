"""The offline commands as processes: their output and exit status."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from fastapi_operator.cli.main import app

SHOP = """
apiVersion: fastapi-operator.io/v1alpha1
kind: FastAPIService
metadata: {name: shop}
spec:
  image: registry.example.com/shop:1.4.2
  app: shop.main:app
  redis: {}
  postgres: {migrations: {}}
"""


def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    program = "from fastapi_operator.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], input=text, capture_output=True, text=True
    )


def invoke(*arguments: str, text: str = "") -> Result:
    """A command in this process, for tests of its result alone: a process takes a second."""
    return CliRunner().invoke(app, arguments, input=text)


def test_root_help_lists_the_commands_and_a_first_step() -> None:
    result = run("--help")

    assert result.returncode == 0
    for command in ("explain", "validate", "render", "crd", "env", "run"):
        assert f"\n  {command} " in result.stdout
    assert "explain -f service.yaml" in result.stdout


def test_explain_json_has_the_inputs_and_reason_of_each_number() -> None:
    result = run("explain", "-f", "-", "-o", "json", text=SHOP)

    assert result.returncode == 0, result.stderr
    explained = json.loads(result.stdout)
    assert set(explained) == {
        "service",
        "settings",
        "decisions",
        "connectionBudget",
        "footprint",
        "problems",
    }
    workers = next(item for item in explained["decisions"] if item["name"] == "server.workers")
    assert workers["value"] == 1
    assert workers["inputs"]["cpu_millicores"] == 500
    assert all(step["slack"] >= 0 for step in explained["connectionBudget"]["steps"])
    assert explained["footprint"]["maximum"]["pods"] > explained["footprint"]["minimum"]["pods"]


def test_explain_table_has_numbers_and_the_connection_budget() -> None:
    result = run("explain", "-f", "-", text=SHOP)

    assert result.returncode == 0, result.stderr
    assert "max_connections" in result.stdout
    assert "Connection budget" in result.stdout
    assert "\x1b[" not in result.stdout


def test_what_if_prints_only_the_changed_numbers() -> None:
    result = run(
        "explain", "-f", "-", "-o", "json", "--what-if", "resources.limits.cpu=4", text=SHOP
    )

    (workers,) = [
        change
        for change in json.loads(result.stdout)["changes"]
        if change["name"] == "server.workers"
    ]
    assert (workers["before"], workers["after"]) == (1, 4)
    assert "server.keep_alive_seconds" not in result.stdout


def test_render_is_deterministic_and_contains_no_credential() -> None:
    first, second = (run("render", "-f", "-", text=SHOP) for _ in range(2))

    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    documents = list(yaml.safe_load_all(first.stdout))
    secrets = [item for item in documents if item["kind"] == "Secret"]
    assert secrets
    assert all("data" not in item and "stringData" not in item for item in secrets)
    assert "# generated when first written, then changed only by rotations: app, " in first.stdout


def test_validate_reports_field_and_value_and_exits_with_1() -> None:
    result = run(
        "validate", "-f", "-", text=SHOP.replace("redis: {}", "redis: {memory: 12 bananas}")
    )

    assert result.returncode == 1
    assert "shop: spec.redis.memory: '12 bananas' is not a valid quantity" in result.stderr


def test_validate_reports_file_and_line_of_each_problem(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(SHOP)
    two.write_text(f"{SHOP}  background:\n  - name: a\n    comand: [b]\n---\nkind: ConfigMap\n")

    result = run("validate", str(one), "-f", str(two))

    assert result.returncode == 1
    assert result.stdout == "shop: valid\n"
    assert f"{two}:11: shop: spec.background[0].command: is required" in result.stderr
    assert f"{two}:12: shop: spec.background[0].comand: unknown field; did you mean command?" in (
        result.stderr
    )


def test_validate_prints_json_for_programs() -> None:
    broken = SHOP.replace("redis: {}", "scaling: {minReplicas: 3, maxReplicas: 2}")

    result = run("validate", "-o", "json", "-", text=broken)

    assert result.returncode == 1
    (service,) = json.loads(result.stdout)["services"]
    assert service["service"] == "shop"
    assert service["valid"] is False
    problem = next(item for item in service["problems"] if item["severity"] == "error")
    assert (problem["stage"], problem["path"], problem["line"]) == (
        "rule",
        "spec.scaling.minReplicas",
        8,
    )


def test_validate_without_a_file_or_a_service_exits_with_2() -> None:
    assert run("validate").returncode == 2
    nothing = run("validate", "-", text="kind: Deployment\n")
    assert nothing.returncode == 2
    assert "found kinds: Deployment" in nothing.stderr


def test_validate_reports_problems_of_the_plan() -> None:
    two = SHOP.replace("{migrations: {}}", "{migrations: {}, pooler: {instances: 2}}")
    broken = two + "  scaling: {minReplicas: 2, maxReplicas: 1000}\n"

    result = run("validate", "-f", "-", text=broken)

    assert result.returncode == 1
    assert "[plan]" in result.stderr
    assert "set maxReplicas to at most 800" in result.stderr


def test_a_missing_file_is_reported_by_name(tmp_path: Path) -> None:
    result = run("validate", "-f", str(tmp_path / "none.yaml"))

    assert result.returncode == 2
    assert "none.yaml: No such file" in result.stderr


@pytest.mark.parametrize("command", ["explain", "validate", "render"])
def test_offline_commands_never_import_kopf_or_kubernetes(command: str) -> None:
    program = (
        "import sys; from fastapi_operator.cli.main import app\n"
        f"app(['{command}', '-f', '-'], standalone_mode=False)\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'kopf', 'kubernetes', 'aiohttp'}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], input=SHOP, capture_output=True, text=True
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("[]\n")


def test_every_command_applies_the_profiles_of_a_file(tmp_path: Path) -> None:
    profiles, facts = tmp_path / "profiles.yaml", tmp_path / "facts.yaml"
    profiles.write_text(
        "team:\n  ceilings: {scaling.maxReplicas: 3}\n  required: [postgres.backup]\n"
        "  defaults: {server: {threads: 17}}\n"
    )
    facts.write_text("profiles: {default: team}\n")
    options = ("-f", "-", "--profiles", str(profiles), "--facts", str(facts))

    explained = json.loads(run("explain", *options, "-o", "json", text=SHOP).stdout)
    (maximum,) = [d for d in explained["decisions"] if d["name"] == "scaling.max_replicas"]
    assert (maximum["value"], maximum["source"]) == (3, "profile")
    assert "THREAD_TOKENS=17" in run("env", *options, text=SHOP).stdout

    refused = run("validate", *options, text=SHOP)
    assert refused.returncode == 1
    assert "spec.postgres.backup: profile team requires it" in refused.stdout + refused.stderr
    assert run("render", *options, text=SHOP).returncode == 1
    without_profile = run("render", "-f", "-", "--profiles", str(profiles), text=SHOP)
    assert without_profile.returncode == 0
    assert "maxReplicas: 3" not in without_profile.stdout


def test_an_error_in_a_profiles_file_is_reported_with_file_and_field(tmp_path: Path) -> None:
    profiles = tmp_path / "profiles.yaml"
    profiles.write_text("team:\n  required: [postgres.backups]\n")
    result = run("validate", "-f", "-", "--profiles", str(profiles), text=SHOP)

    assert result.returncode == 2
    assert str(profiles) in result.stderr and "did you mean backup?" in result.stderr
