"""`python -m shop.seed`: fill the database with made-up items and reviews, for demos and load."""

from __future__ import annotations

import argparse
import asyncio
import random

import sqlalchemy as sa
from fastapi_operator_runtime import database

from shop import models, settings

BATCH = 1000
NAMES = ("Lamp", "Chair", "Table", "Shelf", "Kettle", "Clock", "Mirror", "Rug")


async def seed(config: settings.Settings, items: int, reviews: int) -> None:
    """Inserts one user, `items` items and `reviews` reviews each, in batches.

    Core inserts instead of ORM objects, because no identity map is needed.
    """
    engine = database.create_engine(config, observe=False)
    choice = random.Random(0)
    async with engine.begin() as connection:
        author = await connection.scalar(
            sa.insert(models.User)
            .values(
                name="Seed", email=f"seed{choice.getrandbits(32)}@example.com", password_hash=""
            )
            .returning(models.User.id)
        )
        for start in range(0, items, BATCH):
            rows = [
                {"name": choice.choice(NAMES), "price_cents": choice.randrange(100, 100_000)}
                for _ in range(min(BATCH, items - start))
            ]
            made = await connection.scalars(sa.insert(models.Item).returning(models.Item.id), rows)
            written = [
                {"item_id": item_id, "author_id": author, "rating": choice.randint(1, 5)}
                for item_id in made
                for _ in range(reviews)
            ]
            if written:
                await connection.execute(sa.insert(models.Review), written)
    await engine.dispose()


def main() -> None:
    """Reads the arguments and seeds."""
    parser = argparse.ArgumentParser(prog="python -m shop.seed", description=__doc__)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--reviews", type=int, default=3, help="of each item")
    arguments = parser.parse_args()
    asyncio.run(seed(settings.Settings.load(), arguments.items, arguments.reviews))


if __name__ == "__main__":
    main()
