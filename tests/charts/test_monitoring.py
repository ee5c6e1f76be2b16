"""The chart installs the same monitoring objects that the command prints."""

import json
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from fastapi_operator.cli.main import app
from fastapi_operator.observability import shared
from fastapi_operator.observability.alerts.catalog import ALERTS
from fastapi_operator.observability.shared import Shared
from fastapi_operator.settings import Settings
from tests.charts.conftest import OPERATOR, Helm, Object

ALL = {
    name: {"renderMode": "alwaysRender"}
    for name in ("serviceMonitor", "rules", "grafanaDashboards")
}
KINDS = {
    "PrometheusRule": Shared.RULES,
    "ServiceMonitor": Shared.MONITORS,
    "ConfigMap": Shared.DASHBOARDS,
    "GrafanaDashboard": Shared.GRAFANA_DASHBOARDS,
}


def printed(*arguments: str) -> list[Object]:
    result = CliRunner().invoke(app, ["monitoring", *arguments])
    assert result.exit_code == 0, result.output
    return list(yaml.safe_load_all(result.stdout))


def content(body: Object) -> Any:
    """Returns the content of an object, independent of the format of JSON in it."""
    if body["kind"] == "ConfigMap":
        return {name: json.loads(text) for name, text in body["data"].items()}
    return body["spec"]


def by_key(objects: list[Object]) -> dict[tuple[str, str, str], Object]:
    return {
        (body["kind"], body["metadata"]["namespace"], body["metadata"]["name"]): body
        for body in objects
    }


def test_chart_and_command_agree(helm: Helm) -> None:
    rendered = by_key(
        [
            body
            for body in helm.render(OPERATOR, ALL, release=shared.NAME, namespace="watch")
            if body["kind"] in KINDS and "settings.yaml" not in body.get("data", {})
        ]
    )
    kinds = [text for kind in Shared for text in ("--kind", kind.value)]
    ours = by_key(printed("--namespace", "watch", *kinds))
    assert {kind for kind, _, _ in ours} == set(KINDS)
    assert set(ours) == set(rendered)
    for key, body in ours.items():
        assert content(body) == content(rendered[key]), key
        assert body["metadata"]["labels"].items() <= rendered[key]["metadata"]["labels"].items()


@pytest.mark.parametrize(("kind", "chosen"), KINDS.items())
def test_one_kind_can_be_printed(kind: str, chosen: Shared) -> None:
    assert {body["kind"] for body in printed("--kind", chosen.value)} == {kind}


def test_labels_and_runbooks_reach_every_object(tmp_path: Any) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("runbooks: https://wiki.example.com/runbooks/\n")
    objects = printed("--label", "release=prometheus", "--settings", str(settings))
    assert all(body["metadata"]["labels"]["release"] == "prometheus" for body in objects)
    (rule,) = [body for body in objects if body["kind"] == "PrometheusRule"]
    urls = {
        item["annotations"]["runbook_url"]
        for group in rule["spec"]["groups"]
        for item in group["rules"]
    }
    assert urls == {f"https://wiki.example.com/runbooks/{alert.page}.md" for alert in ALERTS}


def test_the_chart_leads_to_the_pages_of_its_settings(helm: Helm) -> None:
    values = {**ALL, "settings": {"runbooks": "https://wiki.example.com/"}}
    for chosen, base in ((ALL, Settings().runbooks), (values, "https://wiki.example.com")):
        (rule,) = [
            body for body in helm.render(OPERATOR, chosen) if body["kind"] == "PrometheusRule"
        ]
        for group in rule["spec"]["groups"]:
            for item in group["rules"]:
                assert item["annotations"]["runbook_url"].startswith(f"{base}/")


def test_a_label_without_a_value_is_refused_with_the_form() -> None:
    result = CliRunner().invoke(app, ["monitoring", "--label", "release"])
    assert result.exit_code == 2
    assert "KEY=VALUE" in result.output
