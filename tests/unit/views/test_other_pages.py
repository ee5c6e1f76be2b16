"""``doctor -o html`` and ``profile -o FILE.html``: their content, and the rules of every page."""

import dataclasses

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.observability import timeline
from fastapi_operator.observability.diagnoses.rules import diagnose
from fastapi_operator.observability.flamegraph import HUES, Profile
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.views.diagnosis_page import diagnosis_page
from fastapi_operator.views.profile_page import profile_page
from tests.unit.services import service
from tests.unit.views import recorded
from tests.unit.views.document import Element, check
from tests.unit.views.test_colours import THEMES, contrast

PLAN = derive(service(postgres={}, redis={}), Settings(), Facts())
ATTACK = "<script>alert(1)</script>"
STACKS = """\
main.py:run:10;shop.py:Items.list:40;json.py:dumps:7 60
main.py:run:10;shop.py:Items.list:44;json.py:dumps:7 20
main.py:run:10;shop.py:<lambda>:3 19
main.py:run:10;rare.py:f:1 1
"""


def doctor(**changed: object) -> str:
    signals = recorded.signals(PLAN)
    found = diagnose(signals)
    assert found, "the recorded service has a cause"
    values: dict[str, object] = {
        "found": found,
        "signals": signals,
        "lines": timeline.charts(recorded.windows_of_parts(), PLAN),
    }
    return diagnosis_page("shop", **(values | changed), pods=5, settings="built-in")  # type: ignore[arg-type]


def by_id(root: Element, name: str) -> Element:
    return next(item for item in root.all() if item.attributes.get("id") == name)


def test_doctor_shows_each_cause_with_signals_field_and_value() -> None:
    root = check(doctor())
    (cause, *_) = diagnose(recorded.signals(PLAN))
    shown = by_id(root, "causes").parent
    assert shown is not None
    for text in (cause.rule, cause.diagnosis, cause.change, cause.field, str(cause.value)):
        assert text in shown.text
    for name, value in cause.signals.items():
        assert f"{name}{value}" in shown.text


def test_doctor_draws_each_signal_and_has_its_values_in_a_table() -> None:
    lines = timeline.charts(recorded.windows_of_parts(), PLAN)
    root = check(doctor())
    assert len(list(root.all("svg"))) == len(lines)
    tables = {next(table.all("caption")).text: table for table in root.all("table")}
    requests = tables["Requests, per second"]
    assert len(list(requests.all("tr"))) == 1 + len(lines[0].courses[0].values)
    last = list(requests.all("tr"))[-1]
    assert [cell.text for cell in last.children] == ["0 s", "350", "30"]
    assert "GET /items" in tables["Routes"].text
    assert "shop-6d5f-a" in tables["Pods of the app"].text


def test_doctor_without_causes_or_signals_is_a_page_too() -> None:
    root = check(doctor(found=(), lines=(), notes=("no app pod exposes metrics",)))
    assert "No cause found." in root.text
    assert "no app pod exposes metrics" in root.text


def test_routes_and_pods_of_users_are_text() -> None:
    signals = recorded.signals(PLAN)
    attacked = dataclasses.replace(
        signals,
        app=tuple(dataclasses.replace(pod, pod=ATTACK) for pod in signals.app),
        routes=tuple(dataclasses.replace(route, name=ATTACK) for route in signals.routes),
    )
    text = doctor(signals=attacked)
    assert ATTACK not in text
    assert check(text).text.count(ATTACK) == len(signals.app) + len(signals.routes)


def test_a_profile_has_graph_lines_and_calls() -> None:
    text = profile_page("shop", Profile(STACKS), pod="shop-a", seconds=2, hertz=100)
    root = check(text)
    frames = {frame.attributes["data-name"]: frame.attributes for frame in root.all("g")}
    assert float(frames["shop.py:Items.list"]["data-width"]) == pytest.approx(0.8)
    assert "shop.py:<lambda>" in frames
    first = next(row for row in root.all("tr") if row.children[0].tag == "th" and row.parent
                 and row.parent.tag == "tbody")  # fmt: skip
    # 80 of the 200 samples that two seconds have.
    assert [cell.text for cell in first.children] == ["json.py:dumps:7", "40.0 %", "40.0 %"]
    open_ = [item for item in root.all("details") if "open" in item.attributes]
    names = [next(item.all("code")).text for item in open_]
    assert names == ["main.py:run", "shop.py:Items.list"]
    assert "rare.py:f" in root.text


def test_a_profile_without_samples_gives_the_remedy() -> None:
    root = check(profile_page("shop", Profile("\n"), pod="shop-a", seconds=2, hertz=100))
    assert "Add --idle" in root.text
    assert not list(root.all("svg"))


def test_functions_of_users_are_text() -> None:
    stacks = Profile(f"main.py:run:1;{ATTACK}:f:1 5\n")
    text = profile_page(ATTACK, stacks, pod=ATTACK, seconds=1, hertz=100)
    assert ATTACK not in text
    check(text)


@pytest.mark.parametrize("hue", range(HUES))
def test_names_have_contrast_on_every_flame(hue: int) -> None:
    # hsl(hue 80% 65%): lightness 0.65, saturation 0.8, and a hue from red to yellow.
    chroma = (1 - abs(2 * 0.65 - 1)) * 0.8
    low = 0.65 - chroma / 2
    parts = (low + chroma, low + chroma * hue / 60, low)
    colour = "#" + "".join(f"{round(255 * part):02x}" for part in parts)
    for colours in THEMES.values():
        assert contrast(colours["on-flame"], colour) >= 4.5
