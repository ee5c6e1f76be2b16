"""``explain -o html``: the content of the page, and that it is one file that everybody can read."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastapi_operator.api.parse import parse_service
from fastapi_operator.api.service import FastAPIService
from fastapi_operator.facts import Facts
from fastapi_operator.parts import PARTS, Part
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.resources.footprint import footprints_of_parts
from fastapi_operator.resources.prices import Prices
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.explain import changes
from fastapi_operator.views.explanation import Explanation
from fastapi_operator.views.explanation_page import Column, explanation_page, part_style
from tests.unit.cli.test_commands import SHOP, invoke
from tests.unit.services import EVERYTHING, service
from tests.unit.views.document import Element, check, read

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = sorted(ROOT.glob("manifests/samples/*.yaml"))
ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def explanation(**spec: Any) -> Explanation:
    return explained(service(**spec))


def explained(found: FastAPIService) -> Explanation:
    plan = derive(found, Settings(), Facts())
    parts = footprints_of_parts(found, plan, Settings(), Facts())
    return Explanation(found.metadata.name, plan, parts, plan.problems)


def page(*columns: Column, prices: Prices | None = None, **options: Any) -> Element:
    return check(explanation_page(columns, prices, **({"settings": "built-in"} | options)))


def by_id(root: Element, name: str) -> Element:
    return next(item for item in root.all() if item.attributes.get("id") == name)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_each_sample_is_one_file_with_outline_and_names(sample: Path) -> None:
    result = invoke("explain", "-f", str(sample), "-o", "html")
    assert result.exit_code == 0, result.stderr
    root = check(result.stdout)
    for body in yaml.safe_load_all(sample.read_text()):
        if body["kind"] == "FastAPIService":
            assert body["metadata"]["name"] in next(root.all("h1")).text


def test_each_number_has_its_value_reason_and_inputs() -> None:
    found = explained(EVERYTHING)
    root = page(Column("shop", found))
    decisions = list(found.plan.decisions())
    assert len(decisions) > 100
    for decision in decisions:
        row = by_id(root, decision.name)
        assert decision.display() in row.text
        (summary,) = row.all("summary")
        assert summary.text == " ".join(decision.reason.split())
        names = [item.text for item in row.all("dt")]
        assert names == list(decision.inputs)
        assert decision.disruption.value in row.text


def test_an_input_that_is_a_number_links_to_it() -> None:
    root = page(Column("shop", explanation()))
    grace = by_id(root, "server.grace_seconds")
    links = {item.attributes["href"] for item in grace.all("a")}
    assert links == {"#server.pre_stop_seconds", "#server.graceful_seconds"}


def test_budget_and_footprint_are_also_tables() -> None:
    found = explained(EVERYTHING)
    root = page(Column("shop", found))
    tables = {next(table.all("caption")).text: table for table in root.all("table")}
    budget = found.plan.budget
    assert budget is not None
    for claim in budget.claims:
        row = f"{claim.name} {claim.processes} {claim.per_process} {claim.demand}"
        assert row in [" ".join(c.text for c in r.children) for r in tables["Processes"].all("tr")]
    bounds = tables["Bounds"].text
    for step in budget.steps():
        assert step.name in bounds and step.enforced_by in bounds
    parts = [row.children[0].text for row in tables["Parts"].all("tr")][1:]
    assert sorted(parts) == sorted([*map(str, found.parts), "all"])
    ladder = tables["Timeouts of a request"]
    assert [row.children[2].text for row in ladder.all("tr")][1:] == ["5 s", "10 s", "15 s", "30 s"]


def test_a_timeout_out_of_order_is_reported_in_words() -> None:
    root = page(Column("shop", explanation(postgres={}, proxy={"timeouts": {"readSeconds": 3}})))
    ladder = by_id(root, "timeouts").parent
    assert ladder is not None
    assert "Out of order." in ladder.text


def test_a_service_without_database_has_neither_funnel_nor_its_link() -> None:
    root = page(Column("shop", explanation()))
    assert "#budget" not in {item.attributes["href"] for item in root.all("a")}
    assert "Connection budget" not in root.text


def test_what_if_marks_exactly_the_numbers_that_change() -> None:
    before = explanation(postgres={}, redis={})
    after = explanation(postgres={}, redis={}, server={"threads": 80}, scaling={"maxReplicas": 30})
    columns = (Column("now", before), Column("what if", after))
    root = page(*columns, what_if=("server.threads=80", "scaling.maxReplicas=30"))
    marked = {
        row.attributes["id"] for row in root.all("tr") if row.attributes.get("class") == "differs"
    }
    assert marked == {change.decision.name for change in changes(before.plan, after.plan)}
    assert f"{len(marked)} of them differ" in root.text
    assert "now: 40 threads" in by_id(root, "server.threads").text
    assert "server.threads=80" in next(root.all("header")).text


def test_columns_share_one_scale() -> None:
    small = explanation(postgres={}, scaling={"maxReplicas": 2})
    large = explanation(postgres={}, scaling={"maxReplicas": 20})
    root = page(Column("small", small), Column("large", large))
    widths = []
    for index in range(2):
        drawing = by_id(root, f"budget-{index}-title").parent
        assert drawing is not None
        app = next(item for item in drawing.all("rect") if item.attributes["class"] == "fill-1")
        widths.append(float(app.attributes["width"]))
    demands = [item.plan.budget.demand for item in (small, large) if item.plan.budget]
    assert widths[1] / widths[0] == pytest.approx(demands[1] / demands[0], rel=1e-3)


def test_two_services_are_side_by_side_with_all_their_parts() -> None:
    root = page(Column("shop", explanation(postgres={})), Column("hello", explanation(redis={})))
    row = by_id(root, "pooler.instances")
    assert [cell.text for cell in row.children[1:3]] == ["2 pods", "–"]
    assert [item.text for item in root.all("figcaption")][-2:] == ["shop", "hello"]


def test_prices_add_a_column_and_a_tile() -> None:
    prices = Prices.model_validate(
        {"currency": "EUR", "cpuCoreMonth": 20, "memoryGibMonth": 3, "storageGibMonth": 0.5}
    )
    found = explanation(postgres={})
    root = page(Column("shop", found), prices=prices)
    assert "EUR per month" in root.text
    assert f"{prices.month(found.footprint.most):,.2f} EUR" in root.text


def test_values_of_users_are_text() -> None:
    found = explanation(postgres={})
    problem = Problem(Severity.WARNING, Stage.RULE, f"spec.env[{ATTACK}]", ATTACK, ATTACK)
    threads = dataclasses.replace(
        found.plan.server.threads, value=ATTACK, reason=ATTACK, inputs={ATTACK: ATTACK}
    )
    server = dataclasses.replace(found.plan.server, threads=threads)
    attacked = dataclasses.replace(
        found,
        service=ATTACK,
        plan=dataclasses.replace(found.plan, server=server),
        problems=(problem,),
    )
    text = explanation_page(
        [Column(ATTACK, attacked), Column("other", found)],
        None,
        settings=ATTACK,
        what_if=(ATTACK,),
    )
    root = check(text)
    assert len(list(root.all("script"))) == 1
    assert "<script>alert" not in text
    assert root.text.count("<script>alert(1)</script>") > 10


def test_arguments_of_users_reach_the_page_as_text(tmp_path: Path) -> None:
    settings = tmp_path / "<b>settings<b>.yaml"
    settings.write_text("{}")
    what_if = f"server.extraArgs=['{ATTACK}']"
    result = invoke(
        "explain", "-f", "-", "-o", "html", "--settings", str(settings), "--what-if", what_if,
        text=SHOP,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    root = check(result.stdout)
    assert ATTACK in next(root.all("header")).text
    assert "<b>settings<b>.yaml" in next(root.all("footer")).text


def test_each_part_with_pods_has_a_colour_of_its_own() -> None:
    # Those of Jobs end, so that no footprint counts them.
    jobs = (Part.SCHEDULES, Part.PREFLIGHT, Part.MIGRATION)
    parts = [part for part in PARTS if part.record.pods and part not in jobs]
    styles = {part: part_style(part) for part in parts}
    assert len(set(styles.values())) == len(styles)


def test_a_file_beside_another_is_compared_and_equal_names_have_their_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SHOP)
    (tmp_path / "b.yaml").write_text(SHOP.replace("postgres: {migrations: {}}", ""))
    files = ("-f", str(tmp_path / "a.yaml"), "--beside", str(tmp_path / "b.yaml"))
    root = read(invoke("explain", *files, "-o", "html").stdout)
    headings = [item.text for item in root.all("figcaption")][-2:]
    assert headings == ["shop (a.yaml)", "shop (b.yaml)"]
    refused = invoke("explain", *files, "-o", "html", "--what-if", "server.threads=3")
    assert refused.exit_code == 2
    assert "-o html with --what-if shows one service, not 2" in refused.stderr


def test_sample_bodies_parse() -> None:
    """The samples above are services, not only other objects."""
    services = [
        parse_service(body)[0]
        for sample in SAMPLES
        for body in yaml.safe_load_all(sample.read_text())
        if body["kind"] == "FastAPIService"
    ]
    assert services and all(services)
