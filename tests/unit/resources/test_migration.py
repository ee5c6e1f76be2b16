"""What makes a migration a new one."""

from fastapi_operator.resources.migration import migration_key
from tests.unit.services import service


def key(image: str = "shop:1", **migrations: object) -> str | None:
    return migration_key(service(image=image, postgres={"migrations": migrations}))


def test_no_key_without_migrations() -> None:
    assert migration_key(service()) is None
    assert migration_key(service(postgres={})) is None


def test_key_changes_with_image_command_and_retry_alone() -> None:
    assert key() == key(timeoutSeconds=600)
    assert key() == key(command=["alembic", "upgrade", "head"])
    keys = [key(), key("shop:2"), key(command=["migrate"]), key(retry="1"), key(retry="2")]
    assert len(set(keys)) == len(keys)


def test_a_previous_image_has_its_previous_key() -> None:
    first = key("shop:1")
    assert key("shop:2") != first
    assert key("shop:1") == first
