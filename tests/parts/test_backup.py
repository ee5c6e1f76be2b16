"""A dump is written on a real node, and a new service begins with it."""

import pytest

from tests.cluster import node
from tests.demo.targets import Cluster
from tests.e2e.conftest import NODE, Shop
from tests.kubectl import eventually
from tests.parts.conftest import service, small

pytestmark = pytest.mark.node

NAMESPACE = "backups"
POSTGRES = {
    "storage": {"size": "1Gi"},
    "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
}


def ask(shop: Shop, statement: str) -> str:
    """The messages to the database's owner, in the database's own pod."""
    return shop.kubectl(
        *("exec", "-n", NAMESPACE, f"{shop.name}-postgres-0", "-c", "postgres", "--"),
        *("psql", "-X", "-A", "-t", "-h", "/run/postgresql", "-U", "postgres", "-d", "app"),
        *("-c", f"SET ROLE migrator; {statement}"),
    )


def test_a_new_service_restores_the_dump_of_another(cluster: Cluster) -> None:
    started = node.Node(NODE)
    started.build_images(["hello"])
    image = started.image("hello")
    old, new = (Shop(cluster.kubectl, image, NAMESPACE, name) for name in ("old", "new"))
    try:
        service(old, small(postgres={**POSTGRES, "backup": {}}))
        old.wait_until_ready()
        assert "no run has succeeded yet" in old.condition("BackupReady")["message"]
        ask(old, "CREATE TABLE kept (name text); INSERT INTO kept VALUES ('hat')")

        cluster.kubectl(
            *("create", "job", "dump-now", "-n", NAMESPACE),
            "--from=cronjob/old-postgres-backup",
        )
        cluster.kubectl(
            *("wait", "job/dump-now", "-n", NAMESPACE, "--for=condition=complete"),
            "--timeout=120s",
        )
        assert "wrote app-" in cluster.kubectl("logs", "job/dump-now", "-n", NAMESPACE)
        eventually(
            lambda: "the last success was at" in old.condition("BackupReady")["message"],
            seconds=60,
            what="the last success in status",
        )

        restore = {"restoreFrom": {"claim": "old-postgres-backup"}}
        service(new, small(postgres={**POSTGRES, **restore}))
        new.wait_until_ready()
        assert "hat" in ask(new, "SELECT name FROM kept")
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
