"""Alembic's migrations. They ship in the image and run as a Job before a rollout."""
