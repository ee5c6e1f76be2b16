"""Items and their reviews: the part that is read most, so the part that is cached."""
