"""Items and their reviews. They are read most often, so they are cached."""
