"""The start of the next page of a list. Clients must not interpret it."""

from __future__ import annotations

import base64
import binascii
import datetime
from dataclasses import dataclass

from shop import fields


class InvalidCursor(ValueError):
    """The text is not a valid cursor."""


@dataclass(frozen=True)
class Cursor:
    """The last row of the previous page."""

    created_at: datetime.datetime
    id: int

    def encode(self) -> str:
        """Returns the text that a client sends to get the next page."""
        plain = f"{self.created_at.isoformat()}|{self.id}"
        return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Returns the cursor that `encode` encoded.

        Raises:
            InvalidCursor: The text is not the result of `encode`.
        """
        try:
            padded = text + "=" * (-len(text) % 4)
            created_at, _, item_id = base64.urlsafe_b64decode(padded).decode().partition("|")
            cursor = cls(datetime.datetime.fromisoformat(created_at), int(item_id))
        except (ValueError, binascii.Error):
            raise InvalidCursor(text) from None
        if cursor.created_at.tzinfo is None or not 1 <= cursor.id <= fields.MAX_BIGINT:
            raise InvalidCursor(text)
        return cursor
