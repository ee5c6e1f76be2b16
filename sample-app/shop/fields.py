"""Field types that several models share. Their limits are those of the database columns."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import Field

MAX_BIGINT = 2**63 - 1

Id = Annotated[int, Field(ge=1, le=MAX_BIGINT)]
PathId = Annotated[int, Path(ge=1, le=MAX_BIGINT)]

# PostgreSQL text can contain every character except NUL.
NO_NUL = r"^[^\x00]*$"
Name = Annotated[str, Field(min_length=2, max_length=50, pattern=NO_NUL)]
LongText = Annotated[str, Field(max_length=4000, pattern=NO_NUL)]
Email = Annotated[
    str,
    Field(
        max_length=254,
        pattern=r"^[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]{1,63}(\.[A-Za-z0-9\-]{1,63})+$",
        examples=["ada@example.com"],
    ),
]
