"""A small shop with users, items, reviews and orders: an example application to copy from."""
