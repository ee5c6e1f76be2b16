"""Orders: several rows in one transaction, and safe to retry with an idempotency key."""
