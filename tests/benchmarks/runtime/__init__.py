"""Measures what the runtime adds to a request."""
