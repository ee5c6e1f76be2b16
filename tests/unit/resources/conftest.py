"""Where the operands' files lie: they run as another user than the tests."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Not below pytest's own folder: each new session closes that to all users but its own."""
    with tempfile.TemporaryDirectory(prefix="operands-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
