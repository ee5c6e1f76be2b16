"""The background work: a worker prices orders, beat ticks."""

import asyncio
import os

import asyncpg
from celery import Celery

queue = Celery("orders", broker=os.environ["QUEUE_URL"])
queue.conf.broker_connection_retry_on_startup = True
queue.conf.task_acks_late = True
queue.conf.task_ignore_result = True
queue.conf.beat_schedule = {"tick": {"task": "orders.tasks.tick", "schedule": 2.0}}
# The root file system is read-only.
queue.conf.beat_schedule_filename = "/tmp/beat"


@queue.task
def price(order: int) -> None:
    asyncio.run(_execute("UPDATE orders SET price = length(item) WHERE id = $1", order))


@queue.task
def tick() -> None:
    asyncio.run(_execute("INSERT INTO ticks DEFAULT VALUES"))


async def _execute(statement: str, *arguments: object) -> None:
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        await connection.execute(statement, *arguments)
    finally:
        await connection.close()
