"""Metrics, dashboards, alerts, and the diagnoses of ``doctor``."""
