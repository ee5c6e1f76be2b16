"""The FastAPI application: its Deployment, Service and disruption budget."""

from collections.abc import Mapping
from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.server import Probes, Server
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects, pod
from fastapi_operator.resources.desired import Desired, Gate
from fastapi_operator.resources.environment import METRICS_DIRECTORY, Process, environment
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.tuning import figures

DEFAULT_APP = "main:app"
_METRICS_VOLUME = "metrics"


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """The objects of the app; its Deployment waits until the database's schema fits it."""
    ports = {"http": (inputs.app_port, "http")}
    if inputs.metrics_port is not None:
        ports["metrics"] = (inputs.metrics_port, "metrics")
    built = [
        _service_account(inputs),
        objects.service(inputs, Part.APP, inputs.child("app"), ports),
        _deployment(inputs),
    ]
    if inputs.plan.proxy is None:
        # Without a proxy the service's own name leads to the app.
        entry = {"http": (80, "http")}
        built.append(objects.service(inputs, Part.APP, inputs.name, entry))
    if inputs.plan.scaling.min_replicas.value > 1:
        built.append(objects.disruption_budget(inputs, Part.APP, inputs.child("app")))
    return tuple(built)


def pod_source(inputs: Inputs) -> dict[str, Any]:
    """What a pod of the app's image needs to be pulled and to run under its account."""
    secrets = [{"name": secret.name} for secret in inputs.spec.image_pull_secrets or ()]
    return {
        "serviceAccountName": inputs.name,
        **({"imagePullSecrets": secrets} if secrets else {}),
    }


def environment_fields(inputs: Inputs, process: Process) -> dict[str, Any]:
    """``env`` and ``envFrom`` of a container of the app's image."""
    sources = [dict(source) for source in inputs.spec.env_from or ()]
    return {
        "env": environment(inputs, process),
        **({"envFrom": sources} if sources else {}),
    }


def _service_account(inputs: Inputs) -> Desired:
    return Desired(
        Part.APP,
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": objects.metadata(inputs, Part.APP, inputs.name),
            "automountServiceAccountToken": False,
        },
    )


def _deployment(inputs: Inputs) -> Desired:
    scaling = inputs.plan.scaling
    return Desired(
        Part.APP,
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": objects.metadata(inputs, Part.APP, inputs.name),
            "spec": {
                "replicas": scaling.min_replicas.value,
                "revisionHistoryLimit": figures.REVISIONS_KEPT,
                "minReadySeconds": figures.MIN_READY_SECONDS,
                "progressDeadlineSeconds": figures.PROGRESS_DEADLINE_SECONDS,
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {
                        "maxSurge": f"{scaling.max_surge.value}%",
                        "maxUnavailable": 0,
                    },
                },
                "selector": {"matchLabels": naming.selector(inputs.name, Part.APP)},
                "template": _pod_template(inputs),
            },
        },
        gate=Gate.MIGRATED,
        hands_over_replicas=scaling.autoscaled.value,
    )


def _pod_template(inputs: Inputs) -> dict[str, Any]:
    several_workers = inputs.plan.server.workers.value > 1
    volumes = [pod.scratch_volume(_METRICS_VOLUME, figures.MULTIPROCESS_METRICS_BYTES, memory=True)]
    return pod.pod_template(
        inputs,
        Part.APP,
        containers=(_container(inputs, mounts_metrics=several_workers),),
        volumes=volumes if several_workers else (),
        grace_seconds=inputs.plan.server.grace_seconds.value,
        spread=True,
        **pod_source(inputs),
    )


def _container(inputs: Inputs, *, mounts_metrics: bool) -> dict[str, Any]:
    compute = inputs.plan.compute
    ports = [{"name": "http", "containerPort": inputs.app_port, "protocol": "TCP"}]
    if inputs.metrics_port is not None:
        ports.append({"name": "metrics", "containerPort": inputs.metrics_port, "protocol": "TCP"})
    return pod.container(
        "app",
        image=inputs.spec.image,
        pull_policy=inputs.spec.image_pull_policy or "IfNotPresent",
        **_command(inputs),
        ports=ports,
        **environment_fields(inputs, Process.APP),
        **_probes((inputs.spec.server or Server()).probes or Probes()),
        **pod.sleep_before_stop(inputs.plan.server.pre_stop_seconds.value),
        resources=pod.resources(
            cpu_request=compute.cpu_request_millicores.value,
            cpu_limit=compute.cpu_limit_millicores.value,
            memory_request=compute.memory_request_bytes.value,
            memory_limit=compute.memory_limit_bytes.value,
        ),
        mounts={_METRICS_VOLUME: METRICS_DIRECTORY} if mounts_metrics else {},
    )


def _command(inputs: Inputs) -> dict[str, Any]:
    """The user's command, or uvicorn, which reads its numbers from ``UVICORN_*``."""
    spec = inputs.spec
    if spec.command is not None:
        return {"command": spec.command, **({"args": list(spec.args)} if spec.args else {})}
    extra = (spec.server and spec.server.extra_args) or ()
    return {"command": ("uvicorn", spec.app or DEFAULT_APP, *extra)}


def _probes(paths: Probes) -> dict[str, Any]:
    return pod.probes(
        startup=_handler(paths.startup),
        readiness=_handler(paths.readiness),
        liveness=_handler(paths.liveness),
    )


def _handler(path: str | None) -> Mapping[str, Any]:
    if path is None:
        return {"tcpSocket": {"port": "http"}}
    return {"httpGet": {"path": path, "port": "http"}}
