"""The pictures of the dashboards show the dashboards as they are, and load quickly."""

import pytest

from fastapi_operator.observability.dashboards import DASHBOARDS
from fastapi_operator.observability.grafana import Dashboard
from tests.docs import dashboards

_MOST_BYTES = 150_000


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_a_picture_is_not_older_than_its_dashboard(dashboard: Dashboard) -> None:
    assert dashboards.noted(dashboard) == dashboards.digest(dashboard), "run `make pictures`"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_a_picture_is_small(dashboard: Dashboard) -> None:
    content = dashboards.picture(dashboard).read_bytes()
    assert content[8:12] == b"WEBP"
    assert len(content) <= _MOST_BYTES
