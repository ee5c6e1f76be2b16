"""Users: sign-up and look-up."""
