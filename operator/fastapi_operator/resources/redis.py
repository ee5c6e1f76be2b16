"""A Redis or Valkey server: one pod with its users and configuration, as a cache or a queue."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.redis import Engine
from fastapi_operator.parts import Part
from fastapi_operator.resources import exporters, objects, pod
from fastapi_operator.resources.desired import PASSWORD, USERNAME, Desired, Generated
from fastapi_operator.resources.inputs import APP_ROLES, DEFAULT_USER, MONITOR_ROLE, Inputs
from fastapi_operator.resources.templates import render
from fastapi_operator.settings import OperandImages
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import CachePlan, QueuePlan

_CONFIG = "config"
_DATA = "data"
_USERS = "users.acl"
# The users if clients that know only a password connect as the default user.
_USERS_WITH_DEFAULT = "users-default.acl"
# The commands of the exporter, none of which names a key. The sidecar reloads the users.
_STATISTICS = "-@all +ping +info +config|get +client|setname +slowlog|len +slowlog|get +latency"
_RELOAD = "+acl|load"


@dataclass(frozen=True)
class Server:
    """A server in its role as cache or queue.

    Attributes:
        part: The role.
        name: The name of its objects, and its host name.
        engine: Its program.
        plan: Its numbers.
        config: The template of its configuration.
        values: The values that only this template needs.
        rules: The permissions of the app, as the rules of an ACL.
        claim: The claim of its volume; None without persistence.
        retain: Whether its credentials are retained.
    """

    part: Part
    name: str
    engine: Engine
    plan: CachePlan | QueuePlan
    config: str
    values: Mapping[str, object]
    rules: str
    claim: str | None = None
    retain: bool = False

    @property
    def program(self) -> str:
        """The prefix of the names of its programs and directories."""
        return self.engine.lower()

    @property
    def mounts(self) -> dict[str, str]:
        """The mount paths by volume."""
        data = {_DATA: f"/var/lib/{self.program}"} if self.claim else {}
        return {_CONFIG: f"/etc/{self.program}", **data}


def build(inputs: Inputs, server: Server) -> tuple[Desired, ...]:
    """Builds credentials, configuration, Service and workload of a server, without its claim."""
    conf = render(
        server.config,
        role=f"{server.engine} as a {server.part}",
        engine=server.program,
        port=server.part.port,
        maxmemory_bytes=server.plan.maxmemory_bytes.value,
        policy=server.plan.policy.value,
        max_clients=server.plan.max_clients.value,
        config_directory=server.mounts[_CONFIG],
        data_directory=server.mounts.get(_DATA, "/tmp"),  # noqa: S108 (the pod's own emptyDir)
        **server.values,
    )
    config = objects.hashed_config_map(
        inputs, server.part, server.name, {f"{server.program}.conf": conf}
    )
    rules = dict.fromkeys(APP_ROLES, server.rules)
    rules |= {MONITOR_ROLE: f"{_STATISTICS} {_RELOAD}"}
    lines = [f"user {user} on >{{{user}}} {rule}\n" for user, rule in rules.items()]
    # Both passwords of the app, so that a rotation replaces the one that is not in use.
    passwords = " ".join(f">{{{role}}}" for role in APP_ROLES)
    default = f"user {DEFAULT_USER} on {passwords} {server.rules}\n"
    users = Generated(
        passwords=tuple(rules),
        templates={
            _USERS: "".join([f"user {DEFAULT_USER} off\n", *lines]),
            _USERS_WITH_DEFAULT: "".join([default, *lines]),
        },
        alternating=APP_ROLES,
    )
    workload = _stateful_set if server.claim else _deployment
    return (
        objects.generated_secret(inputs, server.part, server.name, users, retain=server.retain),
        config,
        objects.service(inputs, server.part, server.name),
        workload(inputs, server, _template(inputs, server, config.key.name)),
    )


def _deployment(inputs: Inputs, server: Server, template: Mapping[str, Any]) -> Desired:
    spec = {
        "replicas": 1,
        "revisionHistoryLimit": figures.REVISIONS_KEPT,
        "minReadySeconds": figures.MIN_READY_SECONDS,
        "progressDeadlineSeconds": figures.PROGRESS_DEADLINE_SECONDS,
        # Two caches behind one name would each hold a part of the keys.
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": naming.selector(inputs.name, server.part)},
        "template": template,
    }
    return _workload(inputs, server, "Deployment", spec)


def _stateful_set(inputs: Inputs, server: Server, template: Mapping[str, Any]) -> Desired:
    spec = {
        "replicas": 1,
        "serviceName": server.name,
        # A pod that never became ready must not block the update that fixes it.
        "podManagementPolicy": "Parallel",
        "revisionHistoryLimit": figures.REVISIONS_KEPT,
        "selector": {"matchLabels": naming.selector(inputs.name, server.part)},
        "template": template,
    }
    return _workload(inputs, server, "StatefulSet", spec)


def _workload(inputs: Inputs, server: Server, kind: str, spec: Mapping[str, Any]) -> Desired:
    return Desired(
        server.part,
        {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": objects.metadata(inputs, server.part, server.name),
            "spec": spec,
        },
    )


def _template(inputs: Inputs, server: Server, config: str) -> dict[str, Any]:
    users = _USERS_WITH_DEFAULT if inputs.default_user(server.part) else _USERS
    data = {"name": _DATA, "persistentVolumeClaim": {"claimName": server.claim}}
    return pod.pod_template(
        inputs,
        server.part,
        sidecars=(_reloader(inputs, server), *exporters.redis(inputs, server.part, server.name)),
        containers=(_container(inputs, server),),
        volumes=(
            pod.files_volume(
                _CONFIG,
                config_maps=(config,),
                secret=server.name,
                # With the active user, for people who open a shell.
                items={users: _USERS, **{key: key for key in (USERNAME, PASSWORD)}},
            ),
            *((data,) if server.claim else ()),
        ),
        grace_seconds=server.plan.grace_seconds.value,
    )


def _container(inputs: Inputs, server: Server) -> dict[str, Any]:
    # With -e an error of the server, for example LOADING, is an exit status.
    ping = {"exec": {"command": [f"{server.program}-cli", "-e", "--user", MONITOR_ROLE, "ping"]}}
    alive = {"tcpSocket": {"port": server.part.record.port_name}}
    attempts = figures.REDIS_START_SECONDS // figures.START_PERIOD_SECONDS
    return pod.container(
        server.part.record.container,
        image=_image(inputs.settings.images, server.engine),
        pull_policy=inputs.settings.image_pull_policy,
        command=(f"{server.program}-server", f"{server.mounts[_CONFIG]}/{server.program}.conf"),
        env=_password(server),
        ports=pod.container_ports(server.part.record.ports),
        **pod.probes(
            startup=ping,
            readiness=ping,
            liveness=alive,
            start_attempts=attempts if server.claim else figures.START_ATTEMPTS,
        ),
        resources=pod.resources(
            cpu_request=server.plan.cpu_request_millicores.value,
            memory_request=server.plan.memory_limit_bytes.value,
            memory_limit=server.plan.memory_limit_bytes.value,
        ),
        mounts=server.mounts,
    )


def _reloader(inputs: Inputs, server: Server) -> dict[str, Any]:
    script = render(
        "redis-reload.sh.j2",
        users=f"{server.mounts[_CONFIG]}/{_USERS}",
        program=server.program,
        user=MONITOR_ROLE,
        interval_seconds=figures.RELOADER_INTERVAL_SECONDS,
    )
    return pod.reloader(
        image=_image(inputs.settings.images, server.engine),
        pull_policy=inputs.settings.image_pull_policy,
        script=script,
        mounts={_CONFIG: server.mounts[_CONFIG]},
        env=_password(server),
    )


def _password(server: Server) -> list[dict[str, Any]]:
    """The variable with the password of the client, so that no command line contains it.

    It belongs to a user that no rotation changes, because a new value would replace the pod.
    """
    reference = {"secretKeyRef": {"name": server.name, "key": MONITOR_ROLE}}
    return [{"name": "REDISCLI_AUTH", "valueFrom": reference}]


def _image(images: OperandImages, engine: Engine) -> str:
    image = {"Redis": images.redis, "Valkey": images.valkey}[engine]
    return image.reference
