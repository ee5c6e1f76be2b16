"""Users: sign-up and lookup."""
