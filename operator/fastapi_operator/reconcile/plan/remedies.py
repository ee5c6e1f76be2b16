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
        "an open transaction locks the table: end it, then change spec.postgres.migrations.retry",
    ),
)


def remedy(message: str) -> str:
    """Returns the remedy for a failed migration's message; empty if it is not known."""
    return next((advice for words, advice in _REMEDIES if words in message), "")
