"""The text table of the commands."""

import pytest

from fastapi_operator.cli.table import format_lines


def test_the_name_of_a_field_is_not_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    field = "spec.traffic.blockingMillisecondsPerRequest"
    rows = [("threads", "40", f"set {field} to size it")]

    lines = list(format_lines(("number", "value", "reason"), rows))

    assert any(line.strip() == field for line in lines)
