"""The last output of apps that do not find their stores, and the field that it leads to."""

import datetime

import pytest

from fastapi_operator.reconcile.observe.pod_diagnostics import diagnose

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def message(output: str) -> str:
    """The message about a pod whose app ended with an output."""
    ended = {"terminated": {"exitCode": 1, "message": output}}
    container = {"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    status = {"containerStatuses": [{**container, "ready": False, "lastState": ended}]}
    health = diagnose([{"metadata": {"name": "shop-1"}, "status": status}], NOW)
    assert health is not None
    return health.message


@pytest.mark.parametrize(
    ("output", "field"),
    [
        (
            "sqlalchemy.exc.InvalidRequestError: The asyncio extension requires an async driver to "
            "be used. The loaded 'psycopg2' is not async.",
            "spec.connections.database.driver",
        ),
        ("ModuleNotFoundError: No module named 'psycopg2'", "spec.connections.database.driver"),
        (
            "asyncpg.exceptions._base.ClientConfigurationError: invalid DSN: scheme is expected to "
            'be either "postgresql" or "postgres", got \'postgresql+asyncpg\'',
            "remove spec.connections.database.driver",
        ),
        (
            "pydantic_core._pydantic_core.ValidationError: 2 validation errors for Settings\n"
            "POSTGRES_SERVER\n  Field required [type=missing, input_value={'A': 'b'}, "
            "input_type=dict]\nPOSTGRES_USER\n  Field required [type=missing, input_value={'A': "
            "'b'}, input_type=dict]",
            "spec.connections",
        ),
        ("KeyError: 'CELERY_BROKER_URL'", "spec.connections"),
        (
            "redis.exceptions.AuthenticationError: invalid username-password pair or user is "
            "disabled. WRONGPASS",
            "user: Default",
        ),
        (
            'psycopg.errors.InvalidSqlStatementName: prepared statement "plan" does not exist',
            "spec.connections.database.direct",
        ),
        (
            "psycopg.OperationalError: connection failed: FATAL:  unsupported startup parameter in "
            "options: search_path",
            "spec.connections.database.direct",
        ),
        ("asyncpg.exceptions.ProtocolViolationError: SASL authentication failed", "DATABASE_URL"),
    ],
)
def test_the_output_of_an_app_that_does_not_connect_has_a_remedy(output: str, field: str) -> None:
    traceback = f'Traceback (most recent call last):\n  File "a.py", line 1\n    x()\n{output}\n'
    assert field in message(traceback).partition("; remedy: ")[2]


@pytest.mark.parametrize(
    "output",
    [
        "pydantic_core.ValidationError: 1 validation error for Settings\nSECRET_KEY\n"
        "  Field required [type=missing, input_value={}, input_type=dict]",
        "KeyError: 'item'",
        "ModuleNotFoundError: No module named 'shop'",
    ],
)
def test_another_error_has_none_of_these_remedies(output: str) -> None:
    assert "spec.connections" not in message(output)
