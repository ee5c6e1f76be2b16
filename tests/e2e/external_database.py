"""A PostgreSQL that the operator did not create, as a cloud or another team would provide."""

import secrets
import subprocess
import tempfile
from pathlib import Path

from tests.kubectl import Kubectl

NAME = "orders-database"
MAX_CONNECTIONS = 40

# TLS only, with a role for the owner and without tuning.
_START = f"""
set -eu
mkdir -p /data/pg && cp /tls/tls.key /data/tls.key && chmod 600 /data/tls.key
initdb -D /data/pg -U owner --auth=scram-sha-256 --pwfile=/secret/password -E UTF8
echo 'hostssl all all all scram-sha-256' >> /data/pg/pg_hba.conf
exec postgres -D /data/pg -k /tmp -c listen_addresses='*' -c max_connections={MAX_CONNECTIONS} \\
    -c ssl=on -c ssl_cert_file=/tls/tls.crt -c ssl_key_file=/data/tls.key
"""
_WWW_DATA = 33  # any user in the image's passwd, because initdb needs a user with a name


def start(kubectl: Kubectl, *, namespace: str, image: str) -> None:
    """Starts the database, and leaves its credentials in the Secrets that a service names.

    ``orders-database`` has host, dbname, username and password; ``orders-database-ca`` the
    certificate that clients verify.
    """
    certificate, key = _certificate(NAME)
    password = secrets.token_urlsafe(16)
    credentials = {"host": NAME, "dbname": "postgres", "username": "owner", "password": password}
    kubectl.apply(
        _secret(NAME, namespace, credentials),
        _secret(f"{NAME}-ca", namespace, {"ca.crt": certificate}),
        _secret(f"{NAME}-tls", namespace, {"tls.crt": certificate, "tls.key": key}),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "namespace": namespace},
            "spec": {"selector": {"app": NAME}, "ports": [{"port": 5432}]},
        },
        _deployment(namespace, image),
    )


def query(kubectl: Kubectl, namespace: str, statement: str) -> str:
    """Returns the result of a statement, run in the database's pod as its superuser."""
    script = "PGPASSWORD=$(cat /secret/password) psql -h /tmp -U owner postgres -Atc"
    command = ("sh", "-c", f'{script} "$0"', statement)
    return kubectl("exec", "-n", namespace, f"deploy/{NAME}", "--", *command).strip()


def _certificate(host: str) -> tuple[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder) / "tls.crt", Path(folder) / "tls.key"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"),
                *("-keyout", str(key), "-out", str(certificate)),
            ],
            check=True,
            capture_output=True,
        )
        return certificate.read_text(), key.read_text()


def _secret(name: str, namespace: str, data: dict[str, str]) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": data,
    }


def _deployment(namespace: str, image: str) -> dict[str, object]:
    volumes = {"data": {"emptyDir": {}}, "tmp": {"emptyDir": {}}}
    volumes["secret"] = {"secret": {"secretName": NAME}}
    volumes["tls"] = {"secret": {"secretName": f"{NAME}-tls"}}
    container = {
        "name": "postgres",
        "image": image,
        "command": ["sh", "-c", _START],
        "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in volumes],
        "readinessProbe": {"tcpSocket": {"port": 5432}, "periodSeconds": 2},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": {"app": NAME}},
            "strategy": {"type": "Recreate"},
            "template": {
                "metadata": {"labels": {"app": NAME}},
                "spec": {
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": _WWW_DATA,
                        "fsGroup": _WWW_DATA,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container],
                    "volumes": [{"name": name, **source} for name, source in volumes.items()],
                },
            },
        },
    }
