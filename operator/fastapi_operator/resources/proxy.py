"""nginx before the app: its configuration, Deployment and the Service that clients use."""

from typing import Any

from fastapi_operator import naming
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects, pod
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import PROXY_PORT, PROXY_PRIVATE_PORT, Inputs
from fastapi_operator.resources.templates import render
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import ProxyPlan

_CONFIG = "config"
_RUN = "run"
_RUN_BYTES = 2**20
_MOUNTS = {_CONFIG: "/etc/nginx", _RUN: "/run/nginx"}


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """The objects of the proxy; none where the spec asks for none."""
    plan = inputs.plan.proxy
    if plan is None:
        return ()
    name = inputs.child("proxy")
    built = [
        objects.config_map(inputs, Part.PROXY, name, {"nginx.conf": _nginx_conf(inputs, plan)}),
        objects.service(inputs, Part.PROXY, inputs.name, {"http": (80, "http")}),
        _deployment(inputs, plan, name),
    ]
    if plan.replicas.value > 1:
        built.append(objects.disruption_budget(inputs, Part.PROXY, name))
    return tuple(built)


def _nginx_conf(inputs: Inputs, plan: ProxyPlan) -> str:
    return render(
        "nginx.conf.j2",
        name=inputs.name,
        app=inputs.child("app"),
        app_port=inputs.app_port,
        port=PROXY_PORT,
        private_port=PROXY_PRIVATE_PORT,
        worker_processes=plan.worker_processes.value,
        worker_connections=plan.worker_connections.value,
        upstream_keep_alive=plan.upstream_keep_alive.value,
        upstream_keep_alive_seconds=plan.upstream_keep_alive_seconds.value,
        max_body_bytes=plan.max_body_bytes.value,
        read_timeout_seconds=plan.read_timeout_seconds.value,
    )


def _deployment(inputs: Inputs, plan: ProxyPlan, name: str) -> Desired:
    image = inputs.settings.images.nginx.reference
    pull_policy = inputs.settings.image_pull_policy
    pre_stop = inputs.plan.server.pre_stop_seconds.value
    health = {"httpGet": {"path": "/healthz", "port": "private"}}
    nginx = pod.container(
        "nginx",
        image=image,
        pull_policy=pull_policy,
        command=("sh", "-c", render("nginx-start.sh.j2")),
        ports=[
            {"name": "http", "containerPort": PROXY_PORT, "protocol": "TCP"},
            {"name": "private", "containerPort": PROXY_PRIVATE_PORT, "protocol": "TCP"},
        ],
        **pod.probes(startup=health, readiness=health, liveness=health),
        **pod.sleep_before_stop(pre_stop),
        resources=_resources(),
        mounts=_MOUNTS,
    )
    script = render(
        "nginx-reload.sh.j2",
        app=inputs.child("app"),
        interval_seconds=figures.RELOADER_INTERVAL_SECONDS,
    )
    template = pod.pod_template(
        inputs,
        Part.PROXY,
        sidecars=(
            pod.reloader(image=image, pull_policy=pull_policy, script=script, mounts=_MOUNTS),
        ),
        containers=(nginx,),
        volumes=(
            pod.files_volume(_CONFIG, config_maps=(name,)),
            pod.scratch_volume(_RUN, _RUN_BYTES),
        ),
        grace_seconds=pre_stop + plan.read_timeout_seconds.value + figures.GRACE_MARGIN_SECONDS,
        spread=True,
        # The sidecar signals nginx, so it must see its processes; both have the same user.
        shareProcessNamespace=True,
    )
    return Desired(
        Part.PROXY,
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": objects.metadata(inputs, Part.PROXY, name),
            "spec": {
                "replicas": plan.replicas.value,
                "revisionHistoryLimit": figures.REVISIONS_KEPT,
                "minReadySeconds": figures.MIN_READY_SECONDS,
                "progressDeadlineSeconds": figures.PROGRESS_DEADLINE_SECONDS,
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
                },
                "selector": {"matchLabels": naming.selector(inputs.name, Part.PROXY)},
                "template": template,
            },
        },
    )


def _resources() -> dict[str, Any]:
    return pod.resources(
        cpu_request=figures.PROXY_CPU_MILLICORES,
        memory_request=figures.PROXY_MEMORY_BYTES,
        memory_limit=figures.PROXY_MEMORY_BYTES,
    )
