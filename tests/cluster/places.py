"""Folders of the local node, all outside the checkout."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


def cache() -> Path:
    """Binaries and images: costly to make, the same for every instance, safe to delete."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def state() -> Path:
    """Files of running instances; `down` removes those of its instance."""
    return _xdg("XDG_STATE_HOME", ".local/state") / "cluster"


def _xdg(variable: str, fallback: str) -> Path:
    base = os.environ.get(variable)
    return (Path(base) if base else Path.home() / fallback) / "fastapi-operator"
