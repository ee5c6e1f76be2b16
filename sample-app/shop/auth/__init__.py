"""Bearer tokens: sign-in, and the user of a request."""
