"""Settings: the operator's environment contract, and the shop's own variables."""

from __future__ import annotations

from fastapi_operator_runtime import RuntimeSettings
from pydantic import AliasChoices, Field


class Settings(RuntimeSettings):
    """The environment contract and the shop's own settings, which all have a safe default."""

    cache_ttl_seconds: float = Field(
        60.0, gt=0, description="lifetime of an item in Redis, plus or minus 10 %"
    )
    local_cache_seconds: float = Field(
        0.0, ge=0, le=60, description="lifetime of an item in the process; 0 disables it"
    )
    max_body_bytes: int = Field(64 * 1024, ge=0, description="largest request body")
    password_hash_threads: int = Field(
        2, ge=1, description="password hashes at the same time; each needs 19 MiB"
    )
    token_lifetime_seconds: int = Field(
        3600, ge=1, le=30 * 86400, description="lifetime of a token"
    )
    cpu_processes: int = Field(
        1,
        ge=1,
        validation_alias=AliasChoices("cpu_processes", "python_cpu_count"),
        description="processes for CPU work: PYTHON_CPU_COUNT, not the cores of the node",
    )
    labs: bool = Field(False, description="whether to serve the experiments in /labs")
