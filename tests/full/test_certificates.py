"""cert-manager's own controllers: from the issuer to the served certificate, and its renewal."""

import base64
import hashlib
import socket
import ssl

import pytest

from tests.charts.conftest import SERVICE
from tests.e2e.conftest import Shop
from tests.full import cert_manager
from tests.full.conftest import EXAMPLES, Platform, public
from tests.full.traffic import traffic
from tests.kubectl import eventually

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]

NAMESPACE, HOST = "certificates", "shop.example.com"
# The kubelet updates a mounted Secret within about 90 s, and the sidecar reloads within seconds.
SERVED_SECONDS = 150


@pytest.mark.parametrize("engine", ["Nginx", "Caddy"])
def test_a_certificate_is_issued_served_and_renewed_under_load(
    platform: Platform, engine: str
) -> None:
    cert_manager.require()
    if engine == "Caddy":
        platform.node.build_images(["caddy"])
        platform.node.name_image("caddy", public("settings.images.caddy.digest"))
    platform.install()
    platform.namespace(NAMESPACE)
    shop = apply(platform, engine)
    # The service was applied first, as in one sync with cert-manager.
    eventually(
        lambda: shop.condition("Ready").get("reason") == "WaitingForApi",
        seconds=30,
        what="the service waits for cert-manager",
    )
    since = shop.condition("Stalled")["lastTransitionTime"]
    with cert_manager.running(platform.kubectl):
        platform.kubectl.apply(*cert_manager.issuer("ours", NAMESPACE))
        address = balance(platform, shop)
        shop.wait_until_ready()
        # A transition would have moved the time.
        assert shop.condition("Stalled")["lastTransitionTime"] == since
        context = trust(platform)
        first = served(address, context)
        url = f"https://{address}/"
        with (
            traffic(url, host=HOST, tls=context) as fresh,
            traffic(url, host=HOST, tls=context, keep=True) as kept,
        ):
            cert_manager.renew(platform.kubectl, f"{shop.name}-tls", NAMESPACE)
            eventually(
                lambda: served(address, context) != first,
                seconds=SERVED_SECONDS,
                what="the renewed certificate is served",
            )
            renewed = fresh[-1].seconds
            eventually(lambda: fresh[-1].seconds > renewed + 5, seconds=20, what="5 s of requests")
    print(f"{engine}: served {renewed:.0f} s after the renewal began")
    for seen in (fresh, kept):
        print(f"  {len(seen)} requests, {len(seen.lost)} lost, {seen[-1].seconds:.0f} s")
        assert len(seen) > 300
    assert kept.lost == []
    # At a reload, Caddy can close a connection that is just being opened (docs/parts/proxy.md).
    assert len(fresh.lost) <= (2 if engine == "Caddy" else 0), fresh.lost


def apply(platform: Platform, engine: str) -> Shop:
    """A service behind a load balancer, whose proxy terminates TLS."""
    spec = {
        "image": EXAMPLES[0],
        "app": "shop.main:app",
        "resources": {"requests": {"cpu": "50m"}},
        "scaling": {"replicas": 1},
        "proxy": {"replicas": 1, "engine": engine},
        "exposure": {
            "hosts": [HOST],
            "loadBalancer": {},
            "tls": {"issuer": {"name": "ours", "kind": "Issuer"}},
        },
    }
    platform.helm.run("install", "shop", SERVICE, "--namespace", NAMESPACE, values=spec)
    return Shop(platform.kubectl, EXAMPLES[0], namespace=NAMESPACE)


def balance(platform: Platform, shop: Shop) -> str:
    """Reports an address as a cloud's controller does; returns that which the machine reaches."""

    def service() -> dict[str, dict[str, object]]:
        return platform.kubectl.json("get", "service", shop.name, "-n", NAMESPACE)

    found = eventually(service, seconds=60, what="the Service of the shop")
    found["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}}
    platform.kubectl.apply_status(found)
    return str(found["spec"]["clusterIP"])


def trust(platform: Platform) -> ssl.SSLContext:
    """A client that trusts the issuer's authority only."""
    secret = platform.kubectl.json("get", "secret", "ours", "-n", NAMESPACE)
    return ssl.create_default_context(cadata=base64.b64decode(secret["data"]["tls.crt"]).decode())


def served(address: str, context: ssl.SSLContext) -> str:
    """The fingerprint of the certificate that a new connection gets."""
    with (
        socket.create_connection((address, 443), timeout=10) as connection,
        context.wrap_socket(connection, server_hostname=HOST) as secure,
    ):
        certificate = secure.getpeercert(binary_form=True)
        assert certificate is not None
        return hashlib.sha256(certificate).hexdigest()
