"""Kubeconfig files; JSON is YAML, so the standard library writes them."""

import base64
import json
from pathlib import Path


def write(
    path: Path, *, cluster: str, server: str, authority: Path, client: tuple[Path, Path]
) -> None:
    """Write a kubeconfig with everything inside, readable by its owner only.

    Args:
        path: The file.
        cluster: Name of cluster and context.
        server: URL of the API server.
        authority: Certificate that signed the server's.
        client: The user's certificate and key.
    """
    certificate, key = client
    user = certificate.stem
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster,
        "clusters": [
            {
                "name": cluster,
                "cluster": {"server": server, "certificate-authority-data": _encoded(authority)},
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _encoded(certificate),
                    "client-key-data": _encoded(key),
                },
            }
        ],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=2) + "\n")


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
