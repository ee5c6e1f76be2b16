"""Alembic migrations. They are part of the image and run as a Job before a rollout."""
