"""Where the local node keeps what it makes: nothing of it is inside the checkout."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


def cache() -> Path:
    """Binaries and images: costly to make, the same for every instance, safe to delete."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def state() -> Path:
    """What belongs to running instances; `down` removes an instance's part of it."""
    return _xdg("XDG_STATE_HOME", ".local/state") / "cluster"


def _xdg(variable: str, fallback: str) -> Path:
    base = os.environ.get(variable)
    return (Path(base) if base else Path.home() / fallback) / "fastapi-operator"
