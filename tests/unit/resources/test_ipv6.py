"""The proxies on the loopback address of IPv6 and of IPv4, and nginx on a node without IPv6."""

import pytest

from tests.unit.resources.caddy import Caddy
from tests.unit.resources.nginx import Nginx
from tests.unit.resources.operands import eventually, listens
from tests.unit.resources.web import App, ask, received


@pytest.mark.parametrize("engine", ["Nginx", "Caddy"])
def test_a_proxy_serves_clients_of_both_families(
    engine: str, nginx: Nginx, caddy: Caddy, app: App
) -> None:
    proxy = nginx if engine == "Nginx" else caddy
    with proxy.running():
        for host in ("::1", "127.0.0.1"):
            seen = received(ask(proxy.pod.port(8080), host=host))
            assert seen["X-Forwarded-For"] == host
            assert ask(proxy.pod.port(8081), "/healthz", host=host).status == 200


def test_nginx_starts_on_a_node_without_ipv6(nginx: Nginx) -> None:
    shell, option, script = nginx.written()
    missing = script.replace("/proc/net/if_inet6", "/proc/net/missing")
    assert missing != script
    with nginx.pod.running(shell, option, missing):
        eventually(lambda: listens(nginx.pod.port(8080)), nginx.pod.output())
        assert nginx.get("/healthz", 8081).status == 200
        with pytest.raises(OSError):
            ask(nginx.pod.port(8080), host="::1")
