"""Settings: the operator's environment contract, and the shop's own settings."""

from __future__ import annotations

from fastapi_operator_runtime import RuntimeSettings
from pydantic import AliasChoices, Field


class Settings(RuntimeSettings):
    """The environment contract plus the shop's own settings, which all have a safe default."""

    cache_ttl_seconds: float = Field(
        60.0, gt=0, description="time an item stays in Redis, give or take a tenth"
    )
    local_cache_seconds: float = Field(
        0.0, ge=0, le=60, description="time an item also stays in the process; 0: not at all"
    )
    max_body_bytes: int = Field(64 * 1024, ge=0, description="largest request body accepted")
    password_hash_threads: int = Field(
        2, ge=1, description="password hashes at a time; each needs 19 MiB"
    )
    token_lifetime_seconds: int = Field(
        3600, ge=1, le=30 * 86400, description="time for which a sign-in holds"
    )
    cpu_processes: int = Field(
        1,
        ge=1,
        validation_alias=AliasChoices("cpu_processes", "python_cpu_count"),
        description="processes for CPU work: PYTHON_CPU_COUNT, never the cores of the node",
    )
    labs: bool = Field(False, description="serve /labs, the experiments")
