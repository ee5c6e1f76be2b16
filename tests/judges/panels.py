"""Grafana's own panels: a page draws dashboards with the components that Grafana publishes.

Grafana's server is not needed. npm installs the packages of package-lock.json, each checked by its
hash, and runs none of their scripts. Only the page is kept, outside of the checkout.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.browser import Browser
from tests.cluster import execution, packages, places, progress
from tests.cluster.made_once import made_once

NAME = "grafana-panels"
WIDTH = 1600
_SOURCE = Path(__file__).parent / "tools" / NAME
_NPM = {"npm": "npm"}
_BUNDLE = (
    *(
        "node_modules/.bin/esbuild",
        "src/main.tsx",
        "--bundle",
        "--minify",
        "--outfile=page/page.js",
    ),
    *(
        "--jsx=automatic",
        "--loader:.ttf=empty",
        '--define:process.env.NODE_ENV="production"',
        "--log-level=error",
    ),
)


@dataclass(frozen=True)
class Axis:
    """A drawn axis of values: its end, and the texts of its ticks."""

    max: float
    ticks: Sequence[str]


@dataclass(frozen=True)
class Drawn:
    """A panel as a reader sees it.

    Attributes:
        id: The panel's number in the model.
        title: Its title.
        kind: Grafana's name of the visualisation.
        series: Its data frames.
        points: Its values, or the rows of a table.
        largest: The largest value.
        errors: Errors while it was drawn.
        axes: The axes of values.
        plotHeight: Height of the plot in pixels.
        legendHeight: Height of the legend in pixels.
        legendHidden: Pixels of the legend that are seen only by scrolling.
        text: All of its texts.
    """

    id: int
    title: str
    kind: str
    series: int
    points: int
    largest: float | None
    errors: Sequence[str]
    axes: Sequence[Axis]
    plotHeight: float | None  # noqa: N815 - the names are those of the page
    legendHeight: float | None  # noqa: N815
    legendHidden: float  # noqa: N815
    text: str


def folder() -> Path:
    """Returns the folder of the built page; it exists only after the build."""
    digest = hashlib.sha256()
    for path in sorted(path for path in _SOURCE.rglob("*") if path.is_file()):
        digest.update(path.read_bytes())
    return places.cache() / NAME / digest.hexdigest()[:16]


def build() -> Path:
    """Builds the page unless it is built, and returns its folder.

    Raises:
        ClusterError: npm is missing or the build failed.
    """
    return made_once(folder(), _build, lock=NAME, what=f"the build of {NAME}")


def _build(temporary: Path) -> Path:
    packages.ensure(_NPM)
    source = temporary / "source"
    shutil.copytree(_SOURCE, source)
    install = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    with progress.step(f"npm packages and page of {NAME} (once; 2 minutes)"):
        for command in (install, _BUNDLE):
            execution.output_of(["env", "-C", source, *command])
    shutil.copy(source / "src/page.html", source / "page/page.html")
    return source / "page"


def draw(
    browser: Browser,
    model: Mapping[str, Any],
    frames: Mapping[int, Sequence[Mapping[str, Any]]],
    *,
    between: tuple[float, float],
    subtitle: str = "",
    dark: bool = False,
) -> list[Drawn]:
    """Draws the panels of a dashboard in a browser, which then shows them.

    Args:
        browser: The browser.
        model: The model of the dashboard.
        frames: The data frames of each panel by its id, in Grafana's JSON.
        between: Begin and end of the time range, in seconds.
        subtitle: Text beside the title of the dashboard.
        dark: Whether the theme is dark.
    """
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in model["panels"])
    browser.show(dark=dark, width=WIDTH, height=60 + 38 * bottom)
    browser.open(build() / "page.html")
    request = {
        "title": model["title"],
        "subtitle": subtitle,
        "panels": model["panels"],
        "frames": frames,
        "mode": "dark" if dark else "light",
        "width": WIDTH,
        "from": 1000 * between[0],
        "to": 1000 * between[1],
    }
    found = browser.run(f"draw({json.dumps(request)})")
    return [Drawn(**{**panel, "axes": [Axis(**axis) for axis in panel["axes"]]}) for panel in found]
