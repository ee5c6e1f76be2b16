"""Checks that the repository's prose is plain English; `words.py` has the table."""
