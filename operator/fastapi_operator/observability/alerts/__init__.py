"""The alerts on causes: one file per part of a service, and one for its lifecycle."""
