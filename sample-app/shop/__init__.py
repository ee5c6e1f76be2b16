"""A small shop: users, items with reviews, orders. It is an application to copy from."""
