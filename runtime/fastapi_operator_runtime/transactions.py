"""A transaction whose BEGIN finds the connection closed begins again on another connection.

The check of a connection at its checkout cannot help if the pooler or the database closes the
connection between the check and the first statement, as in a rollout of the pooler. BEGIN executes
nothing, so it can be repeated for every request. Once the transaction is open, a pooler that shuts
down waits for its end.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.ext import asyncio as sqlalchemy_asyncio

# A new connection can be of a pooler that shuts down too.
_ATTEMPTS = 3


def keep_beginning(engine: sqlalchemy_asyncio.AsyncEngine) -> None:
    """Sends BEGIN when a transaction begins, not with its first statement, and repeats it if lost.

    Needs asyncpg. In autocommit mode it does nothing.
    """
    # If a statement begins the transaction, SQLAlchemy has chosen the connection for the statement
    # before it reports the begin.
    event.listen(engine.sync_engine, "before_execute", _before_execute)
    event.listen(engine.sync_engine, "begin", _begin)


def _before_execute(connection: sqlalchemy.Connection, *_statement: object) -> None:
    if not connection.in_transaction():
        _begin(connection)


def _begin(connection: sqlalchemy.Connection) -> None:
    for _ in range(_ATTEMPTS):
        adapter = connection.connection.dbapi_connection
        try:
            _send_begin(adapter)
        except Exception as error:
            if not connection.dialect.is_disconnect(error, adapter, None):  # type: ignore[arg-type]
                # The first statement sends BEGIN again, and SQLAlchemy reports its error.
                return
            _replace(connection, error)
        except BaseException as error:
            # Cancelled: the transaction may be open, although the driver does not know it.
            connection.invalidate(error)
            raise
        else:
            return


def _send_begin(adapter: Any) -> None:
    # SQLAlchemy 2.0 has `_started`.
    if not getattr(adapter, "_started", adapter._transaction is not None):
        # SQLAlchemy calls it before the first statement. It has no public name.
        adapter.run_async(lambda _driver: adapter._start_transaction())


def _replace(connection: sqlalchemy.Connection, error: Exception) -> None:
    """Checks another connection out, with the same isolation level and access mode."""
    connection.invalidate(error)
    connection.execution_options(**connection.get_execution_options())
