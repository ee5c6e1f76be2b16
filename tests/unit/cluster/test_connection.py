"""The connection to the cluster: kubeconfig, environment and proxy."""

import asyncio
from pathlib import Path

import pytest

from fastapi_operator.cluster import connection

PROXY = "http://proxy.test:3128"


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    path = tmp_path / "config"
    path.write_text("""
apiVersion: v1
kind: Config
current-context: one
contexts: [{name: one, context: {cluster: one, user: one}}]
clusters: [{name: one, cluster: {server: "https://cluster.test:6443"}}]
users: [{name: one, user: {token: secret}}]
""")
    return path


def proxy(kubeconfig: Path) -> str | None:
    found: str | None = asyncio.run(connection.load(kubeconfig=str(kubeconfig))).proxy
    return found


def test_no_proxy_is_used_by_default(kubeconfig: Path) -> None:
    assert proxy(kubeconfig) is None


def test_the_environments_proxy_is_used(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert proxy(kubeconfig) == PROXY


def test_a_server_in_no_proxy_is_connected_directly(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", "cluster.test")
    assert proxy(kubeconfig) is None


def test_kopf_takes_the_same_proxy(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)

    async def reached() -> str | None:
        found = await connection.load(kubeconfig=str(kubeconfig))
        return (await connection.for_kopf(found)).proxy_url

    assert asyncio.run(reached()) == PROXY


def test_a_missing_context_is_reported_with_those_that_exist(kubeconfig: Path) -> None:
    with pytest.raises(connection.UnreachableError, match="no context two; it has: one"):
        asyncio.run(connection.load(kubeconfig=str(kubeconfig), context="two"))


def test_a_missing_kubeconfig_is_reported_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(connection.UnreachableError, match="no such file; set KUBECONFIG"):
        connection.find_context(kubeconfig=str(tmp_path / "missing"))
