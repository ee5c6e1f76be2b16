"""Bearer tokens: sign-in, and who is asking."""
