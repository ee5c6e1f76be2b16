"""Redis as a cache: one pod that evicts when full and keeps nothing over a restart."""

from typing import Any

from fastapi_operator import naming
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects, pod
from fastapi_operator.resources.desired import Desired, Generated
from fastapi_operator.resources.inputs import REDIS_PORT, Inputs
from fastapi_operator.resources.templates import render
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import CachePlan

_CONFIG = "config"
_MOUNTS = {_CONFIG: "/etc/redis"}
_GRACE_SECONDS = 10

# An app may use the cache, subscribe, and look at it; it may not configure the server, stop it,
# or block it with commands that walk all keys.
_USERS = (
    "user default off\nuser app on >{password} ~* &* +@all -@admin -@dangerous +info +flushdb\n"
)


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """The objects of the cache; none without ``spec.redis``."""
    plan = inputs.plan.cache
    if plan is None:
        return ()
    name = inputs.child("redis")
    conf = render(
        "redis.conf.j2",
        port=REDIS_PORT,
        maxmemory_bytes=plan.maxmemory_bytes.value,
        policy=plan.policy.value,
        max_clients=plan.max_clients.value,
    )
    config = objects.hashed_config_map(inputs, Part.CACHE, name, {"redis.conf": conf})
    users = Generated(passwords=("password",), templates={"users.acl": _USERS})
    return (
        objects.generated_secret(inputs, Part.CACHE, name, users),
        config,
        objects.service(inputs, Part.CACHE, name, {"redis": (REDIS_PORT, "redis")}),
        _deployment(inputs, plan, name, config.key.name),
    )


def _deployment(inputs: Inputs, plan: CachePlan, name: str, config: str) -> Desired:
    template = pod.pod_template(
        inputs,
        Part.CACHE,
        containers=(_container(inputs, plan, name),),
        volumes=(
            pod.files_volume(
                _CONFIG, config_maps=(config,), secret=name, items={"users.acl": "users.acl"}
            ),
        ),
        grace_seconds=_GRACE_SECONDS,
    )
    return Desired(
        Part.CACHE,
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": objects.metadata(inputs, Part.CACHE, name),
            "spec": {
                "replicas": 1,
                "revisionHistoryLimit": figures.REVISIONS_KEPT,
                "minReadySeconds": figures.MIN_READY_SECONDS,
                "progressDeadlineSeconds": figures.PROGRESS_DEADLINE_SECONDS,
                # Two caches behind one name would each answer with half of the truth.
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": naming.selector(inputs.name, Part.CACHE)},
                "template": template,
            },
        },
    )


def _container(inputs: Inputs, plan: CachePlan, secret: str) -> dict[str, Any]:
    # redis-cli reads the password from its environment, so that no command line shows it.
    ping = {"exec": {"command": ["redis-cli", "-e", "--user", "app", "ping"]}}
    alive = {"tcpSocket": {"port": "redis"}}
    password = {"secretKeyRef": {"name": secret, "key": "password"}}
    return pod.container(
        "redis",
        image=inputs.settings.images.redis.reference,
        pull_policy=inputs.settings.image_pull_policy,
        command=("redis-server", "/etc/redis/redis.conf"),
        env=[{"name": "REDISCLI_AUTH", "valueFrom": password}],
        ports=[{"name": "redis", "containerPort": REDIS_PORT, "protocol": "TCP"}],
        **pod.probes(startup=ping, readiness=ping, liveness=alive),
        resources=pod.resources(
            cpu_request=figures.CACHE_CPU_MILLICORES,
            memory_request=plan.memory_limit_bytes.value,
            memory_limit=plan.memory_limit_bytes.value,
        ),
        mounts=_MOUNTS,
    )
