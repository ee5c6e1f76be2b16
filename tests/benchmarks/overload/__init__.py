"""Goodput under more requests than a service can serve."""
