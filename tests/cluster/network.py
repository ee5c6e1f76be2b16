"""The node's network: a namespace of its own, joined to the machine by a veth pair.

The namespace keeps every firewall rule and listening port of the node off the machine, and its
removal takes all of them away. The machine reaches node, pods and Services by two routes.
"""

import json
from pathlib import Path

from tests.cluster import execution, instances

_NAMESPACES = Path("/run/netns")


def set_up(instance: instances.Instance) -> None:
    """Make namespace, link, addresses and routes, unless they are there."""
    namespace = instance.network_namespace
    inside = ["ip", "-n", namespace]
    if not (_NAMESPACES / namespace).exists():
        execution.output_of(["ip", "netns", "add", namespace])
    if not _has_link(instance.host_link):
        peer = ["peer", "name", "eth0", "netns", namespace]
        execution.output_of(["ip", "link", "add", instance.host_link, "type", "veth", *peer])
    execution.output_of(
        ["ip", "address", "replace", f"{instance.host_address}/30", "dev", instance.host_link]
    )
    execution.output_of(["ip", "link", "set", instance.host_link, "up"])
    execution.output_of([*inside, "link", "set", "lo", "up"])
    execution.output_of(
        [*inside, "address", "replace", f"{instance.node_address}/30", "dev", "eth0"]
    )
    execution.output_of([*inside, "link", "set", "eth0", "up"])
    # The outside is unreachable: an immediate error is better than a timeout.
    execution.output_of([*inside, "route", "replace", "unreachable", "default"])
    # For the node's own processes: the route is looked up before kube-proxy's rules apply.
    execution.output_of([*inside, "route", "replace", instance.service_range, "dev", "eth0"])
    for destination in (instance.pod_range, instance.service_range):
        execution.output_of(["ip", "route", "replace", destination, "via", instance.node_address])
    forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
    execution.output_of(["nsenter", f"--net=/run/netns/{namespace}", "sh", "-c", forward])


def tear_down(instance: instances.Instance) -> None:
    """Remove the link (and with it the routes) and the namespace (and with it all rules)."""
    if _has_link(instance.host_link):
        execution.output_of(["ip", "link", "delete", instance.host_link])
    if (_NAMESPACES / instance.network_namespace).exists():
        execution.output_of(["ip", "netns", "delete", instance.network_namespace])
    if _NAMESPACES.is_mount() and not any(_NAMESPACES.iterdir()):
        # `ip netns add` mounts this folder and leaves it; it is mounted again if needed.
        execution.output_of(["umount", _NAMESPACES])


def is_free(instance: instances.Instance) -> bool:
    """Whether the names and addresses of the instance are unused on the machine."""
    if _has_link(instance.host_link) or (_NAMESPACES / instance.network_namespace).exists():
        return False
    wanted = (f"{instance.host_address}/30", instance.pod_range, instance.service_range)
    return not any(_routes("root", target) or _routes("match", target) for target in wanted)


def _routes(relation: str, target: str) -> list[str]:
    """Routes inside (root) or around (match) a range of addresses, but the default one."""
    routes = json.loads(
        execution.output_of(["ip", "-json", "route", "show", relation, target]) or "[]"
    )
    return [route["dst"] for route in routes if route["dst"] != "default"]


def _has_link(name: str) -> bool:
    return (Path("/sys/class/net") / name).exists()
