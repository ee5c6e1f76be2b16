"""Every response to generated input conforms to the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import hypothesis
import pytest
import schemathesis
from fastapi_operator_runtime import testing
from schemathesis.specs.openapi.checks import positive_data_acceptance

OPERATIONS = [
    ("POST", "/users"),
    ("GET", "/users/{user_id}"),
    ("GET", "/items"),
    ("POST", "/items"),
    ("GET", "/items/export"),
    ("GET", "/items/{item_id}"),
    ("POST", "/items/{item_id}/reviews"),
    ("POST", "/tokens"),
    ("GET", "/users/me"),
    ("POST", "/orders"),
    ("GET", "/orders/{order_id}"),
]


@pytest.fixture(scope="module")
def served(
    postgres: testing.PostgresServer,
    pooler: testing.PgBouncerServer,
    redis_server: testing.RedisServer,
) -> Iterator[testing.AppServer]:
    postgres.create_database("openapi", template="migrated")
    environment = {
        "DATABASE_URL": pooler.url("openapi"),
        "REDIS_URL": redis_server.url.removesuffix("/0") + "/14",
    }
    with testing.AppServer("shop.main:app", environment=environment) as server:
        yield server
    postgres.drop_database("openapi")


@pytest.fixture(scope="module")
def signed_in(served: testing.AppServer) -> dict[str, str]:
    ada = {"email": "ada@example.com", "password": "correct horse"}
    httpx2.post(f"{served.url}/users", json={**ada, "name": "Ada"})
    httpx2.post(f"{served.url}/items", json={"name": "Lamp", "price_cents": 1})
    token = httpx2.post(f"{served.url}/tokens", json=ada).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def document(served: testing.AppServer) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{served.url}/openapi.json")


def test_the_document_lists_exactly_these_operations(
    document: schemathesis.BaseSchema,
) -> None:
    found = [result.ok() for result in document.get_all_operations()]
    assert {(operation.method.upper(), operation.path) for operation in found} == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_response_conforms_to_the_document(
    document: schemathesis.BaseSchema, signed_in: dict[str, str], method: str, path: str
) -> None:
    @hypothesis.settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=document[path][method].as_strategy())
    def send(case: schemathesis.Case) -> None:
        # A schema cannot describe which texts are valid cursors.
        foreign_cursor = "after" in (case.query or {})
        case.call_and_validate(excluded_checks=[positive_data_acceptance] if foreign_cursor else [])

    send()
