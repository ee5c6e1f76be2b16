"""Trusted proxy headers and the root path, with a real server."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi_operator_runtime import testing

LAMP = {"name": "Lamp", "price_cents": 1990}


def client_address(server: testing.AppServer) -> str:
    """Returns the client address in the log line of the only request."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for line in server.log_lines():
            if line["message"] == "request":
                return str(line["client.address"])
        time.sleep(0.02)
    raise AssertionError("no request was logged")


@pytest.mark.parametrize(
    ("believed", "forwarded", "address", "scheme"),
    [
        pytest.param("127.0.0.0/8", "203.0.113.7", "203.0.113.7", "https", id="trusted peer"),
        pytest.param("10.0.0.0/8", "203.0.113.7", "127.0.0.1", "http", id="untrusted peer"),
        pytest.param(
            "127.0.0.0/8",
            "198.51.100.1, 203.0.113.7",
            "203.0.113.7",
            "https",
            id="trusted peer, the client lied",
        ),
        pytest.param(
            "*", "198.51.100.1, 203.0.113.7", "198.51.100.1", "https", id="everybody is trusted"
        ),
    ],
)
def test_the_client_address_is_taken_only_from_a_trusted_peer(
    environment: dict[str, str], believed: str, forwarded: str, address: str, scheme: str
) -> None:
    allowed = {"FORWARDED_ALLOW_IPS": believed}
    headers = {"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "https"}
    with testing.AppServer("shop.main:app", environment={**environment, **allowed}) as server:
        redirect = httpx2.get(f"{server.url}/items/", headers=headers)
        assert client_address(server) == address
    assert redirect.status_code == 307
    assert urlsplit(redirect.headers["location"]).scheme == scheme


def test_generated_urls_include_the_root_path(environment: dict[str, str]) -> None:
    root = {"UVICORN_ROOT_PATH": "/shop"}
    with testing.AppServer("shop.main:app", environment={**environment, **root}) as server:
        document = httpx2.get(f"{server.url}/openapi.json").json()
        assert document["servers"] == [{"url": "/shop"}]
        assert "/items" in document["paths"], "paths are below the server's address"
        assert '"/shop/openapi.json"' in httpx2.get(f"{server.url}/docs").text.replace("'", '"')
        made = httpx2.post(f"{server.url}/items", json=LAMP)
        assert made.headers["location"] == "/shop/items/1"
        redirect = httpx2.get(f"{server.url}/items/")
        assert urlsplit(redirect.headers["location"]).path == "/shop/items"


def test_generated_urls_have_no_prefix_without_a_root_path(environment: dict[str, str]) -> None:
    with testing.AppServer("shop.main:app", environment=environment) as server:
        assert "servers" not in httpx2.get(f"{server.url}/openapi.json").json()
        made = httpx2.post(f"{server.url}/items", json=LAMP)
        assert made.headers["location"] == "/items/1"
