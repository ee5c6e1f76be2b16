"""The FastAPI application: its Deployment, Service and disruption budget."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastapi_operator.api.guards import APP_CONTAINER, HEARTBEAT_VOLUME, METRICS_VOLUME
from fastapi_operator.api.server import Probes, Server
from fastapi_operator.api.workload import ServiceAccount
from fastapi_operator.parts import METRICS, PROBES, Part
from fastapi_operator.resources import entry, objects, pod
from fastapi_operator.resources.agents import with_agent
from fastapi_operator.resources.desired import Desired, Gate
from fastapi_operator.resources.environment import (
    METRICS_DIRECTORY,
    environment,
    environment_files,
)
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.overrides import merged
from fastapi_operator.resources.servers import HEARTBEAT_DIRECTORY, server_command, server_of
from fastapi_operator.resources.variable import Process
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.scaling import rollout_deadline_seconds


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the objects of the app; its Deployment waits for the migration."""
    name, ports = inputs.name_of(Part.APP), {"http": (inputs.app_port, "http")}
    if inputs.metrics_port is not None:
        ports[METRICS] = (inputs.metrics_port, METRICS)
    built = [
        *_service_account(inputs),
        objects.service(inputs, Part.APP, name, ports),
        _deployment(inputs),
    ]
    proxy = inputs.plan.proxy
    if proxy is not None and proxy.pod_connections is not None:
        # Its name has the address of each ready pod, among which the proxy chooses.
        ports = {"http": (inputs.app_port, "http")}
        pods = inputs.name_of(Part.APP, "pods")
        built.append(objects.service(inputs, Part.APP, pods, ports, clusterIP="None"))
    if proxy is None:
        # Without a proxy the app's pods are behind the Service with the service's own name.
        built.append(entry.service(inputs, Part.APP))
    if inputs.plan.scaling.min_replicas.value > 1:
        most = inputs.plan.scaling.max_disrupted.value
        built.append(
            objects.disruption_budget(
                inputs, Part.APP, inputs.name_of(Part.APP), max_unavailable=most
            )
        )
    return tuple(built)


def pod_account(inputs: Inputs) -> dict[str, Any]:
    """Returns the account of a pod of the app's image."""
    account = inputs.spec.service_account or ServiceAccount()
    return {
        "serviceAccountName": account.name or inputs.name,
        "automountServiceAccountToken": account.token or False,
    }


def environment_fields(
    inputs: Inputs, process: Process, own: Iterable[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Returns ``env`` and ``envFrom`` of a container of the app's image.

    Args:
        inputs: The service.
        process: The process that runs in the container.
        own: Variables of this process, which take precedence over those of the whole service.
    """
    sources = [dict(source) for source in inputs.spec.env_from or ()]
    return {
        "env": environment(inputs, process, own),
        **({"envFrom": sources} if sources else {}),
    }


def _service_account(inputs: Inputs) -> Iterator[Desired]:
    """The service's own account; none if the spec names an existing one."""
    account = inputs.spec.service_account or ServiceAccount()
    if account.name is not None:
        return
    metadata = objects.metadata(inputs, Part.APP, inputs.name)
    if account.annotations:
        metadata["annotations"] = dict(account.annotations)
    body = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata,
        # A pod that needs a token requests it in its own spec.
        "automountServiceAccountToken": False,
    }
    yield Desired(Part.APP, body)


def _deployment(inputs: Inputs) -> Desired:
    scaling = inputs.plan.scaling
    return objects.deployment(
        inputs,
        Part.APP,
        inputs.name,
        app_template(inputs, Part.APP),
        replicas=scaling.min_replicas.value,
        max_surge=scaling.max_surge.value,
        max_unavailable=scaling.max_unavailable.value,
        deadline_seconds=rollout_deadline_seconds(inputs.spec),
        gate=Gate.MIGRATED,
        hands_over_replicas=scaling.autoscaled.value,
    )


def app_template(inputs: Inputs, part: Part) -> dict[str, Any]:
    """Builds the pods of the app; those of a new version differ in their labels alone."""
    spec = inputs.spec
    scratch = tuple(_directories_in_memory(inputs))
    files, file_volumes = environment_files(inputs, Process.APP)
    volumes = [
        *(dict(volume) for volume in spec.volumes or ()),
        *(pod.scratch_volume(name, size, memory=True) for name, _, size in scratch),
        *file_volumes,
    ]
    source = pod_account(inputs)
    if spec.availability and spec.availability.affinity:
        source["affinity"] = dict(spec.availability.affinity)
    template = pod.pod_template(
        inputs,
        part,
        steps=[pod.admitted(container) for container in spec.init_containers or ()],
        containers=(
            _container(inputs, mounts=files | {name: path for name, path, _ in scratch}),
            *(pod.admitted(container) for container in spec.containers or ()),
        ),
        volumes=volumes,
        grace_seconds=inputs.plan.server.grace_seconds.value,
        spread=True,
        **source,
    )
    patched = merged(template, spec.pod_template or {})
    for name in ("initContainers", "containers"):
        if name in patched["spec"]:
            # A container that only the patch has needs the required fields as well.
            patched["spec"][name] = [pod.admitted(item) for item in patched["spec"][name]]
    return patched


def _directories_in_memory(inputs: Inputs) -> Iterator[tuple[str, str, int]]:
    """Yields name, path and size in bytes of each directory that workers share in memory."""
    if inputs.plan.server.workers.value > 1:
        yield METRICS_VOLUME, METRICS_DIRECTORY, figures.MULTIPROCESS_METRICS_BYTES
    if server_of(inputs.spec).heartbeat:
        yield HEARTBEAT_VOLUME, HEARTBEAT_DIRECTORY, figures.HEARTBEAT_BYTES


def _container(inputs: Inputs, *, mounts: Mapping[str, str]) -> dict[str, Any]:
    compute = inputs.plan.compute
    ports = {"http": inputs.app_port}
    if inputs.metrics_port is not None:
        ports[METRICS] = inputs.metrics_port
    if inputs.probe_port is not None:
        ports[PROBES] = inputs.probe_port
    return pod.container(
        APP_CONTAINER,
        image=inputs.spec.image,
        pull_policy=inputs.spec.image_pull_policy or "IfNotPresent",
        **_command(inputs),
        ports=pod.container_ports(ports),
        **environment_fields(inputs, Process.APP),
        **_probes(inputs),
        **pod.sleep_before_stop(inputs.plan.server.pre_stop_seconds.value),
        resources=pod.resources(
            cpu_request=compute.cpu_request_millicores.value,
            cpu_limit=compute.cpu_limit_millicores.value,
            memory_request=compute.memory_request_bytes.value,
            memory_limit=compute.memory_limit_bytes.value,
        ),
        mounts=mounts,
        extra_mounts=[dict(mount) for mount in inputs.spec.volume_mounts or ()],
    )


def _command(inputs: Inputs) -> dict[str, Any]:
    """The user's command, or the server's; both read the numbers from the environment."""
    spec = inputs.spec
    if spec.command is not None:
        command = with_agent(inputs, spec.command)
        return {"command": command, **({"args": list(spec.args)} if spec.args else {})}
    return {"command": with_agent(inputs, server_command(spec))}


def _probes(inputs: Inputs) -> dict[str, Any]:
    if inputs.probe_port is not None:
        # A thread of the runtime responds, so that load does not fail these probes.
        return pod.probes(
            startup=_of_runtime("/startupz"),
            readiness=_of_runtime("/readyz"),
            liveness=_of_runtime("/livez"),
            live_attempts=figures.RUNTIME_LIVE_ATTEMPTS,
        )
    paths = (inputs.spec.server or Server()).probes or Probes()
    headers = _probe_headers(inputs, paths)
    return pod.probes(
        startup=_handler(paths.startup, headers),
        readiness=_handler(paths.readiness, headers),
        liveness=_handler(paths.liveness, headers),
    )


def _of_runtime(path: str) -> Mapping[str, Any]:
    return {"httpGet": {"path": path, "port": PROBES}}


def _probe_headers(inputs: Inputs, probes: Probes) -> dict[str, Any]:
    """The headers of a client, for an app that refuses other hosts or redirects to https."""
    exposure = inputs.spec.exposure
    hosts = (exposure.hosts if exposure else None) or ()
    if not hosts and probes.host is None:
        return {}
    host = probes.host or hosts[0].replace("*", inputs.name)
    named = {"Host": host} | ({"X-Forwarded-Proto": "https"} if hosts else {})
    return {"httpHeaders": [{"name": name, "value": value} for name, value in named.items()]}


def _handler(path: str | None, headers: Mapping[str, Any]) -> Mapping[str, Any]:
    if path is None:
        return {"tcpSocket": {"port": "http"}}
    return {"httpGet": {"path": path, "port": "http", **headers}}
