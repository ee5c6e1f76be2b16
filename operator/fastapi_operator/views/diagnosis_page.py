"""``doctor -o html``: the causes of slow requests, and the signals over time, as a page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis
from fastapi_operator.observability.signals import Signals
from fastapi_operator.observability.timeline import Chart, Course
from fastapi_operator.views import charts, page


@dataclass(frozen=True)
class _Course:
    """A line of a chart with its number now and its colour."""

    label: str
    last: str
    style: str


@dataclass(frozen=True)
class _Picture:
    """A chart, its lines and its table."""

    key: str
    title: str
    unit: str
    drawing: Markup
    courses: tuple[_Course, ...]
    bound: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def diagnosis_page(
    service: str,
    found: Sequence[Diagnosis],
    signals: Signals,
    lines: Sequence[Chart],
    *,
    pods: int,
    settings: str,
    notes: Sequence[str] = (),
) -> str:
    """Returns the page.

    Args:
        service: Name of the service.
        found: The diagnoses, the largest effect first.
        signals: The signals from which they follow.
        lines: The signals over time.
        pods: The number of pods that were read.
        settings: The source of the settings.
        notes: Values that could not be read.
    """
    return page.render(
        "diagnosis.html.j2",
        title=service,
        settings=settings,
        summary=f"{pods} pods read for {signals.seconds:.0f} s, {signals.requests:.0f} requests",
        notes=tuple(notes),
        found=tuple(found),
        pictures=tuple(_picture(chart, signals.seconds) for chart in lines),
        routes=tuple(_routes(signals)),
        app=tuple(_pods(signals)),
    )


def _picture(chart: Chart, seconds: float) -> _Picture:
    lines = [
        charts.Line(course.label, course.values, _style(index, course))
        for index, course in enumerate(chart.courses)
    ]
    about = "; ".join(_in_words(course, chart.unit) for course in chart.courses)
    bound = f"{chart.bound_label}: {chart.bound:g}" if chart.bound is not None else ""
    count = len(chart.courses[0].values)
    return _Picture(
        key=chart.key,
        title=chart.title,
        unit=chart.unit,
        drawing=charts.timeline(
            lines,
            seconds=seconds,
            maximum=max((value for item in lines for value in item.values if value), default=0.0),
            key=f"over-time-{chart.key}",
            title=f"{chart.title}, {chart.unit}",
            about=f"{about}; {bound}" if bound else about,
            bound=chart.bound,
        ),
        courses=tuple(
            _Course(course.label, _number(_last(course)), _style(index, course))
            for index, course in enumerate(chart.courses)
        ),
        bound=bound,
        rows=tuple(
            (
                charts.duration(round(seconds * (count - index - 1) / max(1, count - 1), 1)),
                tuple(_number(course.values[index]) for course in chart.courses),
            )
            for index in range(count)
        ),
    )


def _style(index: int, course: Course) -> str:
    if course.failure:
        return "line-bad"
    return "line-1" if index == 0 else "line-2"


def _in_words(course: Course, unit: str) -> str:
    values = [value for value in course.values if value is not None]
    if not values:
        return f"{course.label}: not measured"
    least, most, last = (_number(one) for one in (min(values), max(values), values[-1]))
    return f"{course.label}: {least} to {most} {unit}, {last} at the end"


def _last(course: Course) -> float | None:
    return next((value for value in reversed(course.values) if value is not None), None)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _routes(signals: Signals) -> Iterable[tuple[str, ...]]:
    for route in signals.routes:
        yield (
            route.name,
            _number(route.requests.count / signals.seconds),
            _number(1000 * route.requests.quantile(0.95)),
            _number(route.failed),
        )


def _pods(signals: Signals) -> Iterable[tuple[str, ...]]:
    for pod in signals.app:
        yield (
            pod.pod,
            _number(pod.requests.count / signals.seconds),
            _number(1000 * pod.requests.quantile(0.95)),
            _number(pod.in_flight),
            _number(pod.cpu * pod.workers),
            _number(1000 * pod.lag_p99),
            _number(pod.shed),
        )
