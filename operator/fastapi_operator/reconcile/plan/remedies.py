"""What to do about a migration that failed, by the words of Alembic and PostgreSQL."""

# What a pod said, as far as it is the same each time, and what helps.
_REMEDIES = (
    (
        "Can't locate revision identified by",
        "the database is at a revision that this image does not have: put the image that made it, "
        "or a newer one, into spec.image",
    ),
    (
        "Multiple head revisions are present",
        "two branches of the schema are open: join them with alembic merge heads, in a new image",
    ),
    (
        "canceling statement due to lock timeout",
        "an open transaction holds the table: end it, then give spec.postgres.migrations.retry "
        "another value",
    ),
)


def remedy(message: str) -> str:
    """What helps where a migration ended with this message; empty where that is not known."""
    return next((advice for words, advice in _REMEDIES if words in message), "")
