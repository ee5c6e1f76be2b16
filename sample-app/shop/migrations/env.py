"""Runs the migrations on DATABASE_URL. In the Job, that URL bypasses the pooler."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import sqlalchemy as sa
from alembic import context, script
from alembic.runtime import migration
from fastapi_operator_runtime import database
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import create_async_engine

from shop import models, settings

TERMINATION_LOG = Path("/dev/termination-log")

# Two Jobs at the same time, for example a retry while the first still runs, must not both migrate.
ADVISORY_LOCK = 0x5B0F_A57A

# A migration that waits for a lock blocks all later statements, so it fails and is retried.
LOCK_TIMEOUT = "5s"


def run(connection: sa.Connection) -> None:
    """Runs the migrations on `connection`, each in a transaction."""
    # The role's own timeout is meant for requests.
    connection.execute(sa.text("SET statement_timeout = 0"))
    connection.execute(sa.select(sa.func.pg_advisory_lock(ADVISORY_LOCK)))
    connection.execute(sa.text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=models.Base.metadata,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    report(migration.MigrationContext.configure(connection).get_current_heads())


def report(current: tuple[str, ...]) -> None:
    """Writes the revisions to the termination message of the Job, which Kubernetes shows."""
    heads = script.ScriptDirectory.from_config(context.config).get_heads()
    line = json.dumps({"current": list(current), "head": heads})
    path = Path(os.environ.get("TERMINATION_LOG_PATH", TERMINATION_LOG))
    if path.exists() and os.access(path, os.W_OK):
        path.write_text(line + "\n")


async def run_online() -> None:
    """Connects without a pool and runs the migrations."""
    config = settings.Settings.load()
    engine = create_async_engine(
        database.async_url(config),
        poolclass=pool.NullPool,
        connect_args=database.engine_options(config)["connect_args"],
    )
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(run_online())
