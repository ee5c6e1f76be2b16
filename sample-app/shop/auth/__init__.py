"""Sign-in with bearer tokens, and the current user of a request."""
