"""The proxy in front of the app: its configuration, Deployment and entry Service."""

from typing import Any

from fastapi_operator.parts import COPY_STATIC, METRICS, Part
from fastapi_operator.resources import caddy, entry, nginx, objects, pod
from fastapi_operator.resources.desired import Desired, Gate
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.proxy_engine import CONFIG, STATIC_ROOT, TLS_DIRECTORY, Engine
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.proxy import ProxyPlan
from fastapi_operator.tuning.routes import Route

_CACHE = "cache"
_TLS = "tls"


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the objects of the proxy; none with ``engine: None``."""
    plan = inputs.plan.proxy
    if plan is None:
        return ()
    name = inputs.name_of(Part.PROXY)
    engine = caddy.engine(inputs, plan) if inputs.proxied_by_caddy else nginx.engine(inputs, plan)
    built = [
        objects.config_map(inputs, Part.PROXY, name, engine.files),
        entry.service(inputs, Part.PROXY),
        _deployment(inputs, plan, engine, name),
    ]
    if plan.replicas.value > 1:
        built.append(objects.disruption_budget(inputs, Part.PROXY, name))
    return tuple(built)


def _deployment(inputs: Inputs, plan: ProxyPlan, engine: Engine, name: str) -> Desired:
    return objects.deployment(
        inputs,
        Part.PROXY,
        name,
        _pod_template(inputs, plan, engine, name),
        replicas=plan.replicas.value,
        # Static files of a version are served only after its migration, as its pages are.
        gate=Gate.MIGRATED if _static_routes(plan) else Gate.NONE,
    )


def _pod_template(inputs: Inputs, plan: ProxyPlan, engine: Engine, name: str) -> dict[str, Any]:
    pull_policy = inputs.settings.image_pull_policy
    static = _static_routes(plan)
    volumes = _volumes(inputs, plan, engine, name)
    mounts = _mounts(inputs, plan, engine)
    pre_stop = inputs.plan.server.pre_stop_seconds.value
    health = {"httpGet": {"path": "/healthz", "port": "private"}}
    server = pod.container(
        engine.name,
        image=engine.image,
        pull_policy=pull_policy,
        command=("sh", "-c", engine.start),
        ports=_ports(inputs),
        **pod.probes(startup=health, readiness=health, liveness=health),
        **pod.sleep_before_stop(pre_stop),
        resources=_resources(plan),
        mounts=mounts | {_static_volume(i): _directory(r) for i, r in enumerate(static)},
    )
    return pod.pod_template(
        inputs,
        Part.PROXY,
        steps=tuple(_copy(inputs, i, route) for i, route in enumerate(static)),
        sidecars=(
            pod.reloader(
                image=engine.image, pull_policy=pull_policy, script=engine.reload, mounts=mounts
            ),
        ),
        containers=(server,),
        volumes=volumes,
        grace_seconds=pre_stop + plan.read_timeout_seconds.value + figures.GRACE_MARGIN_SECONDS,
        spread=True,
        # The sidecar signals the server, so it must see its processes. Both have the same user.
        shareProcessNamespace=True,
    )


def _ports(inputs: Inputs) -> list[dict[str, Any]]:
    ports = dict(Part.PROXY.record.ports)
    if not inputs.terminates_tls:
        del ports["https"]
    if not inputs.counts_requests:
        del ports[METRICS]
    further = {entry.port_name: entry.port for entry in inputs.plan.entries}
    return pod.container_ports(ports | further)


def _mounts(inputs: Inputs, plan: ProxyPlan, engine: Engine) -> dict[str, str]:
    """The mounts of the server and its reloader, whose test of the configuration needs them."""
    mounts = {CONFIG: engine.config_directory, pod.RUN: engine.run_directory}
    if plan.cache_volume_bytes is not None and engine.cache_directory is not None:
        mounts[_CACHE] = engine.cache_directory
    if inputs.terminates_tls:
        mounts[_TLS] = TLS_DIRECTORY
    return mounts


def _volumes(
    inputs: Inputs, plan: ProxyPlan, engine: Engine, name: str
) -> tuple[dict[str, Any], ...]:
    volumes = [
        pod.files_volume(CONFIG, config_maps=(name,)),
        pod.run_volume(),
    ]
    if plan.cache_volume_bytes is not None and engine.cache_directory is not None:
        volumes.append(pod.scratch_volume(_CACHE, plan.cache_volume_bytes.value))
    exposure = inputs.plan.exposure
    if exposure is not None and exposure.terminates:
        keys = {"tls.crt": "tls.crt", "tls.key": "tls.key"}
        volumes.append(
            pod.files_volume(_TLS, config_maps=(), secret=exposure.certificate, items=keys)
        )
    if plan.static_volume_bytes is not None:
        size = plan.static_volume_bytes.value
        volumes += [
            pod.scratch_volume(_static_volume(index), size)
            for index in range(len(_static_routes(plan)))
        ]
    return tuple(volumes)


def _static_routes(plan: ProxyPlan) -> tuple[Route, ...]:
    """The paths with static files, each before those below it, in the order of their mounts."""
    return tuple(sorted((r for r in plan.routes if r.directory), key=lambda r: r.path))


def _static_volume(index: int) -> str:
    return f"static-{index}"


def _directory(route: Route) -> str:
    """The directory of a static path: the path itself, below one root."""
    return f"{STATIC_ROOT}{route.path}"


def _copy(inputs: Inputs, index: int, route: Route) -> dict[str, Any]:
    """Copies a directory of the app's image; keeps links, overwrites the files of a failed try."""
    return pod.container(
        f"{COPY_STATIC}-{index}",
        image=inputs.spec.image,
        pull_policy=inputs.spec.image_pull_policy or "IfNotPresent",
        command=("cp", "-RPf", f"{route.directory.rstrip('/')}/.", _directory(route)),
        resources=pod.resources(
            cpu_request=figures.COPY_CPU_MILLICORES,
            memory_request=figures.COPY_MEMORY_BYTES,
            memory_limit=figures.COPY_MEMORY_BYTES,
        ),
        mounts={_static_volume(index): _directory(route)},
    )


def _resources(plan: ProxyPlan) -> dict[str, Any]:
    return pod.resources(
        cpu_request=plan.cpu_request_millicores.value,
        memory_request=plan.memory_bytes.value,
        memory_limit=plan.memory_bytes.value,
    )
