"""Indexes that the slowest statements of a database would use, tried as hypothetical ones."""
