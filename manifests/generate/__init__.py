"""Writes every generated file of manifests/ and charts/: ``python -m manifests.generate``."""
