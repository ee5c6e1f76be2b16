"""Takes away a builder, a fragment or a template line at a time: a test must notice."""
