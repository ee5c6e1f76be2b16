"""FastAPI Operator: derive, explain and keep every number of a FastAPI deployment."""

__version__ = "0.1.0"
