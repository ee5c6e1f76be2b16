"""Runbooks name only fields and pages that exist, and each alert has one."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fastapi_operator.api.crd import structural_schema
from fastapi_operator.api.service import Spec
from fastapi_operator.observability import slo
from fastapi_operator.observability.alerts.catalog import ALERTS

PAGES = sorted(set(Path("docs/runbooks").glob("*.md")) - {Path("docs/runbooks/index.md")})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_fields_in_a_runbook_exist(page: Path) -> None:
    schema = structural_schema(Spec)
    for path in re.findall(r"`spec\.([A-Za-z0-9.]+)", page.read_text()):
        node: Mapping[str, Any] = schema
        for name in path.rstrip(".").split("."):
            node = node.get("items", node)
            assert name in node.get("properties", {}), f"{page}: spec.{path} has no field {name}"
            node = node["properties"][name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_a_runbook_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page}: {target}"


def test_every_runbook_belongs_to_an_alert() -> None:
    assert {page.stem for page in PAGES} == {alert.page for alert in ALERTS} | {slo.PAGE}


def test_the_guide_lists_every_alert_with_its_page_and_severity() -> None:
    text = Path("docs/observability.md").read_text()
    for alert in ALERTS:
        assert f"[{alert.name}](runbooks/{alert.page}.md) | {alert.severity} |" in text, alert.name


def test_links_of_the_guide_exist() -> None:
    text = Path("docs/observability.md").read_text()
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (Path("docs") / target).exists(), target
