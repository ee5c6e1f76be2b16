"""An app with names of its own: app and migration connect with them, and LISTEN works.

The image is that of the sample app, with another program in a ConfigMap.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.targets import Cluster
from tests.e2e import firewall
from tests.e2e.conftest import Shop

pytestmark = pytest.mark.node

NAMESPACE = "named"
PROGRAM = Path(__file__).parent / "named/named.py"
SPEC = {
    "app": "named:app",
    "resources": {"requests": {"cpu": "50m"}},
    "scaling": {"replicas": 1},
    "proxy": {"replicas": 1},
    "env": [{"name": "PYTHONPATH", "value": "/opt/named"}],
    "volumes": [{"name": "program", "configMap": {"name": "program"}}],
    "volumeMounts": [{"name": "program", "mountPath": "/opt/named", "readOnly": True}],
    "redis": {"memory": "64Mi"},
    "postgres": {
        "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}},
        "migrations": {"command": ["python3", "-m", "named"]},
    },
    "connections": {
        "database": {
            "driver": "asyncpg",
            "direct": {"maxConnections": 4},
            "env": {
                "POSTGRES_SERVER": "Host",
                "POSTGRES_PORT": "Port",
                "POSTGRES_DB": "Name",
                "POSTGRES_USER": "Username",
                "POSTGRES_PASSWORD": "Password",
                "DB_URI": "Url",
                "LISTEN_URI": "DirectUrl",
                "MAX_CONNECTION_COUNT": "PoolSize",
            },
        },
        "redis": {"user": "Default", "env": {"CACHE_HOST": "Host", "CACHE_PASSWORD": "Password"}},
    },
}


@pytest.fixture(scope="module")
def named(cluster: Cluster) -> Iterator[Shop]:
    """The service, Ready; its policies are enforced if kube-router is built."""
    running = Shop(cluster.kubectl, cluster.app_image, namespace=NAMESPACE, name="named")
    folder = firewall.program()
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": "program", "namespace": NAMESPACE}
    cluster.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": labels},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"named.py": PROGRAM.read_text()},
        },
        {
            "apiVersion": "fastapi-operator.io/v1alpha1",
            "kind": "FastAPIService",
            "metadata": {"name": "named", "namespace": NAMESPACE},
            "spec": {"image": running.app_image, **SPEC},
        },
    )
    try:
        with firewall.enforcing(folder) if folder else contextlib.nullcontext():
            running.wait_until_ready()
            yield running
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def test_app_and_migration_connect_with_the_apps_own_names_each_as_its_own_user(
    named: Shop,
) -> None:
    answer = named.request("GET", "/names")
    assert (answer.status, answer.body) == (
        200,
        {
            "server": "named-pooler",
            "url": "app",
            "parts": "app",
            "direct": "app",
            "owner": "migrator",
            "migration": "migrator",
        },
    )


def test_a_client_that_knows_only_host_and_password_reaches_the_cache(named: Shop) -> None:
    answer = named.request("GET", "/cache")
    assert (answer.status, answer.body) == (200, {"pong": True})


def test_a_direct_connection_hears_notifications_and_holds_a_lock(named: Shop) -> None:
    answer = named.request("GET", "/listen")
    assert (answer.status, answer.body) == (200, {"heard": "hello"})
    answer = named.request("GET", "/lock")
    assert (answer.status, answer.body) == (
        200,
        {"taken": True, "refused": True, "released": True},
    )
