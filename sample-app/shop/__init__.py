"""A small shop: users, items with reviews. The application that people copy."""
