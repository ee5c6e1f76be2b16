"""Observation of a running service: pure, from metrics pages to figures."""
