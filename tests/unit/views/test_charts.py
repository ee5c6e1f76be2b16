"""Charts: lengths follow from numbers."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_operator.tuning.budget import Claim, ConnectionBudget
from fastapi_operator.views import charts, funnel
from fastapi_operator.views.charts import Bar, Bars, Line, Rung, Segment, Stage
from fastapi_operator.views.scale import Scale, ceiling, ticks


def shapes(drawing: str, tag: str, class_: str = "") -> list[ElementTree.Element]:
    found = ElementTree.fromstring(drawing).iter(tag)
    return [item for item in found if not class_ or item.get("class") == class_]


def lengths(drawing: str, class_: str) -> list[float]:
    return [float(item.get("width", "nan")) for item in shapes(drawing, "rect", class_)]


def left(item: ElementTree.Element) -> float:
    return float(item.get("x", "nan"))


def test_a_funnel_is_as_wide_as_its_numbers_and_centred() -> None:
    stages = [
        Stage("Processes", "", (Segment("app", 300, "a"), Segment("worker", 100, "b")), "400"),
        Stage("PgBouncer", "", (Segment("servers", 40, "c"),), "40"),
    ]
    drawing = charts.funnel(stages, maximum=400, key="k", title="Connections")
    app, worker, servers = (lengths(drawing, style)[0] for style in "abc")
    assert app == pytest.approx(3 * worker)
    assert app + worker == pytest.approx(10 * servers)
    (first,), (last,) = shapes(drawing, "rect", "a"), shapes(drawing, "rect", "c")
    assert left(first) + (app + worker) / 2 == pytest.approx(left(last) + servers / 2)
    (narrowing,) = shapes(drawing, "polygon")
    corners = [float(point.split(",")[0]) for point in (narrowing.get("points") or "").split()]
    assert corners == pytest.approx(
        [left(first), left(first) + app + worker, left(last) + servers, left(last)], abs=0.02
    )


def test_a_ladder_is_to_scale_and_begins_where_the_wait_begins() -> None:
    rungs = [Rung("a", "x", 10), Rung("b", "y", 30, start=10), Rung("c", "z", 40, fits=False)]
    drawing = charts.ladder(rungs, maximum=40, key="k", title="Stop")
    ten, twenty = shapes(drawing, "rect", "bar")
    (forty,) = shapes(drawing, "rect", "bar-bad")
    assert lengths(drawing, "bar") == pytest.approx(
        [10 / 40 * lengths(drawing, "bar-bad")[0]] * 1 + [20 / 40 * lengths(drawing, "bar-bad")[0]]
    )
    assert left(ten) == left(forty)
    assert left(twenty) == pytest.approx(left(ten) + lengths(drawing, "bar")[0])
    # The marks of the axis are on the same scale.
    marks = {item.text: float(item.get("x", "nan")) for item in shapes(drawing, "text", "tick")}
    assert marks["0 s"] == pytest.approx(left(ten))
    assert marks["40 s"] == pytest.approx(left(ten) + lengths(drawing, "bar-bad")[0])
    assert "c, z: 40 s" in shapes(drawing, "desc")[0].text


def test_stacked_bars_share_the_scale_of_their_group_alone() -> None:
    def group(title: str, unit: float) -> Bars:
        least = Bar("least", (Segment("app", unit, "a"), Segment("proxy", unit, "b")), "2")
        most = Bar("most", (Segment("app", 3 * unit, "a"), Segment("proxy", unit, "b")), "4")
        return Bars(title, (least, most), 4 * unit)

    drawing = charts.stacked([group("CPU", 1), group("Memory", 1000)], key="k", title="Sizes")
    starts = [left(item) for item in shapes(drawing, "rect", "b")]
    origin = left(shapes(drawing, "rect", "a")[0])
    whole = lengths(drawing, "track")[0]
    assert [start - origin for start in starts] == pytest.approx(
        [whole / 4, 3 * whole / 4, whole / 4, 3 * whole / 4]
    )


def test_a_line_has_gaps_where_nothing_was_measured() -> None:
    drawing = charts.timeline(
        [Line("requests", (0.0, 50.0, None, 100.0))],
        seconds=30, maximum=100, key="k", title="Requests", about="100", bound=50,
    )  # fmt: skip
    before, after = shapes(drawing, "polyline")
    points = [tuple(map(float, point.split(","))) for point in before.get("points", "").split()]
    assert len(points) == 2
    assert points[1][0] > points[0][0]
    (bound,) = shapes(drawing, "line", "bound")
    assert float(bound.get("y1", "nan")) == pytest.approx(points[1][1])
    # A single value is a point, which a line of no length shows.
    assert len(set((after.get("points") or "").split())) == 1


@given(st.floats(0.001, 1e9), st.integers(3, 10), st.booleans())
def test_ticks_are_few_and_within_the_scale(maximum: float, most: int, seconds: bool) -> None:
    found = ticks(maximum, most, seconds=seconds)
    assert found[0] == 0
    assert 2 <= len(found) <= most
    assert found[-1] <= maximum * (1 + 1e-9)
    assert ceiling(maximum) >= maximum * (1 - 1e-6)


def test_ticks_of_durations_are_parts_of_a_minute() -> None:
    assert ticks(75, seconds=True) == (0, 15, 30, 45, 60, 75)
    assert ticks(3600, seconds=True) == (0, 900, 1800, 2700, 3600)
    assert charts.duration(900) == "15 min"
    assert charts.duration(75) == "75 s"
    assert charts.duration(0.25) == "0.25 s"


def test_a_scale_without_numbers_has_no_lengths() -> None:
    assert Scale(0, 100).size(5) == 0
    assert ticks(0) == (0.0,)


def budget(**changed: int | None) -> ConnectionBudget:
    claims = (Claim("app", "spec.scaling", 13, 10), Claim("worker", "spec.background", 4, 2))
    values: dict[str, int | None] = {
        "pooler_clients": 1000, "pooler_servers": 20, "max_connections": 30, "reserved": 8,
    }  # fmt: skip
    return ConnectionBudget(claims=claims, **(values | changed))  # type: ignore[arg-type]


def test_the_funnel_of_a_budget_ends_at_the_slots_of_the_database() -> None:
    processes, pooler, database = funnel.stages(budget())
    assert (processes.value, pooler.value, database.value) == (138, 20, 30)
    assert [(item.label, item.value) for item in database.segments] == [
        ("PgBouncer's servers", 20),
        ("reserved for superusers, migrations and monitoring", 8),
        ("free", 2),
    ]
    assert processes.bound == "1000 accepted"


def test_direct_connections_pass_the_pooler_and_count_in_the_database() -> None:
    _, pooler, database = funnel.stages(budget(direct=2))
    assert pooler.value == 22
    assert pooler.bound == "22 for the service"
    assert database.value == 30


def test_a_budget_that_does_not_fit_shows_by_how_many() -> None:
    processes, *_ = funnel.stages(budget(pooler_clients=100))
    assert (processes.bound, processes.fits) == ("38 too many", False)
    only, database = funnel.stages(budget(pooler_clients=None, pooler_servers=None))
    assert (database.bound, database.fits) == ("116 too many", False)
    drawing = charts.funnel((only, database), maximum=200, key="k", title="t")
    assert [item.text for item in shapes(drawing, "text", "bad")] == ["116 too many"]
