"""Remedies for failed migrations, by the error messages of Alembic and PostgreSQL."""

# The constant part of an error message, and the remedy.
_REMEDIES = (
    (
        "Can't locate revision identified by",
        "the database is at a revision that this image does not have: set spec.image to the image "
        "that created the revision, or to a newer one",
    ),
    (
        "Multiple head revisions are present",
        "the migrations have two heads: merge them with alembic merge heads, and build a new image",
    ),
    (
        "canceling statement due to user request",
        "a statement waited for a lock, others waited behind it, and it was cancelled: end the "
        "transaction that holds the lock, then change spec.postgres.migrations.retry",
    ),
    (
        "canceling statement due to lock timeout",
        "an open transaction locks the table: end it",
    ),
)


# A failed Job is not repeated by itself, because it may have done a part of its work.
_REPEAT = (
    "the Job runs again after a change of its image, command, env, resources, mounts or watched "
    "Secrets; to run it again unchanged, change spec.postgres.migrations.retry"
)


def remedy(message: str) -> str:
    """Returns the remedy for a failed migration's message, and how it runs again."""
    advice = next((advice for words, advice in _REMEDIES if words in message), "")
    return f"{advice}; {_REPEAT}" if advice else _REPEAT
