"""The migration: ``python3 -m orders.schema``."""

import asyncio
import os

import asyncpg

_TABLES = """
CREATE TABLE IF NOT EXISTS orders (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item text NOT NULL,
    price integer
);
CREATE TABLE IF NOT EXISTS ticks (at timestamptz NOT NULL DEFAULT now());
"""


async def main() -> None:
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        await connection.execute(_TABLES)
    finally:
        await connection.close()


if __name__ == "__main__":
    asyncio.run(main())
