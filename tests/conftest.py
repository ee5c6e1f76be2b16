"""Hypothesis profiles, and the order of the files.

``ci`` draws the same examples each time, ``thorough`` many new ones.
"""

import pytest
from hypothesis import HealthCheck, settings

from tests.long_files import position

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100, database=None)
settings.register_profile(
    "thorough",
    deadline=None,
    max_examples=10_000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves the files that take long to the begin; the others keep their order."""
    items.sort(key=lambda item: position(item.path))
