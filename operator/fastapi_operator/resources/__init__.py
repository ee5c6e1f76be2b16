"""Builders of the wanted objects, one file a part."""
