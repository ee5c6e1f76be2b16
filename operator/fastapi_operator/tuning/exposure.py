"""How clients outside reach the service, worked out from the spec and what the cluster offers."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi_operator.api.exposure import Exposure, Issuer
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.facts import CERTIFICATE, HTTP_ROUTE, Facts
from fastapi_operator.problems import Problem, Severity, Stage


@dataclass(frozen=True)
class ExposurePlan:
    """Where the service answers, and who holds its certificate.

    Attributes:
        hosts: Names by which clients outside know it.
        encrypted: Whether they speak TLS.
        certificate: Secret with the hosts' certificate; None where the edge has one of its own.
        issuer: Who fills that Secret; None where it exists.
        terminates: Whether the proxy itself speaks TLS, since the edge only passes TCP on.
        root_path: Path that the edge shows before those of the app; empty for none.
    """

    hosts: tuple[str, ...]
    encrypted: bool
    certificate: str | None
    issuer: Issuer | None
    terminates: bool
    root_path: str

    @property
    def url(self) -> str | None:
        """The address for clients outside; None where no host is known, or only a wildcard."""
        if not self.hosts or self.hosts[0].startswith("*"):
            return None
        return f"{'https' if self.encrypted else 'http'}://{self.hosts[0]}{self.root_path}"


def exposure_plan(name: str, exposure: Exposure, root_path: str | None) -> ExposurePlan:
    """The plan of a service that is exposed.

    Args:
        name: The service's name, which begins that of its certificate's Secret.
        exposure: What the spec says.
        root_path: ``spec.server.rootPath``.
    """
    tls = exposure.tls
    issued = f"{name}-tls" if tls and tls.issuer else None
    return ExposurePlan(
        hosts=exposure.hosts or (),
        encrypted=tls is not None,
        certificate=(tls.secret_name or issued) if tls else None,
        issuer=tls.issuer if tls else None,
        terminates=tls is not None and _passes_tcp_on(exposure),
        root_path=(root_path or "").rstrip("/"),
    )


def exposure_problems(
    exposure: Exposure, proxy: Proxy, plan: ExposurePlan, facts: Facts
) -> Iterator[Problem]:
    """What keeps the service from being reached as the spec says."""
    has_proxy = proxy.engine != "None"
    if exposure.gateway is not None:
        if not facts.offers(HTTP_ROUTE):
            yield _error(
                "spec.exposure.gateway",
                f"the cluster serves no {HTTP_ROUTE}",
                "install the Gateway API and a controller for it, or write ingress; offline, name "
                "the API in --facts",
            )
        if exposure.gateway.name is None:
            yield _error("spec.exposure.gateway.name", "no Gateway is named", "name the Gateway")
    if plan.issuer is not None and not facts.offers(CERTIFICATE):
        yield _error(
            "spec.exposure.tls.issuer",
            f"the cluster serves no {CERTIFICATE}",
            "install cert-manager, or write secretName; offline, name the API in --facts",
        )
    if plan.terminates and plan.certificate is None:
        yield _error(
            "spec.exposure.tls",
            "a load balancer passes TCP on, so the proxy needs a certificate",
            "write secretName or issuer",
        )
    if plan.terminates and not has_proxy:
        yield _error(
            "spec.exposure.tls",
            "a load balancer passes TCP on, and without a proxy nobody speaks TLS",
            "remove proxy.engine: None, or expose the service by gateway or ingress",
        )
    if exposure.private_paths and not has_proxy:
        yield _error(
            "spec.exposure.privatePaths",
            "without a proxy nothing hides a path",
            "remove proxy.engine: None or privatePaths",
        )


def _passes_tcp_on(exposure: Exposure) -> bool:
    behind_http = exposure.gateway is not None or exposure.ingress is not None
    return exposure.load_balancer is not None and not behind_http


def _error(path: str, message: str, remedy: str) -> Problem:
    return Problem(
        severity=Severity.ERROR, stage=Stage.PLAN, path=path, message=message, remedy=remedy
    )
