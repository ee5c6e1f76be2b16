"""Servers of others for the same app: their commands, and their objects beside the service."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi_operator.quantity import format_bytes, format_cpu, millicores, size_bytes
from tests.benchmarks.serving import variants

OURS, OURS_UNMODIFIED = "this operator", "this operator, unmodified app"
APP, PROXY = "app", "proxy"
_LABEL, _PART = "benchmark/rival", "benchmark/part"
_PROXY_PORT = 8080
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_GRACE_SECONDS = 5
# All servers are on one node of two cores, so each requests only a fifth of what the service does.
_REQUESTED_SHARE = 5
# What tutorials have: no limit for a pod, no retry, the defaults of nginx. Only its files are in
# /tmp, since it runs without root.
_NGINX = """\
worker_processes auto;
pid /tmp/nginx.pid;
error_log stderr;
events {{
    worker_connections 1024;
}}
http {{
    access_log /dev/stdout;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    server {{
        listen {port};
        location / {{
            proxy_pass http://{app};
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Rival:
    """A server of others.

    Attributes:
        key: The name of its Service, to which requests are sent.
        command: The command of the app's container.
        processes: Processes of the app in a pod; each has the memory of a pod of the service.
        proxied: Whether nginx is before it; otherwise the Service leads to its pods.
    """

    key: str
    command: tuple[str, ...]
    processes: int = 1
    proxied: bool = False

    @property
    def app(self) -> str:
        """The name of the Service and the Deployment of its app."""
        return f"{self.key}-{APP}" if self.proxied else self.key

    @property
    def deployments(self) -> Sequence[str]:
        """The names of its Deployments."""
        return (self.app, self.key) if self.proxied else (self.app,)


@dataclass(frozen=True)
class Server:
    """One of the servers that get the same load.

    Attributes:
        name: Its name in the table.
        rival: The server of others; None is this operator.
        runtime: Whether the app has the runtime.
    """

    name: str
    rival: Rival | None = None
    runtime: bool = False

    @property
    def memory_times(self) -> int:
        """The memory limit of a pod of the app, relative to that of the service."""
        return self.rival.processes if self.rival else 1


def servers(cores: int) -> Sequence[Server]:
    """Returns all servers, for nodes with this many cores."""
    bind = ("--host", "0.0.0.0", "--port", f"{variants.PORT}")
    granian = ("granian", "main:app", "--interface", "asgi", *bind)
    article = Rival(
        "article", variants.article(cores).command, processes=2 * cores + 1, proxied=True
    )
    return (
        Server(OURS, runtime=True),
        Server(OURS_UNMODIFIED),
        Server("bare uvicorn", Rival("bare-uvicorn", variants.defaults().command)),
        Server("nginx and gunicorn", article),
        Server("Granian", Rival("granian", granian)),
    )


def selector(key: str, *parts: str) -> str:
    """Returns the selector of the pods of a rival's parts."""
    return f"{_LABEL}={key},{_PART} in ({','.join(parts)})"


def objects(
    rival: Rival, app: Mapping[str, Any], proxy: Mapping[str, Any], *, replicas: int
) -> list[dict[str, Any]]:
    """Returns the objects of a rival.

    Args:
        rival: The rival.
        app: The pod of the service's app, whose image, limits, probes and rights it gets.
        proxy: The pod of the service's proxy, whose image and rights its nginx gets.
        replicas: The number of pods of the app.
    """
    pod = _pod(app, _app_container(rival, _container(app, "app")))
    made = [
        _service(rival.app, rival, APP),
        _deployment(rival.app, rival, APP, pod, replicas),
    ]
    if rival.proxied:
        configuration = {"nginx.conf": _NGINX.format(port=_PROXY_PORT, app=rival.app)}
        made += [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": rival.key},
                "data": configuration,
            },
            _service(rival.key, rival, PROXY),
            _deployment(rival.key, rival, PROXY, _nginx(rival, proxy), 1),
        ]
    return made


def _app_container(rival: Rival, ours: Mapping[str, Any]) -> dict[str, Any]:
    resources = copy.deepcopy(dict(ours["resources"]))
    for amounts in resources.values():
        amounts["memory"] = format_bytes(rival.processes * size_bytes(amounts["memory"]))
    resources["requests"]["cpu"] = _requested_cpu(ours)
    connections = [entry for entry in ours["env"] if entry["name"] in variants.CONNECTIONS]
    return {
        "name": APP,
        "image": ours["image"],
        "imagePullPolicy": ours["imagePullPolicy"],
        "command": list(rival.command),
        "env": [*connections, {"name": "RUNTIME", "value": "off"}],
        "ports": [{"name": "http", "containerPort": variants.PORT}],
        "resources": resources,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "securityContext": ours["securityContext"],
        **{probe: ours[probe] for probe in _PROBES},
    }


def _nginx(rival: Rival, proxy: Mapping[str, Any]) -> dict[str, Any]:
    ours = _container(proxy, "nginx")
    container = {
        "name": "nginx",
        "image": ours["image"],
        "imagePullPolicy": ours["imagePullPolicy"],
        "command": ["nginx", "-e", "stderr", "-c", "/conf/nginx.conf", "-g", "daemon off;"],
        "ports": [{"name": "http", "containerPort": _PROXY_PORT}],
        # It has no limit.
        "resources": {"requests": {"cpu": _requested_cpu(ours)}},
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "conf", "mountPath": "/conf"},
        ],
        "securityContext": ours["securityContext"],
        "readinessProbe": {"tcpSocket": {"port": "http"}},
    }
    pod = _pod(proxy, container)
    pod["volumes"].append({"name": "conf", "configMap": {"name": rival.key}})
    return pod


def _pod(ours: Mapping[str, Any], container: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "automountServiceAccountToken": False,
        # Servers would read the variables of the Service that has their name.
        "enableServiceLinks": False,
        "securityContext": ours["securityContext"],
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


def _deployment(
    name: str, rival: Rival, part: str, pod: Mapping[str, Any], replicas: int
) -> dict[str, Any]:
    labels = _labels(rival.key, part)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _service(name: str, rival: Rival, part: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "selector": _labels(rival.key, part),
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }


def _labels(key: str, part: str) -> dict[str, str]:
    return {_LABEL: key, _PART: part}


def _requested_cpu(ours: Mapping[str, Any]) -> str:
    """Returns the CPU request, with the same precedence of nginx over the app."""
    return format_cpu(millicores(ours["resources"]["requests"]["cpu"]) // _REQUESTED_SHARE)


def _container(pod: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    (found,) = [item for item in pod["containers"] if item["name"] == name]
    return dict(found)
