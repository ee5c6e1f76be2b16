"""Items and their reviews: the part with most reads, and therefore the cached part."""
