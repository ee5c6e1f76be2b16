"""How clients outside the cluster reach the service."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi_operator.api.exposure import Exposure, Issuer
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.api.service import Spec
from fastapi_operator.facts import CERTIFICATE, HTTP_ROUTE, Facts
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning.routes import normal


@dataclass(frozen=True)
class ExposurePlan:
    """The address of a service, and its certificate.

    Attributes:
        hosts: Host names for clients outside the cluster.
        encrypted: Whether clients use TLS.
        certificate: Secret with the hosts' certificate; None if the edge has its own.
        issuer: Issuer that writes that Secret; None if it exists already.
        terminates: Whether the proxy terminates TLS, because the edge only forwards TCP.
        root_path: Path prefix of the app at the edge; empty for none.
    """

    hosts: tuple[str, ...]
    encrypted: bool
    certificate: str | None
    issuer: Issuer | None
    terminates: bool
    root_path: str

    @property
    def url(self) -> str | None:
        """The address for clients outside; None without a host, or if the host is a wildcard."""
        if not self.hosts or self.hosts[0].startswith("*"):
            return None
        return f"{'https' if self.encrypted else 'http'}://{self.hosts[0]}{self.root_path}"


def exposure_plan(name: str, exposure: Exposure, root_path: str) -> ExposurePlan:
    """Returns the plan of an exposed service.

    Args:
        name: The service's name, the prefix of its certificate's Secret.
        exposure: ``spec.exposure``.
        root_path: ``spec.server.rootPath`` without a trailing slash; empty for none.
    """
    tls = exposure.tls
    issued = f"{name}-tls" if tls and tls.issuer else None
    return ExposurePlan(
        hosts=exposure.hosts or (),
        encrypted=tls is not None,
        certificate=(tls.secret_name or issued) if tls else None,
        issuer=tls.issuer if tls else None,
        terminates=tls is not None and _forwards_tcp(exposure),
        root_path=root_path,
    )


def exposure_problems(
    exposure: Exposure, proxy: Proxy, plan: ExposurePlan, facts: Facts
) -> Iterator[Problem]:
    """Reports what keeps clients from reaching the service."""
    has_proxy = proxy.engine != "None"
    if exposure.gateway is not None:
        if not facts.offers(HTTP_ROUTE):
            yield _error(
                "spec.exposure.gateway",
                f"the cluster does not serve {HTTP_ROUTE}",
                "install the Gateway API and a controller for it, or set ingress; offline, name "
                "the API in --facts",
            )
        if exposure.gateway.name is None:
            yield _error("spec.exposure.gateway.name", "is missing", "set the name of the Gateway")
    if plan.issuer is not None and not facts.offers(CERTIFICATE):
        yield _error(
            "spec.exposure.tls.issuer",
            f"the cluster does not serve {CERTIFICATE}",
            "install cert-manager, or set secretName; offline, name the API in --facts",
        )
    if plan.terminates and plan.certificate is None:
        yield _error(
            "spec.exposure.tls",
            "a load balancer forwards TCP, so the proxy needs a certificate",
            "set secretName or issuer",
        )
    if plan.terminates and not has_proxy:
        yield _error(
            "spec.exposure.tls",
            "a load balancer forwards TCP, and there is no proxy to terminate TLS",
            "remove proxy.engine: None, or expose the service by gateway or ingress",
        )
    if exposure.private_paths and not has_proxy:
        yield _error(
            "spec.exposure.privatePaths",
            "private paths need a proxy",
            "remove proxy.engine: None or privatePaths",
        )


def root_path_problems(spec: Spec) -> Iterator[Problem]:
    """Reports a root path that clients cannot send, or that no program removes."""
    root = spec.server.effective_root_path if spec.server else ""
    if not root:
        return
    if normal(root) != root:
        yield _error(
            "spec.server.rootPath",
            f'"{root}" has empty or dot segments, which clients resolve',
            f"set {normal(root)}",
        )
    exposure, proxy = spec.exposure or Exposure(), spec.proxy or Proxy()
    if proxy.engine == "None" and exposure.ingress is not None:
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.server.rootPath",
            message="the app's server adds the root path to each path, and without a proxy only "
            "an annotation of your Ingress controller can remove it before",
            remedy="remove proxy.engine: None, or set that annotation in exposure.ingress",
        )


def _forwards_tcp(exposure: Exposure) -> bool:
    behind_http = exposure.gateway is not None or exposure.ingress is not None
    return exposure.load_balancer is not None and not behind_http


def _error(path: str, message: str, remedy: str) -> Problem:
    return Problem(
        severity=Severity.ERROR, stage=Stage.PLAN, path=path, message=message, remedy=remedy
    )
