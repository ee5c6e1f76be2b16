"""The RBAC rules of the operator, and of users of services.

The owned kinds come from the operator's own table, so every kind that it writes has a rule, and no
rule remains after its kind is removed.
"""

from itertools import groupby
from typing import Any

from fastapi_operator import naming
from fastapi_operator.cluster import kinds

Rule = dict[str, Any]

# Written by server-side apply (patch, and create if absent), watched, pruned.
_OWNED = ("get", "list", "watch", "create", "patch", "delete")
# A release record is created once, and is never read by its name.
_RECORDED = ("list", "watch", "create", "delete")
_READ = ("get", "list", "watch")
_WRITE = ("create", "update", "patch", "delete", "deletecollection")


def rules() -> dict[str, list[Rule]]:
    """Returns the rules by role.

    ``services`` are the operator's rules in the watched namespaces or the cluster; values of the
    chart withhold ``resize`` and ``evict``. ``cluster`` and
    ``named`` are its further rules if it watches the cluster or named namespaces. ``own`` are its
    rules in its own namespace, and ``publish`` those for its published settings, which
    ``readSettings`` lets every user read. ``view`` and ``edit`` are for users.
    """
    group = naming.GROUP
    return {
        "services": [
            _rule(group, [naming.PLURAL], _READ),
            _rule(group, [f"{naming.PLURAL}/status"], ("patch",)),
            *_owned(),
            # Listed each minute: the resources of pods follow them.
            _rule(kinds.LIMIT_RANGE.group, [kinds.LIMIT_RANGE.plural], ("list",)),
            # Listed to find out why a workload is not ready; never watched.
            _rule(kinds.POD.group, [kinds.POD.plural], ("list",)),
            _rule(kinds.EVENT.group, [kinds.EVENT.plural], ("list", "create")),
        ],
        # For the leak guard.
        "resize": [_rule(kinds.POD.group, [f"{kinds.POD.plural}/resize"], ("patch",))],
        "evict": [_rule(kinds.POD.group, [f"{kinds.POD.plural}/eviction"], ("create",))],
        # The label of a namespace selects its profile: read each minute, never watched. In a Role,
        # "get" permits only its own namespace.
        "cluster": [_rule(kinds.NAMESPACE.group, [kinds.NAMESPACE.plural], ("list",))],
        "named": [_rule(kinds.NAMESPACE.group, [kinds.NAMESPACE.plural], ("get",))],
        "own": [_rule(kinds.LEASE.group, [kinds.LEASE.plural], ("get", "create", "update"))],
        # For the one ConfigMap with the operator's settings, which the chart names.
        "publish": [
            _rule(kinds.CONFIG_MAP.group, [kinds.CONFIG_MAP.plural], ("get", "create", "patch"))
        ],
        "readSettings": [_rule(kinds.CONFIG_MAP.group, [kinds.CONFIG_MAP.plural], ("get",))],
        "view": [_rule(group, [naming.PLURAL, f"{naming.PLURAL}/status"], _READ)],
        "edit": [
            _rule(group, [naming.PLURAL], _WRITE),
            _rule(group, [f"{naming.PLURAL}/scale"], ("get", "update", "patch")),
        ],
    }


def _owned() -> list[Rule]:
    by_verbs = sorted(kinds.OWNED, key=lambda kind: (kind.group, _verbs(kind)))
    return [
        _rule(group, sorted(kind.plural for kind in members), verbs)
        for (group, verbs), members in groupby(
            by_verbs, key=lambda kind: (kind.group, _verbs(kind))
        )
    ]


def _verbs(kind: kinds.Kind) -> tuple[str, ...]:
    return _RECORDED if kind is kinds.CONTROLLER_REVISION else _OWNED


def _rule(group: str, resources: list[str], verbs: tuple[str, ...]) -> Rule:
    return {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}
