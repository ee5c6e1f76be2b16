"""Whether a change of the running service costs its clients a request: on a real node."""
