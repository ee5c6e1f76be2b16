"""`python -m shop.seed`: fills the database with random items and reviews, for demos and load."""

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
    """Inserts one user, `items` items and `reviews` reviews per item, in batches.

    It uses Core inserts, which are faster than ORM objects.
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
            item_ids = await connection.scalars(
                sa.insert(models.Item).returning(models.Item.id), rows
            )
            review_rows = [
                {"item_id": item_id, "author_id": author, "rating": choice.randint(1, 5)}
                for item_id in item_ids
                for _ in range(reviews)
            ]
            if review_rows:
                await connection.execute(sa.insert(models.Review), review_rows)
    await engine.dispose()


def main() -> None:
    """Reads the arguments and fills the database."""
    parser = argparse.ArgumentParser(prog="python -m shop.seed", description=__doc__)
    parser.add_argument("--items", type=int, default=1000, help="number of items")
    parser.add_argument("--reviews", type=int, default=3, help="number of reviews per item")
    arguments = parser.parse_args()
    asyncio.run(seed(settings.Settings.load(), arguments.items, arguments.reviews))


if __name__ == "__main__":
    main()
