from __future__ import annotations

import pytest

from fastapi_operator_runtime import settings


def load(**environment: str) -> settings.RuntimeSettings:
    return settings.RuntimeSettings.load(environment)


def test_every_variable_of_the_contract_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {
        "DATABASE_URL": "postgresql://app:secret@pooler:6432/shop",
        "DATABASE_POOL_SIZE": "3",
        "DATABASE_MAX_OVERFLOW": "2",
        "DATABASE_POOL_TIMEOUT_SECONDS": "4.5",
        "DATABASE_POOL_RECYCLE_SECONDS": "601",
        "REDIS_URL": "redis://app:secret@cache:6379/0",
        "REDIS_MAX_CONNECTIONS": "7",
        "REDIS_TIMEOUT_SECONDS": "0.125",
        "QUEUE_URL": "redis://app:secret@queue:6379/0",
        "WEB_CONCURRENCY": "2",
        "THREAD_TOKENS": "12",
        "MAX_IN_FLIGHT": "40",
        "METRICS_PORT": "9000",
        "LOG_LEVEL": "WARNING",
        "PROMETHEUS_MULTIPROC_DIR": "/metrics",
        "OTEL_SERVICE_NAME": "shop",
        "HOSTNAME": "shop-7d9f-x2x4z",
    }
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    config = settings.RuntimeSettings.load()
    assert config.database_url is not None
    assert config.database_url.get_secret_value() == wanted["DATABASE_URL"]
    assert config.database_pool_size == 3
    assert config.database_max_overflow == 2
    assert config.database_pool_timeout_seconds == 4.5
    assert config.database_pool_recycle_seconds == 601
    assert config.redis_max_connections == 7
    assert config.redis_timeout_seconds == 0.125
    assert config.queue_url is not None
    assert config.web_concurrency == 2
    assert config.thread_tokens == 12
    assert config.max_in_flight == 40
    assert config.metrics_port == 9000
    assert config.log_level == "warning"
    assert config.prometheus_multiproc_dir == "/metrics"
    assert config.application_name == "shop/shop-7d9f-x2x4z"
    assert settings.RuntimeSettings.load(wanted) == config


def test_an_empty_environment_has_safe_defaults() -> None:
    config = load()
    assert config.database_url is None
    assert config.max_in_flight is None
    assert config.application_name == "app/local"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DATABASE_POOL_SIZE", "ten", "valid integer"),
        ("DATABASE_POOL_SIZE", "0", "greater than or equal to 1"),
        ("METRICS_PORT", "70000", "less than or equal to 65535"),
        ("LOG_LEVEL", "loud", "'debug'"),
        ("REDIS_TIMEOUT_SECONDS", "-1", "greater than 0"),
    ],
)
def test_an_error_reports_variable_value_and_remedy(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    for environment in (None, {name: value}):
        with pytest.raises(settings.SettingsError) as caught:
            settings.RuntimeSettings.load(environment)
        message = str(caught.value)
        assert message.startswith(f"{name}={value!r}: ")
        assert expected in message
        assert message.endswith("correct or unset it")


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
def test_an_invalid_url_is_not_printed(name: str) -> None:
    with pytest.raises(settings.SettingsError) as caught:
        load(**{name: "mysql://app:hunter2@host/db"})
    assert "hunter2" not in str(caught.value)
    assert str(caught.value).startswith(f"{name}=***: must start with")


@pytest.mark.parametrize("driver", ["", "+asyncpg", "+psycopg", "+psycopg2"])
def test_an_url_with_any_driver_is_accepted(driver: str) -> None:
    url = f"postgresql{driver}://app:secret@host/db"
    found = load(DATABASE_URL=url).database_url
    assert found is not None
    assert found.get_secret_value() == url


def test_application_name_fits_the_limit_of_postgresql() -> None:
    config = load(OTEL_SERVICE_NAME="s" * 80, HOSTNAME="p" * 60 + "-abcde")
    assert len(config.application_name) == 63
    assert config.application_name.endswith("-abcde")


def test_passwords_do_not_appear_in_the_representation() -> None:
    config = load(DATABASE_URL="postgresql://app:hunter2@host/db")
    assert "hunter2" not in repr(config)
