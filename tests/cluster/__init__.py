"""A real Kubernetes node, or only its API server, on a bare Linux machine.

``python3 -m tests.cluster --help`` is the command line; `tests.cluster.node.Node` and
`tests.cluster.apiserver.ApiServer` are the same for pytest fixtures. The standard library is
all that is needed, so that it runs before any virtual environment exists.
"""
