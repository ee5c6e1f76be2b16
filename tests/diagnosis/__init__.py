"""Faults injected into real processes, and their diagnosis."""
