"""Derives a service from the files of a FastAPI project, for ``fastapi-operator init``."""
