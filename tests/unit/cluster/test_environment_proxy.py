"""The proxy of the environment, and the exceptions in NO_PROXY as kubectl and curl read them."""

import pytest

from fastapi_operator.cluster.environment_proxy import proxy_of

PROXY = "http://proxy.test:3128"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", PROXY)


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("10.0.0.0/8", "https://10.96.0.1:443"),
        (".svc,10.0.0.0/8", "https://10.96.0.1:443"),
        ("corp.test, 10.0.0.0/8", "https://10.96.0.1:443"),
        ("10.96.0.1/12", "https://10.100.0.1"),
        ("fd00::/8", "https://[fd00::1]:443"),
        ("fd00::1", "https://[fd00::1]:443"),
        ("[fd00::1]:443", "https://[fd00::1]"),
        ("10.96.0.1", "https://10.96.0.1:6443"),
        ("10.96.0.1:6443", "https://10.96.0.1:6443"),
        ("cluster.test:443", "https://cluster.test"),
        ("cluster.test", "https://api.cluster.test:6443"),
        (".cluster.test", "https://api.cluster.test:6443"),
        ("*.cluster.test", "https://api.cluster.test:6443"),
        ("CLUSTER.test", "https://Cluster.Test"),
        ("*", "https://cluster.test"),
        ("", "https://127.0.0.1:6443"),
        ("", "https://localhost:6443"),
        ("", "https://[::1]:6443"),
    ],
)
def test_an_exception_is_connected_directly(
    no_proxy: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_of(url) is None


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("", "https://10.96.0.1:443"),
        ("10.0.0.0/16", "https://10.96.0.1:443"),
        ("fd00::/8", "https://10.96.0.1:443"),
        ("10.0.0.0/40", "https://10.96.0.1:443"),
        ("10.96.0.1:6443", "https://10.96.0.1:443"),
        ("10.0.0.0/8", "https://cluster.test"),
        ("cluster.test", "https://othercluster.test"),
        ("cluster.test:6443", "https://cluster.test"),
        (",", "https://cluster.test"),
    ],
)
def test_any_other_host_is_reached_by_the_proxy(
    no_proxy: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_of(url) == PROXY


def test_the_scheme_selects_the_proxy() -> None:
    assert proxy_of("http://cluster.test") is None
