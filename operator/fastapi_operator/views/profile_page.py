"""``profile -o FILE.html``: a flame graph, the call tree and the costly lines, as a page."""

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from fastapi_operator.observability import flamegraph
from fastapi_operator.observability.flamegraph import Box, Frame, Profile
from fastapi_operator.views import page, svg

# Calls below this share of all samples are left out of the tree; the graph has them.
_SMALLEST = 0.01


@dataclass(frozen=True)
class _Call:
    """A function in the tree of calls.

    Attributes:
        name: The function.
        share: Its share of the samples, with its callees.
        own: The share without its callees.
        callees: The functions that it calls.
        hot: Whether it is on the path with the most samples.
    """

    name: str
    share: str
    own: str
    callees: "tuple[_Call, ...]"
    hot: bool


def profile_page(service: str, profile: Profile, *, pod: str, seconds: int, hertz: int) -> str:
    """Returns the page.

    Args:
        service: Name of the service.
        profile: The samples.
        pod: The sampled pod.
        seconds: The time for which it was sampled.
        hertz: Samples per second.
    """
    expected = seconds * hertz
    return page.render(
        "profile.html.j2",
        title=service,
        summary=f"pod {pod}, {seconds} s, {profile.samples} samples",
        graph=_graph(profile) if profile.samples else None,
        lines=tuple(
            (
                line.place,
                f"{100 * line.own / expected:.1f} %",
                f"{100 * line.total / expected:.1f} %",
            )
            for line in profile.top()
        ),
        calls=tuple(_calls(profile.root, profile.samples or 1, hot=True)),
    )


def _graph(profile: Profile) -> Markup:
    root = profile.root
    height = flamegraph.graph_height(root)
    shapes = [_shape(box, height) for box in flamegraph.boxes(root)]
    widest = ", ".join(
        f"{line.place} {100 * line.own / profile.samples:.0f} %" for line in profile.top(3)
    )
    return Markup(  # noqa: S704 (every part is escaped)
        svg.element(
            "svg",
            svg.element("title", "Flame graph", id="flames-title"),
            svg.element("desc", str(Markup.escape(f"Most time in {widest}")), id="flames-about"),
            *shapes,
            class_="flames",
            viewBox=f"0 0 {flamegraph.WIDTH} {height}",
            role="img",
            aria_labelledby="flames-title",
            aria_describedby="flames-about",
            focusable="false",
        )
    )


def _shape(box: Box, height: float) -> str:
    left, top, width = box.left * flamegraph.WIDTH, box.top(height), box.share * flamegraph.WIDTH
    return svg.element(
        "g",
        svg.element("title", str(Markup.escape(box.title))),
        svg.element(
            "rect",
            x=left,
            y=top,
            width=max(width - 0.5, 0.3),
            height=flamegraph.ROW - 1,
            rx=1,
            fill=box.colour,
        ),
        svg.element(
            "text",
            str(Markup.escape(flamegraph.shown_name(box.name, width))),
            x=left + 3,
            y=top + 12,
        ),
        data_left=f"{box.left:.6f}",
        data_width=f"{box.share:.6f}",
        data_name=box.name,
    )


def _calls(frame: Frame, samples: int, *, hot: bool) -> Iterable[_Call]:
    found = sorted(frame.callees.items(), key=lambda item: -item[1].samples)
    for index, (name, callee) in enumerate(found):
        if callee.samples < _SMALLEST * samples:
            return
        own = callee.samples - sum(inner.samples for inner in callee.callees.values())
        on_path = hot and index == 0
        yield _Call(
            name=name,
            share=f"{100 * callee.samples / samples:.1f} %",
            own=f"{100 * own / samples:.1f} %",
            callees=tuple(_calls(callee, samples, hot=on_path)),
            hot=on_path,
        )
