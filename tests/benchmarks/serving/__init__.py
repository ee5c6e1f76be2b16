"""Whether the tuned numbers serve better than others: measured on a real node."""
