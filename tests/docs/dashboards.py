"""The pictures of the dashboards, and the state of each dashboard when it was drawn."""

import hashlib
import json
from pathlib import Path
from typing import Any

from fastapi_operator.observability.grafana import Dashboard
from tests.docs.blocks import ROOT

FOLDER = ROOT / "docs/pictures"
# A browser of 1600 by 1000 pixels shows so many rows of Grafana's grid below its own bars.
_ROWS = 24


def first_screen(dashboard: Dashboard) -> dict[str, Any]:
    """Returns the model with only the panels that are seen without scrolling."""
    model = dashboard.model()
    seen = [
        panel for panel in model["panels"] if panel["gridPos"]["y"] + panel["gridPos"]["h"] <= _ROWS
    ]
    # A row without its panels has nothing to show.
    while seen[-1]["type"] == "row":
        seen.pop()
    return {**model, "panels": seen}


def picture(dashboard: Dashboard) -> Path:
    """The file of its picture."""
    return FOLDER / f"dashboard-{dashboard.name}.webp"


def digest(dashboard: Dashboard) -> str:
    """Returns the hash of all that its picture depends on."""
    model = first_screen(dashboard)
    return hashlib.sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()


def note(dashboard: Dashboard) -> None:
    """Writes the hash beside the picture."""
    _noted(dashboard).write_text(digest(dashboard) + "\n")


def noted(dashboard: Dashboard) -> str:
    """Returns the hash that is beside the picture."""
    return _noted(dashboard).read_text().strip()


def _noted(dashboard: Dashboard) -> Path:
    return picture(dashboard).with_suffix(".sha256")
