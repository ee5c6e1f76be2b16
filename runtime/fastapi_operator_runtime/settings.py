"""The environment contract: every variable that the operator sets, read once and validated.

If a value is not valid, the process stops at start-up with one sentence that has the variable, the
value and the remedy. If a variable is absent, its default is safe on a laptop.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

LogLevel = Literal["debug", "info", "warning", "error", "critical"]

# The driver in the scheme, if there is one, is for other libraries.
DATABASE_SCHEME = re.compile(r"postgres(ql)?(\+\w+)?://")
REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


class SettingsError(ValueError):
    """An environment variable of the contract has a value that is not valid."""


class RuntimeSettings(BaseSettings):
    """The environment contract of the operator.

    Field names are the variables' names in lower case. Numbers are per worker process, unless the
    description differs.
    """

    model_config = SettingsConfigDict(
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    database_url: SecretStr | None = Field(
        None, description="PostgreSQL, through the pooler if there is one (postgresql://)"
    )
    database_pool_size: int = Field(5, ge=1, description="connections kept open")
    database_max_overflow: int = Field(5, ge=0, description="additional connections under load")
    database_pool_timeout_seconds: float = Field(
        5.0, gt=0, description="longest wait for a connection of the pool"
    )
    database_pool_recycle_seconds: int = Field(
        600, ge=-1, description="age at which a connection is replaced; -1 disables it"
    )
    redis_url: SecretStr | None = Field(None, description="cache (redis:// or rediss://)")
    redis_max_connections: int = Field(50, ge=1, description="connections to the cache")
    redis_timeout_seconds: float = Field(
        0.25, gt=0, description="timeout for connecting to the cache and for a response"
    )
    queue_url: SecretStr | None = Field(None, description="broker of background processes")
    web_concurrency: int = Field(1, ge=1, description="worker processes of the server")
    thread_tokens: int | None = Field(
        None, ge=1, description="threads for `def` endpoints and dependencies (AnyIO: 40)"
    )
    max_in_flight: int | None = Field(
        None,
        ge=1,
        description="requests in flight above which requests are shed with 503; absent: no limit",
    )
    max_in_flight_min: int = Field(
        16, ge=1, description="lower bound of the limit, which follows the waits of requests"
    )
    trust_request_start: bool = Field(
        False, description="whether a proxy sets X-Request-Start, and replaces a client's"
    )
    priority_paths: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="paths, separated by commas, whose requests are shed last"
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="port of the metrics; absent: none"
    )
    probe_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="port of the probes, apart from the event loop; absent: none",
    )
    diagnostics_port: int | None = Field(
        None, ge=1, le=65535, description="port of stacks and profiles, on loopback; absent: none"
    )
    log_level: LogLevel = Field("info", description="lowest level that is logged")
    prometheus_multiproc_dir: str | None = Field(
        None, description="directory that the workers of a pod share, for exact metrics"
    )
    otel_service_name: str | None = Field(None, description="name of the service in telemetry")
    sentry_dsn: SecretStr | None = Field(None, description="destination of error reports")
    hostname: str | None = Field(None, description="name of the pod, set by Kubernetes")

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower_case_level(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("priority_paths", mode="before")
    @classmethod
    def _paths(cls, value: Any) -> Any:
        paths = value.split(",") if isinstance(value, str) else value
        if any(not str(path).startswith("/") for path in paths):
            raise ValueError("each path must start with /")
        return tuple(paths)

    @field_validator("database_url")
    @classmethod
    def _postgresql_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not DATABASE_SCHEME.match(value.get_secret_value()):
            raise ValueError("must start with postgresql://")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(REDIS_SCHEMES):
            raise ValueError("must start with redis://, rediss:// or unix://")
        return value

    @field_validator("probe_port", "diagnostics_port")
    @classmethod
    def _own_port(cls, value: int | None, info: ValidationInfo) -> int | None:
        for name in ("metrics_port", "probe_port"):
            if value is not None and value == info.data.get(name):
                raise ValueError(f"must differ from {name.upper()}")
        return value

    @property
    def service_name(self) -> str:
        """The name of the service; `app` if the environment has none."""
        return self.otel_service_name or "app"

    @property
    def application_name(self) -> str:
        """The `application_name` in the database: service/pod, at most 63 bytes.

        PostgreSQL cuts longer names. The end of a pod's name distinguishes pods, so the service's
        name is shortened first.
        """
        pod = (self.hostname or "local")[-40:]
        return f"{self.service_name[: 62 - len(pod)]}/{pod}"

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Reads the contract.

        Args:
            environment: Variables to read instead of the process's own; for tests and tools.

        Raises:
            SettingsError: A variable has a value that is not valid.
        """
        try:
            if environment is None:
                return cls()
            values = {name.lower(): value for name, value in environment.items() if value != ""}
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError(_explain(error, environment)) from None


def _explain(error: ValidationError, environment: Mapping[str, str] | None) -> str:
    """Returns one sentence per variable: name, value (never of a URL with a password), remedy."""
    source = os.environ if environment is None else environment
    sentences = []
    for problem in error.errors():
        name = str(problem["loc"][0]).upper() if problem["loc"] else "environment"
        value = next((v for key, v in source.items() if key.upper() == name), None)
        shown = "" if value is None else "=***" if _is_secret(name) else f"={value!r}"
        message = problem["msg"].removeprefix("Value error, ")
        sentences.append(f"{name}{shown}: {message[0].lower()}{message[1:]}; correct or unset it")
    return "; ".join(sentences)


def _is_secret(name: str) -> bool:
    return name.endswith(("_URL", "_DSN", "_SECRET", "_KEY", "_PASSWORD", "_TOKEN"))
