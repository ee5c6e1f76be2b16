"""The only I/O: Kubernetes, through one client."""
