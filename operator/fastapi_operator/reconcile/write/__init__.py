"""How the steps of a pass are written to the API server."""
