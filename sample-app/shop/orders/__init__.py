"""Orders: several rows in one transaction, safe to repeat."""
