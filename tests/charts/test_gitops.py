"""Argo CD and Flux report each state of a service correctly.

The states were recorded from a running operator by tests/api/test_gitops.py, which also checks
both of the live objects.
"""

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastapi_operator.reconcile.plan import canary_status
from tests.charts.conftest import ROOT
from tests.charts.test_judges import conform, schema_location  # noqa: F401 (a fixture)
from tests.judges import health

# state -> the expected results of Argo CD and Flux
STATES = {
    "new": ("Progressing", "InProgress"),
    "progressing": ("Progressing", "InProgress"),
    "healthy": ("Healthy", "Current"),
    "changed": ("Progressing", "InProgress"),
    "stalled": ("Degraded", "Failed"),
    "past-deadline": ("Degraded", "Failed"),
    "suspended": ("Suspended", "Current"),
    "deleting": ("Progressing", "InProgress"),
}
RECORDED = Path(__file__).parent / "statuses"


def recorded(state: str) -> dict[str, Any]:
    body: dict[str, Any] = yaml.safe_load((RECORDED / f"{state}.yaml").read_text())
    return body


def test_every_state_is_recorded() -> None:
    assert {path.stem for path in RECORDED.iterdir()} == set(STATES)


@pytest.mark.parametrize("state", STATES)
def test_argo_cd_reports_the_operators_state(state: str) -> None:
    body = recorded(state)
    status, message = health.argo(body)
    assert status == STATES[state][0]
    conditions = body["status"].get("conditions", [])
    messages = [one["message"] for one in conditions if one["type"] in ("Ready", "Stalled")]
    if state not in ("new", "changed", "deleting"):
        assert message
        assert message in messages


@pytest.mark.parametrize("state", STATES)
def test_flux_waits_ends_or_fails_by_the_operators_state(state: str) -> None:
    assert health.flux(recorded(state)) == STATES[state][1]


@pytest.mark.parametrize("conditions", [None, []])
def test_a_service_without_conditions_is_not_healthy(conditions: list[Any] | None) -> None:
    body = copy.deepcopy(recorded("healthy"))
    body["status"]["conditions"] = conditions
    if conditions is None:
        del body["status"]["conditions"]
    assert health.argo(body)[0] == "Progressing"
    assert health.flux(body) == "InProgress"


@pytest.mark.parametrize("reason", [canary_status.WAITING, *canary_status.REASONS.values()])
def test_a_service_with_a_canary_is_in_progress_although_it_is_ready(reason: str) -> None:
    body = copy.deepcopy(recorded("healthy"))
    for condition in body["status"]["conditions"]:
        if condition["type"] == "Reconciling":
            condition |= {"status": "True", "reason": reason, "message": "25 %"}
    assert health.argo(body) == ("Progressing", "25 %")
    assert health.flux(body) == "InProgress"


def test_argo_cds_settings_have_the_script_under_the_kinds_name() -> None:
    folder = ROOT / "manifests/gitops/argocd"
    (generated,) = yaml.safe_load((folder / "kustomization.yaml").read_text())["configMapGenerator"]
    assert generated["name"] == "argocd-cm"
    key = "resource.customizations.health.fastapi-operator.io_FastAPIService"
    assert generated["files"] == [f"{key}=health.lua"]


def test_a_pipeline_renders_and_checks_a_service_without_a_cluster(
    schema_location: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Without kubeconfig and network, a pipeline gets the objects that the operator applies."""
    command = [Path(sys.executable).parent / "fastapi-operator", "render", "-f"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": os.devnull}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    runs = [
        subprocess.run(
            ["unshare", "--net", "--map-root-user", *command, ROOT / "manifests/samples/shop.yaml"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    done = conform(schema_location, runs[0])
    assert done.returncode == 0, done.stdout
    kinds = [body["kind"] for body in yaml.safe_load_all(runs[0])]
    assert {"Deployment", "StatefulSet", "Job"} <= set(kinds)
