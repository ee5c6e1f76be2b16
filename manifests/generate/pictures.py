"""Draws the diagrams of the documentation as SVG, from lists of boxes and arrows.

A picture has its own light background, so that it is readable in the dark too, and needs no script.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

FOLDER = "docs/pictures"
_HEIGHT, _LINE = 44, 15
_STYLE = """\
<style>
text { font: 13px system-ui, "Segoe UI", Roboto, sans-serif; fill: #1b2a2a; text-anchor: middle }
.card { fill: #fff } .box { fill: #e0f2f1; stroke: #00695c }
.frame { fill: #f6f8f8; stroke: #90a4a4; stroke-dasharray: 5 4 }
.label, .head { font-size: 12px; fill: #3b4a4a } .head { font-weight: 600; text-anchor: start }
.plate { fill: #fff; opacity: .92 } .arrow { fill: none; stroke: #37474f; stroke-width: 1.4 }
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"
 orient="auto"><path d="M0 0 8 4 0 8z" fill="#37474f"/></marker></defs>"""


@dataclass(frozen=True)
class Box:
    """A box; the centre is at x and y, in pixels. A line break divides its text."""

    text: str
    x: int
    y: int
    width: int = 130


@dataclass(frozen=True)
class Frame:
    """A dashed rectangle around boxes, with a heading: left, top, width and height in pixels."""

    text: str
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Arrow:
    """An arrow between two boxes.

    Attributes:
        start: The first box.
        end: The second box.
        text: Its label.
        bend: Points between, in pixels.
        shift: Where the label is, relative to the middle of the arrow.
    """

    start: str
    end: str
    text: str = ""
    bend: tuple[tuple[int, int], ...] = ()
    shift: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Picture:
    """A diagram: its description for readers who do not see it, its size, and its contents."""

    about: str
    width: int
    height: int
    boxes: Mapping[str, Box]
    arrows: tuple[Arrow, ...]
    frames: tuple[Frame, ...] = ()


OVERVIEW = Picture(
    "Clients reach the proxy, which balances over the app's pods. These use the cache, and the "
    "database through PgBouncer. A migration Job and an autoscaler belong to the service. The "
    "operator makes all of it from one FastAPIService.",
    900,
    330,
    {
        "you": Box("FastAPIService", 90, 50),
        "operator": Box("operator", 400, 50),
        "clients": Box("clients", 90, 200),
        "proxy": Box("nginx", 290, 200, 100),
        "app": Box("your app × n", 450, 200, 120),
        "cache": Box("Redis", 620, 150, 110),
        "pooler": Box("PgBouncer", 620, 220, 110),
        "database": Box("PostgreSQL", 790, 220, 120),
        "job": Box("migration Job", 790, 150, 120),
        "autoscaler": Box("autoscaler", 450, 280, 120),
    },
    (
        Arrow("you", "operator", "kubectl · helm · GitOps", shift=(0, -10)),
        Arrow("operator", "service", "derives, explains, applies", shift=(90, 0)),
        Arrow("clients", "proxy"),
        Arrow("proxy", "app"),
        Arrow("app", "cache"),
        Arrow("app", "pooler"),
        Arrow("pooler", "database"),
        Arrow("job", "database"),
        Arrow("autoscaler", "app"),
    ),
    (Frame("one service", 220, 105, 665, 215),),
)
OVERLOAD = Picture(
    "A request passes three gates: the proxy needs a free slot of a pod, the process must be below "
    "its limit in flight, and a connection must be free in time. Each rejects with 503 what it "
    "cannot serve in time.",
    900,
    270,
    {
        "clients": Box("clients", 80, 110, 110),
        "proxy": Box("proxy\nfree slot of a pod?", 300, 110, 150),
        "process": Box("process of the app\nbelow its limit?", 560, 110, 160),
        "pool": Box("connection pool\nfree in time?", 790, 110, 150),
        "database": Box("database", 790, 225, 120),
    },
    (
        Arrow("clients", "proxy", "all requests", shift=(0, -10)),
        Arrow("proxy", "process", "yes", shift=(0, -10)),
        Arrow("process", "pool", "yes", shift=(0, -10)),
        Arrow("pool", "database", "yes", shift=(22, 0)),
        Arrow(
            "proxy", "clients", "no: 503 and Retry-After in milliseconds",
            ((300, 180), (80, 180)), (0, 14),
        ),
        Arrow("process", "clients", "no: 503", ((560, 54), (80, 54)), (0, -6)),
        Arrow("pool", "clients", "no: 503", ((790, 24), (80, 24)), (0, -6)),
    ),
)  # fmt: skip
CORE = Picture(
    "The pure core derives a plan from the service, settings and facts, builds the desired objects "
    "and, with the observed state, the steps and the status. The edge watches the API server, "
    "queues one entry per service, and performs the steps.",
    900,
    610,
    {
        "inputs": Box("FastAPIService\nSettings, Facts", 100, 75, 140),
        "plan": Box("Plan", 280, 75, 90),
        "desired": Box("[Desired]", 440, 75, 100),
        "observed": Box("Observed", 440, 175, 100),
        "steps": Box("Steps", 630, 125, 100),
        "status": Box("Status", 800, 75, 100),
        "api": Box("API server", 100, 480, 130),
        "kopf": Box("Kopf\nhandlers.py", 100, 340, 130),
        "controller": Box("loop/controller.py", 280, 300, 150),
        "store": Box("digests and health\nobserve/store.py", 480, 300, 150),
        "queue": Box("one entry per service\nloop/queue.py", 280, 400, 170),
        "reconciler": Box("one reconciliation at a time\nloop/reconciler.py", 520, 400, 200),
        "perform": Box("in waves\nwrite/perform.py", 770, 400, 150),
        "writer": Box("one object\nwrite/object_writer.py", 770, 490, 170),
        "status_writer": Box("if it changed\nloop/status_writer.py", 540, 490, 170),
        "client": Box("cluster/client.py", 300, 540, 150),
    },
    (
        Arrow("inputs", "plan", "derive", shift=(0, -8)),
        Arrow("plan", "desired", "build", shift=(0, -8)),
        Arrow("desired", "steps", "plan_steps", shift=(14, -10)),
        Arrow("observed", "steps"),
        Arrow("desired", "status", "build_status", shift=(0, -8)),
        Arrow("api", "kopf", "watch", shift=(24, 0)),
        Arrow("kopf", "controller", "event", shift=(0, -8)),
        Arrow("controller", "store"),
        Arrow("controller", "queue", "key of a service", shift=(54, 0)),
        Arrow("queue", "reconciler", "workers", shift=(0, -8)),
        Arrow("store", "observed"),
        Arrow("steps", "perform", bend=((770, 200),)),
        Arrow("reconciler", "perform"),
        Arrow("perform", "writer"),
        Arrow("writer", "client", bend=((770, 580), (300, 580))),
        Arrow("status_writer", "client"),
        Arrow("reconciler", "status_writer", "Status", shift=(28, 0)),
        Arrow("client", "api", "writes", shift=(0, -8)),
    ),
    (
        Frame("pure core: no I/O, no clock, no randomness", 10, 20, 880, 200),
        Frame("edge: kopf and kubernetes", 10, 245, 880, 350),
    ),
)  # fmt: skip
CANARY = Picture(
    "A canary starts when the pod template changed and its migration has succeeded. It progresses "
    "step by step, may be held, is promoted after the last step, or is aborted.",
    900,
    330,
    {
        "start": Box("new pod template", 95, 60, 140),
        "starting": Box("Starting", 300, 60, 110),
        "progressing": Box("Progressing\nnext step", 520, 60, 120),
        "promoting": Box("Promoting", 790, 60, 120),
        "holding": Box("Holding", 660, 170, 110),
        "ending": Box("Ending", 400, 270, 110),
        "aborted": Box("Aborted", 640, 270, 110),
        "released": Box("released\nor withdrawn", 140, 270, 130),
    },
    (
        Arrow("start", "starting", "migrated", shift=(0, -8)),
        Arrow("starting", "progressing", "pods ready", shift=(0, -8)),
        Arrow("progressing", "promoting", "last step, or a person", shift=(0, -8)),
        Arrow("progressing", "holding", "held or failed", ((640, 105),), (-50, 4)),
        Arrow("holding", "progressing", "resumed", ((545, 170),), (0, -6)),
        Arrow("holding", "promoting", "a person", shift=(26, 24)),
        Arrow("starting", "ending", "aborted, or another spec", shift=(-82, 0)),
        Arrow("progressing", "ending", "", shift=(0, 0)),
        Arrow("holding", "ending", "aborted", shift=(20, 14)),
        Arrow("promoting", "ending", "the app has rolled out", ((790, 312), (400, 312)), (60, -6)),
        Arrow("ending", "aborted", "was aborted", shift=(0, -8)),
        Arrow("ending", "released"),
    ),
)
PICTURES = {"overview": OVERVIEW, "overload": OVERLOAD, "architecture": CORE, "canary": CANARY}


def files(root: Path) -> Mapping[str, str]:  # noqa: ARG001 (every source of files has this form)
    """Returns the pictures, by path in the repository."""
    return {f"{FOLDER}/{name}.svg": drawn(one) for name, one in PICTURES.items()}


def drawn(picture: Picture) -> str:
    """Returns a picture as SVG."""
    size = f'viewBox="0 0 {picture.width} {picture.height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="'
        f'{escape(picture.about)}">',
        "<!-- Generated by python -m manifests.generate from generate/pictures.py. -->",
        f"<title>{escape(picture.about)}</title>",
        _STYLE,
        f'<rect class="card" width="{picture.width}" height="{picture.height}" rx="10"/>',
        *_frames(picture),
        *_arrows(picture),
        *_boxes(picture),
        *_labels(picture),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _frames(picture: Picture) -> Iterator[str]:
    for one in picture.frames:
        yield (
            f'<rect class="frame" x="{one.left}" y="{one.top}" width="{one.width}" '
            f'height="{one.height}" rx="8"/>'
        )
        yield f'<text class="head" x="{one.left + 12}" y="{one.top + 20}">{escape(one.text)}</text>'


def _boxes(picture: Picture) -> Iterator[str]:
    for one in picture.boxes.values():
        left, top = one.x - one.width // 2, one.y - _HEIGHT // 2
        yield (
            f'<rect class="box" x="{left}" y="{top}" width="{one.width}" height="{_HEIGHT}" '
            'rx="6"/>'
        )
        words = one.text.split("\n")
        for row, text in enumerate(words):
            y = one.y + 5 + round((row - (len(words) - 1) / 2) * _LINE)
            yield f'<text x="{one.x}" y="{y}">{escape(text)}</text>'


def _arrows(picture: Picture) -> Iterator[str]:
    for one in picture.arrows:
        path = " ".join(f"{x:.0f} {y:.0f}" for x, y in _points(picture, one))
        yield f'<path class="arrow" d="M{path}" marker-end="url(#tip)"/>'


def _labels(picture: Picture) -> Iterator[str]:
    for one in picture.arrows:
        if not one.text:
            continue
        points = _points(picture, one)
        (x1, y1), (x2, y2) = points[(len(points) - 1) // 2 : (len(points) - 1) // 2 + 2]
        x, y = (x1 + x2) / 2 + one.shift[0], (y1 + y2) / 2 + one.shift[1]
        yield f'<text class="label" x="{x:.0f}" y="{y:.0f}">{escape(one.text)}</text>'


def _points(picture: Picture, arrow: Arrow) -> list[tuple[float, float]]:
    start = picture.boxes[arrow.start]
    if arrow.end == "service":
        return [(start.x, start.y + _HEIGHT / 2), (start.x, picture.frames[0].top)]
    end = picture.boxes[arrow.end]
    after = arrow.bend[0] if arrow.bend else (end.x, end.y)
    before = arrow.bend[-1] if arrow.bend else (start.x, start.y)
    return [_edge(start, after), *arrow.bend, _edge(end, before)]


def _edge(box: Box, towards: tuple[float, float]) -> tuple[float, float]:
    """Returns where a line from the centre of a box leaves it."""
    dx, dy = towards[0] - box.x, towards[1] - box.y
    factors = []
    if dx:
        factors.append(box.width / 2 / abs(dx))
    if dy:
        factors.append(_HEIGHT / 2 / abs(dy))
    factor = min(factors)
    return box.x + dx * factor, box.y + dy * factor
