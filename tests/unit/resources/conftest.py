"""Where the operands' files lie (they run as another user than the tests), and who runs there."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.resources.caddy import Caddy
from tests.unit.resources.nginx import Nginx
from tests.unit.resources.web import App, serving


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Not below pytest's own folder: each new session closes that to all users but its own."""
    with tempfile.TemporaryDirectory(prefix="operands-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def app() -> Iterator[App]:
    """The app behind a proxy."""
    with serving() as app:
        yield app


@pytest.fixture
def nginx(tmp_path: Path, app: App) -> Nginx:
    """nginx before the app, not yet running."""
    return Nginx(tmp_path, app)


@pytest.fixture
def caddy(tmp_path: Path, app: App) -> Caddy:
    """Caddy before the app, not yet running."""
    return Caddy(tmp_path, app)
