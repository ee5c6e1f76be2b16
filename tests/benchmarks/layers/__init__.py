"""Measures the layers around a small request: the shop's cache, and the proxy."""
