"""Checks the final pods: the restricted Pod Security Standard, and lists with duplicate keys.

Fields of the spec without a schema end in a pod: ``podTemplate``, ``containers``, ``volumes`` and
others. ``api/guards.py`` refuses fields that only the operator sets. Here the result is checked, so
that a field that no guard names cannot weaken a pod.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_operator.api.service import Spec
from fastapi_operator.parts import Part
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.resources.desired import Desired

Body = Mapping[str, Any]
# Names of fields; an item of a list is named by its key in brackets.
Path = tuple[str, ...]
Found = Iterator[tuple[Path, Any]]

_CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")
_VOLUME_TYPES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_SELINUX_TYPES = frozenset(
    {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
)
_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_syncookies",
    }
)
_SECCOMP_TYPES = frozenset({"RuntimeDefault", "Localhost"})
_APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"

# The keys by which server-side apply merges a list, by the name of the list.
_POD_KEYS: Mapping[str, Path] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "resourceClaims": ("name",),
    "schedulingGates": ("name",),
}
_CONTAINER_KEYS: Mapping[str, Path] = {
    "env": ("name",),
    "ports": ("containerPort", "protocol"),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
}
_DEFAULTS = {"protocol": "TCP"}


@dataclass(frozen=True)
class Control:
    """One control of the standard.

    Attributes:
        name: Its name there.
        find: Yields path and value of each field of a pod template that breaks it.
        remedy: What to do.
    """

    name: str
    find: Callable[[Body], Found]
    remedy: str


def pod_problems(spec: Spec, objects: Iterable[Desired]) -> Iterator[Problem]:
    """Yields a problem for each field of a final pod that breaks a control, and for duplicates.

    Args:
        spec: The spec, for the paths of its fields.
        objects: The built objects.
    """
    seen: set[tuple[str, str]] = set()
    for desired in objects:
        template = desired.pod_template
        if template is None:
            continue
        part = desired.part
        for problem in (*_violations(spec, part, template), *_duplicates(spec, part, template)):
            if (problem.path, problem.message) not in seen:
                seen.add((problem.path, problem.message))
                yield problem


def _violations(spec: Spec, part: Part, template: Body) -> Iterator[Problem]:
    for control in CONTROLS:
        for path, value in control.find(template):
            shown = "is not set" if value is None else f"is {value!r}"
            yield _problem(
                _origin(spec, part, path),
                f"{shown}: the restricted Pod Security Standard forbids it ({control.name})",
                control.remedy,
            )


def _duplicates(spec: Spec, part: Part, template: Body) -> Iterator[Problem]:
    pod = template["spec"]
    lists: list[tuple[Path, Any, Path]] = [
        (("spec", name), pod.get(name), keys) for name, keys in _POD_KEYS.items()
    ]
    for path, container in _containers(template):
        lists += [((*path, name), container.get(name), k) for name, k in _CONTAINER_KEYS.items()]
    for path, items, keys in lists:
        seen: set[tuple[Any, ...]] = set()
        for item in items or ():
            key = tuple(item.get(name, _DEFAULTS.get(name)) for name in keys)
            if key in seen:
                shown = ", ".join(f"{k} {v}" for k, v in zip(keys, key, strict=True))
                yield _problem(
                    _origin(spec, part, (*path, f"[{key[0]}]")),
                    f"duplicate {shown} in {'.'.join(path).replace('.[', '[')} of the pod",
                    "remove one, or choose another value; the operator sets some items itself",
                )
            seen.add(key)


def _origin(spec: Spec, part: Part, path: Path) -> str:
    """Returns the field of the spec from which a field of a part's pod comes."""
    template: Any = spec.pod_template or {}
    in_template = f"spec.podTemplate.{_joined(path)}"
    if _sets(template, path):
        return in_template
    if path[:2] == ("metadata", "annotations"):
        return f"spec.parts.{part.value}.podAnnotations{_joined(path[2:])}"
    name, item = (path[1], path[2]) if len(path) > 2 else ("", "")
    migrations = spec.postgres.migrations if spec.postgres else None
    for field, items in (
        ("containers", spec.containers),
        ("initContainers", spec.init_containers),
        ("volumes", spec.volumes),
        ("postgres.migrations.volumes", migrations.volumes if migrations else None),
    ):
        if name == field.rpartition(".")[2] and any(_key(name, i) == item for i in items or ()):
            return f"spec.{field}{_joined(path[2:])}"
    if path[1:4:2] == ("containers", "volumeMounts") and _is_mounted(spec, path[-1]):
        return f"spec.volumeMounts{path[-1]}"
    return in_template


def _is_mounted(spec: Spec, item: str) -> bool:
    return any(f"[{mount.get('mountPath')}]" == item for mount in spec.volume_mounts or ())


def _sets(value: Any, path: Path) -> bool:
    """Whether a part of a pod template sets a field, or an item of a list."""
    name = ""
    for part in path:
        if part.startswith("["):
            items = value if isinstance(value, list | tuple) else ()
            value = next((item for item in items if _key(name, item) == part), None)
        else:
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None:
            return False
        name = part
    return True


def _key(name: str, item: Any) -> str:
    (field, *_) = {**_POD_KEYS, **_CONTAINER_KEYS, "sysctls": ("name",)}.get(name, ("name",))
    return f"[{item.get(field)}]" if isinstance(item, Mapping) else ""


def _joined(path: Path) -> str:
    return ".".join(path).replace(".[", "[")


def _containers(template: Body) -> Iterator[tuple[Path, Body]]:
    for name in _CONTAINER_LISTS:
        for item in template["spec"].get(name) or ():
            yield ("spec", name, f"[{item.get('name')}]"), item


def _contexts(template: Body) -> Iterator[tuple[Path, Body]]:
    """Yields the security context of the pod and of each container."""
    yield ("spec", "securityContext"), template["spec"].get("securityContext") or {}
    for path, container in _containers(template):
        yield (*path, "securityContext"), container.get("securityContext") or {}


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _host_namespaces(template: Body) -> Found:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if template["spec"].get(name):
            yield ("spec", name), True


def _host_process(template: Body) -> Found:
    for path, context in _contexts(template):
        if _at(context, "windowsOptions", "hostProcess"):
            yield (*path, "windowsOptions", "hostProcess"), True


def _privileged(template: Body) -> Found:
    for path, container in _containers(template):
        if _at(container, "securityContext", "privileged"):
            yield (*path, "securityContext", "privileged"), True


def _escalation(template: Body) -> Found:
    for path, container in _containers(template):
        value = _at(container, "securityContext", "allowPrivilegeEscalation")
        if value is not False:
            yield (*path, "securityContext", "allowPrivilegeEscalation"), value


def _capabilities(template: Body) -> Found:
    for path, container in _containers(template):
        given = _at(container, "securityContext", "capabilities") or {}
        if "ALL" not in (given.get("drop") or ()):
            yield (*path, "securityContext", "capabilities", "drop"), given.get("drop")
        for name in given.get("add") or ():
            if name != "NET_BIND_SERVICE":
                yield (*path, "securityContext", "capabilities", "add"), name


def _volumes(template: Body) -> Found:
    for volume in template["spec"].get("volumes") or ():
        for kind in volume.keys() - {"name"} - _VOLUME_TYPES:
            yield ("spec", "volumes", f"[{volume.get('name')}]", kind), volume[kind]


def _host_ports(template: Body) -> Found:
    for path, container in _containers(template):
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                place = f"[{port.get('containerPort')}]"
                yield (*path, "ports", place, "hostPort"), port["hostPort"]


def _probe_hosts(template: Body) -> Found:
    for path, container in _containers(template):
        handlers: dict[Path, Any] = {
            (name,): container.get(name)
            for name in ("startupProbe", "readinessProbe", "livenessProbe")
        }
        for name in ("postStart", "preStop"):
            handlers["lifecycle", name] = _at(container, "lifecycle", name)
        for names, handler in handlers.items():
            for kind in ("httpGet", "tcpSocket"):
                if host := _at(handler, kind, "host"):
                    yield (*path, *names, kind, "host"), host


def _apparmor(template: Body) -> Found:
    for path, context in _contexts(template):
        kind = _at(context, "appArmorProfile", "type")
        if kind not in (None, "RuntimeDefault", "Localhost"):
            yield (*path, "appArmorProfile", "type"), kind
    for name, value in (_at(template, "metadata", "annotations") or {}).items():
        allowed = value in ("", "runtime/default") or str(value).startswith("localhost/")
        if name.startswith(_APPARMOR_ANNOTATION) and not allowed:
            yield ("metadata", "annotations", f"[{name}]"), value


def _selinux(template: Body) -> Found:
    for path, context in _contexts(template):
        options = context.get("seLinuxOptions") or {}
        if (options.get("type") or "") not in _SELINUX_TYPES:
            yield (*path, "seLinuxOptions", "type"), options["type"]
        for name in ("user", "role"):
            if options.get(name):
                yield (*path, "seLinuxOptions", name), options[name]


def _proc_mount(template: Body) -> Found:
    for path, container in _containers(template):
        value = _at(container, "securityContext", "procMount")
        if value not in (None, "Default"):
            yield (*path, "securityContext", "procMount"), value


def _sysctls(template: Body) -> Found:
    for item in _at(template, "spec", "securityContext", "sysctls") or ():
        if item.get("name") not in _SYSCTLS:
            place = f"[{item.get('name')}]"
            yield ("spec", "securityContext", "sysctls", place), item.get("value")


def _seccomp(template: Body) -> Found:
    (pod_path, pod), *containers = _contexts(template)
    of_pod = _at(pod, "seccompProfile", "type")
    if of_pod is not None and of_pod not in _SECCOMP_TYPES:
        yield (*pod_path, "seccompProfile", "type"), of_pod
    for path, context in containers:
        value = _at(context, "seccompProfile", "type")
        if (value or of_pod) not in _SECCOMP_TYPES:
            yield (*path, "seccompProfile", "type"), value


def _non_root(template: Body) -> Found:
    (pod_path, pod), *containers = _contexts(template)
    of_pod = pod.get("runAsNonRoot")
    if of_pod is False:
        yield (*pod_path, "runAsNonRoot"), False
    for path, context in containers:
        value = context.get("runAsNonRoot")
        if value is False or (value is None and not of_pod):
            yield (*path, "runAsNonRoot"), value


def _user(template: Body) -> Found:
    for path, context in _contexts(template):
        if context.get("runAsUser") == 0:
            yield (*path, "runAsUser"), 0


_REMOVE = "remove it"
CONTROLS: tuple[Control, ...] = (
    Control("Host Namespaces", _host_namespaces, _REMOVE),
    Control("HostProcess", _host_process, _REMOVE),
    Control("Privileged Containers", _privileged, _REMOVE),
    Control("Capabilities", _capabilities, "drop ALL, and add NET_BIND_SERVICE at most"),
    Control(
        "Volume Types",
        _volumes,
        f"use {', '.join(sorted(_VOLUME_TYPES))}; for a path of the node use a "
        "persistentVolumeClaim",
    ),
    Control("Host Ports", _host_ports, "remove it; to expose the service set spec.exposure"),
    Control("Host Probes / Lifecycle Hooks", _probe_hosts, "remove it: the pod itself is probed"),
    Control("AppArmor", _apparmor, "use RuntimeDefault or Localhost"),
    Control("SELinux", _selinux, "use type container_t, container_init_t, container_kvm_t or "
            "container_engine_t, without user and role"),
    Control("/proc Mount Type", _proc_mount, "use Default"),
    Control("Sysctls", _sysctls, f"use only {', '.join(sorted(_SYSCTLS))}"),
    Control("Privilege Escalation", _escalation, "set it to false"),
    Control("Running as Non-root", _non_root, "set it to true"),
    Control("Running as Non-root user", _user, "use the number of a user above 0"),
    Control("Seccomp", _seccomp, "use RuntimeDefault or Localhost"),
)  # fmt: skip


def _problem(path: str, message: str, remedy: str) -> Problem:
    return Problem(Severity.ERROR, Stage.PLAN, path, message, remedy)
