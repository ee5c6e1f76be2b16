"""How clients outside the cluster reach the service."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi_operator.api.exposure import Entry, Exposure
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.api.service import Spec
from fastapi_operator.facts import CERTIFICATE, HTTP_ROUTE, Facts
from fastapi_operator.problems import Problem, Severity, Stage, missing_api
from fastapi_operator.tuning.routes import covers, entry_ports, normal


@dataclass(frozen=True)
class EntryPlan:
    """A further entry of a service.

    Attributes:
        entry: Its section of the spec.
        name: The name of its objects.
        port: The port of the proxy that only its Service reaches.
        paths: The paths that a Gateway or an Ingress routes to it, with the root path.
        certificate: Secret with the hosts' certificate; None if the edge has its own.
        url: Its address; None if its first host is a wildcard.
    """

    entry: Entry
    name: str
    port: int
    paths: tuple[str, ...]
    certificate: str | None
    url: str | None

    @property
    def port_name(self) -> str:
        """The name of its port in the proxy's container."""
        return f"entry-{self.port}"


@dataclass(frozen=True)
class ExposurePlan:
    """The address of a service, and its certificate.

    Attributes:
        hosts: Host names for clients outside the cluster.
        encrypted: Whether clients use TLS.
        certificate: Secret with the hosts' certificate; None if the edge has its own.
        terminates: Whether the proxy terminates TLS, because the edge only forwards TCP.
        root_path: Path prefix of the app at the edge; empty for none.
        entries: The further entries.
    """

    hosts: tuple[str, ...]
    encrypted: bool
    certificate: str | None
    terminates: bool
    root_path: str
    entries: tuple[EntryPlan, ...] = ()

    @property
    def url(self) -> str | None:
        """The address for clients outside; None without a host, or if the host is a wildcard."""
        return _url(self.hosts[0], self.root_path, encrypted=self.encrypted) if self.hosts else None


def exposure_plan(name: str, namespace: str, exposure: Exposure, root_path: str) -> ExposurePlan:
    """Returns the plan of an exposed service.

    Args:
        name: The service's name, the prefix of its certificate's Secret.
        namespace: The service's namespace.
        exposure: ``spec.exposure``.
        root_path: ``spec.server.rootPath`` without a trailing slash; empty for none.
    """
    tls = exposure.tls
    issued = f"{name}-tls" if tls and tls.issuer else None
    return ExposurePlan(
        hosts=exposure.hosts or (),
        encrypted=tls is not None,
        certificate=(tls.secret_name or issued) if tls else None,
        terminates=tls is not None and _forwards_tcp(exposure),
        root_path=root_path,
        entries=tuple(_entry_plans(name, namespace, exposure, root_path)),
    )


def _entry_plans(
    service: str, namespace: str, exposure: Exposure, root_path: str
) -> Iterator[EntryPlan]:
    ports = entry_ports(exposure)
    for entry in exposure.entries or ():
        name, tls = f"{service}-entry-{entry.name}", entry.tls
        given = entry.paths or ("/",)
        paths = tuple((root_path + normal(path)).rstrip("/") or "/" for path in given)
        issued = f"{name}-tls" if tls and tls.issuer else None
        host = entry.hosts[0] if entry.hosts else f"{name}.{namespace}.svc"
        yield EntryPlan(
            entry=entry,
            name=name,
            port=ports[entry.name],
            paths=paths,
            certificate=(tls.secret_name or issued) if tls else None,
            url=_url(host, paths[0].rstrip("/"), encrypted=tls is not None),
        )


def exposure_problems(
    exposure: Exposure, proxy: Proxy, plan: ExposurePlan, facts: Facts
) -> Iterator[Problem]:
    """Reports what keeps clients from reaching the service."""
    has_proxy = proxy.engine != "None"
    yield from _entry_problems(exposure, has_proxy=has_proxy, facts=facts)
    yield from _missing_apis("spec.exposure", exposure, facts)
    if exposure.gateway is not None and exposure.gateway.name is None:
        yield _error("spec.exposure.gateway.name", "is missing", "set the name of the Gateway")
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


def _entry_problems(exposure: Exposure, *, has_proxy: bool, facts: Facts) -> Iterator[Problem]:
    """Reports entries that cannot be kept apart, and that lack an API."""
    ports = entry_ports(exposure)
    served = [("spec.exposure", exposure.hosts or (), _ways(exposure))]
    for entry in exposure.entries or ():
        field = f"spec.exposure.entries[{entry.name}]"
        if not has_proxy:
            yield _error(
                field,
                "the proxy keeps entries apart, and there is none",
                "remove proxy.engine: None or the entry",
            )
        same = [name for name, port in ports.items() if port == ports[entry.name]]
        if entry.name != same[0]:
            yield _error(
                f"{field}.name",
                f"the port that follows from the name is also that of {same[0]}",
                "use another name",
            )
        yield from _missing_apis(field, entry, facts)
        hosts, ways = entry.hosts or (), _ways(entry)
        for other, others, theirs in served:
            twice = sorted(set(hosts) & set(others))
            if twice and ways & theirs:
                yield _error(
                    f"{field}.hosts",
                    f"{twice[0]} is also a host of {other}, through the same Gateway or class of "
                    "Ingress, so the entry of a request is ambiguous",
                    "use another host, Gateway or class",
                )
        served.append((field, hosts, ways))
        private = [path for path in exposure.private_paths or () if _opens(entry, path)]
        if private and ways & served[0][2]:
            yield Problem(
                severity=Severity.WARNING,
                stage=Stage.PLAN,
                path=f"{field}.paths",
                message=f"{private[0]} is private, and this entry serves it through the same "
                "Gateway or class of Ingress as the main entry, so to the same clients",
                remedy="use a Gateway or a class that only administrators reach, or let the app "
                "authenticate them",
            )


def _missing_apis(field: str, section: Exposure | Entry, facts: Facts) -> Iterator[Problem]:
    if section.gateway is not None and not facts.offers(HTTP_ROUTE):
        yield missing_api(
            f"{field}.gateway",
            HTTP_ROUTE,
            "install the Gateway API and a controller for it, or set ingress; offline, name "
            "the API in --facts",
        )
    if section.tls and section.tls.issuer and not facts.offers(CERTIFICATE):
        yield missing_api(
            f"{field}.tls.issuer",
            CERTIFICATE,
            "install cert-manager, or set secretName; offline, name the API in --facts",
        )


def _opens(entry: Entry, private: str) -> bool:
    """Whether an entry serves a private path, or a part of it."""
    path, paths = normal(private), [normal(item) for item in entry.paths or ()]
    return any(covers(item, path) or covers(path, item) for item in paths)


def _ways(section: Exposure | Entry) -> set[tuple[str | None, ...]]:
    """Returns the Gateway or the class by which hosts are reached.

    A Gateway counts whatever the listener: without a name, a route is attached to all of them.
    """
    if section.gateway is not None:
        return {("gateway", section.gateway.namespace, section.gateway.name)}
    return {("ingress", section.ingress.class_name)} if section.ingress is not None else set()


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


def _url(host: str, path: str, *, encrypted: bool) -> str | None:
    return None if host.startswith("*") else f"{'https' if encrypted else 'http'}://{host}{path}"


def _forwards_tcp(exposure: Exposure) -> bool:
    behind_http = exposure.gateway is not None or exposure.ingress is not None
    return exposure.load_balancer is not None and not behind_http


def _error(path: str, message: str, remedy: str) -> Problem:
    return Problem(
        severity=Severity.ERROR, stage=Stage.PLAN, path=path, message=message, remedy=remedy
    )
