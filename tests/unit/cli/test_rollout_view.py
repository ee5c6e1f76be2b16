"""The lines of a rollout."""

import datetime
from typing import Any

from fastapi_operator.cli.rollout_view import State, lines_of, state_of

NOW = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)


def body(**canary: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "shop", "generation": 2},
        "spec": {"image": "shop:2"},
        "status": {
            "conditions": [{"type": "Ready", "status": "True", "observedGeneration": 2}],
            "canary": {
                "id": "3f9a01bc",
                "image": "shop:2",
                "phase": "Progressing",
                "step": 1,
                "steps": 3,
                "percent": 5,
                "since": "2026-12-01T00:00:00Z",
                "next": "25 %",
                **canary,
            },
        },
    }


def test_a_trial_of_numbers_begins_after_the_release_and_is_shown() -> None:
    assert state_of(body()) is State.RUNNING
    tried = body(trial="pool.size from 12 to 18")
    assert state_of(tried) is State.RELEASED
    assert "  tries    pool.size from 12 to 18" in list(lines_of(tried, NOW))
