"""Charts of numbers, drawn to scale: a funnel, ladders, stacked bars and lines over time.

Nothing here knows what the numbers mean. Colours are classes of the page's style sheet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fastapi_operator.views import svg
from fastapi_operator.views.scale import Scale, ceiling, ticks

_LABELS = 112
_VALUES = 128


@dataclass(frozen=True)
class Segment:
    """A piece of a bar: its label, its number and its class."""

    label: str
    value: float
    style: str


@dataclass(frozen=True)
class Stage:
    """One width of a funnel.

    Attributes:
        title: The counted quantity.
        note: A second line.
        segments: The pieces of the bar.
        shown: The number with its unit.
        bound: The bound of the number; empty for none.
        fits: Whether the number is within its bound.
    """

    title: str
    note: str
    segments: tuple[Segment, ...]
    shown: str
    bound: str = ""
    fits: bool = True

    @property
    def value(self) -> float:
        """The whole number."""
        return sum(segment.value for segment in self.segments)


_STAGE = 64
_STAGE_BAR = 30


def funnel(stages: Sequence[Stage], *, maximum: float, key: str, title: str) -> Markup:
    """Returns a funnel: each stage is as wide as its number.

    Args:
        stages: The stages, the first one on top.
        maximum: The number that takes the whole width.
        key: A name that no other drawing of the page has.
        title: The caption.
    """
    scale = Scale(maximum, svg.WIDTH - _LABELS - _VALUES)
    middle = _LABELS + scale.length / 2
    shapes = []
    for index, stage in enumerate(stages):
        top = index * _STAGE + 10
        left = middle - scale.size(stage.value) / 2
        if index + 1 < len(stages):
            below = scale.size(stages[index + 1].value) / 2
            corners = (
                (left, top + _STAGE_BAR),
                (2 * middle - left, top + _STAGE_BAR),
                (middle + below, top + _STAGE),
                (middle - below, top + _STAGE),
            )
            points = " ".join(f"{x:.2f},{y:.2f}" for x, y in corners)
            shapes.append(svg.element("polygon", class_="narrowing", points=points))
        for segment in stage.segments:
            width = scale.size(segment.value)
            name = f"{segment.label}: {segment.value:g}"
            shapes.append(svg.bar(left, top, width, _STAGE_BAR, segment.style, name))
            left += width
        shapes += [
            svg.text(stage.title, 0, top + 13, "strong"),
            svg.text(stage.note, 0, top + 29, "muted"),
            svg.text(stage.shown, svg.WIDTH, top + 13, "strong", "end"),
            svg.text(stage.bound, svg.WIDTH, top + 29, "muted" if stage.fits else "bad", "end"),
        ]
    about = "; ".join(f"{item.title}: {item.shown} {item.bound}".strip() for item in stages)
    height = len(stages) * _STAGE - _STAGE + _STAGE_BAR + 20
    return svg.drawing(shapes, height=height, key=key, title=title, about=about)


@dataclass(frozen=True)
class Rung:
    """One bar of a ladder, in seconds.

    Attributes:
        owner: Who waits.
        what: Its subject, for example a timeout.
        end: When the wait ends.
        start: When it begins.
        fits: Whether it has its place in the order.
        bound: Whether it is the bound of the bar before it.
    """

    owner: str
    what: str
    end: float
    start: float = 0.0
    fits: bool = True
    bound: bool = False

    @property
    def shown(self) -> str:
        """The duration, also of a bar that begins later."""
        return duration(self.end - self.start)


_RUNG = 42
_RUNG_LABELS = 172


def ladder(rungs: Sequence[Rung], *, maximum: float, key: str, title: str) -> Markup:
    """Returns durations as bars on one axis.

    Args:
        rungs: The durations, in their order.
        maximum: The end of the axis, in seconds.
        key: A name that no other drawing of the page has.
        title: The caption.
    """
    scale = Scale(maximum, svg.WIDTH - _RUNG_LABELS - 54, _RUNG_LABELS)
    height = len(rungs) * _RUNG + 26
    shapes = []
    for tick in ticks(maximum, seconds=True):
        x = scale.at(tick)
        shapes += [
            svg.line(x, 20, x, height, "grid"),
            svg.text(duration(tick), x, 13, "tick", "middle"),
        ]
    for index, rung in enumerate(rungs):
        top = 28 + index * _RUNG
        x, width = scale.at(rung.start), scale.size(rung.end - rung.start)
        style = ("bar-bound" if rung.bound else "bar") if rung.fits else "bar-bad"
        shapes += [
            svg.text(rung.owner, 0, top + 13, "strong"),
            svg.text(rung.what, 0, top + 28, "muted"),
            svg.bar(x, top + 4, width, 20, style, f"{rung.owner}, {rung.what}: {rung.shown}"),
            svg.text(rung.shown, x + width + 6, top + 19, "strong" if rung.fits else "bad"),
        ]
    about = "; ".join(f"{rung.owner}, {rung.what}: {rung.shown}" for rung in rungs)
    return svg.drawing(shapes, height=height, key=key, title=title, about=about)


@dataclass(frozen=True)
class Bar:
    """One stacked bar with its label and its number as text."""

    label: str
    segments: tuple[Segment, ...]
    shown: str

    @property
    def value(self) -> float:
        """The whole number."""
        return sum(segment.value for segment in self.segments)


@dataclass(frozen=True)
class Bars:
    """Bars of one unit, and the number that takes the whole width."""

    title: str
    bars: tuple[Bar, ...]
    maximum: float


_BAR = 24
_BAR_LABELS = 112
_BAR_VALUES = 72


def stacked(groups: Sequence[Bars], *, key: str, title: str) -> Markup:
    """Returns groups of stacked bars, each group on its own scale.

    Args:
        groups: The groups.
        key: A name that no other drawing of the page has.
        title: The caption.
    """
    shapes, top, texts = [], 4.0, []
    for group in groups:
        scale = Scale(group.maximum, svg.WIDTH - _BAR_LABELS - _BAR_VALUES, _BAR_LABELS)
        shapes.append(svg.text(group.title, 0, top + 15, "strong"))
        for item in group.bars:
            x = scale.origin
            shapes += [
                svg.text(item.label, _BAR_LABELS - 8, top + 15, "muted", "end"),
                svg.bar(x, top + 1, scale.length, _BAR - 6, "track"),
            ]
            for segment in item.segments:
                width = scale.size(segment.value)
                # A gap separates neighbours whose colours look alike.
                seen = max(width - 1.5, width / 2)
                shapes.append(svg.bar(x, top + 1, seen, _BAR - 6, segment.style, segment.label))
                x += width
            shapes.append(svg.text(item.shown, svg.WIDTH, top + 15, "strong", "end"))
            texts.append(f"{group.title} {item.label}: {item.shown}")
            top += _BAR
        top += 12
    return svg.drawing(shapes, height=top - 8, key=key, title=title, about="; ".join(texts))


@dataclass(frozen=True)
class Line:
    """A number over time: values at equal distances; None where it was not measured."""

    label: str
    values: tuple[float | None, ...]
    style: str = "line"


_PLOT_HEIGHT = 150
_PLOT_LEFT = 52
_PLOT_TOP = 10
_PLOT_BOTTOM = 24


def timeline(
    lines: Sequence[Line],
    *,
    seconds: float,
    maximum: float,
    key: str,
    title: str,
    about: str,
    bound: float | None = None,
) -> Markup:
    """Returns numbers over time, on an axis from zero.

    Args:
        lines: The numbers, each with at least one value.
        seconds: The time from the first value to the last one.
        maximum: The largest number that must be visible.
        key: A name that no other drawing of the page has.
        title: The caption.
        about: The numbers in a sentence.
        bound: A planned value, as a dashed line.
    """
    top = ceiling(max(maximum, bound or 0.0))
    plot = _PLOT_HEIGHT - _PLOT_TOP - _PLOT_BOTTOM
    vertical = Scale(top, plot)
    across = Scale(seconds, svg.WIDTH - _PLOT_LEFT - 14, _PLOT_LEFT)
    floor = _PLOT_TOP + plot
    shapes = []
    for tick in ticks(top, 5):
        y = floor - vertical.size(tick)
        shapes += [
            svg.line(_PLOT_LEFT, y, svg.WIDTH - 14, y, "grid"),
            svg.text(_short(tick), _PLOT_LEFT - 8, y + 4, "tick", "end"),
        ]
    for tick in ticks(seconds, 7, seconds=True):
        label = "now" if tick == 0 else f"-{duration(tick)}"
        x = across.at(seconds - tick)
        shapes.append(svg.text(label, x, floor + 18, "tick", "end" if tick == 0 else "middle"))
    if bound is not None:
        y = floor - vertical.size(bound)
        shapes.append(svg.line(_PLOT_LEFT, y, svg.WIDTH - 14, y, "bound"))
    for item in lines:
        step = seconds / max(1, len(item.values) - 1)
        for piece in _pieces(item.values):
            points = " ".join(
                f"{across.at(index * step):.2f},{floor - vertical.size(value):.2f}"
                for index, value in piece
            )
            shapes.append(svg.element("polyline", class_=item.style, points=points))
    return svg.drawing(shapes, height=_PLOT_HEIGHT, key=key, title=title, about=about)


def _pieces(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Returns the stretches of a line without its gaps."""
    pieces: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((index, value))
    # A single point would have no length.
    return [piece * 2 if len(piece) == 1 else piece for piece in pieces if piece]


def _short(value: float) -> str:
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1000 if suffix == 'k' else size):g}{suffix}"
    return f"{value:g}"


def duration(seconds: float) -> str:
    """Returns a duration in its largest unit that keeps it exact, for example ``90 s``, ``1 h``."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0 and seconds > 60:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
