"""Dashboards, alerts and the table of metrics."""
