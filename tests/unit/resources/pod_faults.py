"""Changes of a pod template, some of which break the restricted Pod Security Standard."""

from typing import Any, NamedTuple


class Fault(NamedTuple):
    """A change of a pod template, as a patch, and the end of the path that it makes wrong."""

    patch: dict[str, Any]
    path: str


def _container(fields: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "extra", **fields}]}}


def _context(fields: dict[str, Any]) -> dict[str, Any]:
    return _container({"securityContext": fields})


def _pod(fields: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"securityContext": fields}}


def _volume(kind: str, source: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"volumes": [{"name": "given", kind: source}]}}


_PROBE = {"httpGet": {"path": "/", "port": 80}}
BROKEN = (
    Fault({"spec": {"hostNetwork": True}}, "spec.hostNetwork"),
    Fault({"spec": {"hostPID": True}}, "spec.hostPID"),
    Fault({"spec": {"hostIPC": True}}, "spec.hostIPC"),
    Fault(_context({"privileged": True}), "securityContext.privileged"),
    Fault(_context({"allowPrivilegeEscalation": True}), "allowPrivilegeEscalation"),
    Fault(_context({"capabilities": {"drop": ["NET_RAW"]}}), "capabilities.drop"),
    Fault(_context({"capabilities": {"drop": ["ALL"], "add": ["SYS_TIME"]}}), "capabilities.add"),
    Fault(_volume("hostPath", {"path": "/"}), "spec.volumes[given].hostPath"),
    Fault(_volume("nfs", {"server": "a", "path": "/"}), "spec.volumes[given].nfs"),
    Fault(_volume("gitRepo", {"repository": "a"}), "spec.volumes[given].gitRepo"),
    Fault(
        _container({"ports": [{"containerPort": 81, "hostPort": 81}]}),
        "spec.containers[extra].ports[81].hostPort",
    ),
    Fault(
        _container({"livenessProbe": {"httpGet": {**_PROBE["httpGet"], "host": "1.2.3.4"}}}),
        "livenessProbe.httpGet.host",
    ),
    Fault(
        _container({"lifecycle": {"preStop": {"tcpSocket": {"port": 80, "host": "1.2.3.4"}}}}),
        "lifecycle.preStop.tcpSocket.host",
    ),
    Fault(_pod({"appArmorProfile": {"type": "Unconfined"}}), "appArmorProfile.type"),
    Fault(_context({"appArmorProfile": {"type": "Unconfined"}}), "appArmorProfile.type"),
    Fault(_pod({"seLinuxOptions": {"type": "spc_t"}}), "seLinuxOptions.type"),
    Fault(_context({"seLinuxOptions": {"user": "root"}}), "seLinuxOptions.user"),
    Fault(_pod({"seLinuxOptions": {"role": "admin"}}), "seLinuxOptions.role"),
    Fault(_context({"procMount": "Unmasked"}) | {}, "securityContext.procMount"),
    Fault(
        _pod({"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
        "securityContext.sysctls[kernel.msgmax]",
    ),
    Fault(_pod({"seccompProfile": {"type": "Unconfined"}}), "seccompProfile.type"),
    Fault(_context({"seccompProfile": {"type": "Unconfined"}}), "seccompProfile.type"),
    Fault(_context({"runAsNonRoot": False}), "runAsNonRoot"),
    Fault(_pod({"runAsUser": 0}), "runAsUser"),
    Fault(_context({"runAsUser": 0}), "runAsUser"),
)
ALLOWED = tuple(
    Fault(patch, "")
    for patch in (
        {"spec": {"hostNetwork": False}},
        _container({}),
        _context({"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}),
        _context({"runAsUser": 1001, "runAsNonRoot": True}),
        _context({"seccompProfile": {"type": "RuntimeDefault"}}),
        _context({"procMount": "Default"}),
        _context({"appArmorProfile": {"type": "RuntimeDefault"}}),
        _pod({"seLinuxOptions": {"type": "container_t", "level": "s0"}}),
        _pod({"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]}),
        _pod({"sysctls": [{"name": "net.ipv4.tcp_keepalive_time", "value": "60"}]}),
        _volume("emptyDir", {}),
        _volume("persistentVolumeClaim", {"claimName": "a"}),
        _volume("ephemeral", {"volumeClaimTemplate": {"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}),
        _volume("csi", {"driver": "a.example.com"}),
        _volume("secret", {"secretName": "a"}),
        _container({"ports": [{"containerPort": 81}]}),
        _container({"readinessProbe": _PROBE}),
    )
)  # fmt: skip
