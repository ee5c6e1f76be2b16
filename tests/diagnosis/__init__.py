"""Faults put into real processes on purpose, and what the diagnosis makes of them."""
