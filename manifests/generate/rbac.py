"""What the operator may do, and what people may do with services: the one table of rules.

The owned kinds come from the operator's own table, so that a kind it writes is never without a
right, and no right outlives its kind.
"""

from itertools import groupby
from typing import Any

from fastapi_operator import naming
from fastapi_operator.cluster import kinds

Rule = dict[str, Any]

# Written by server-side apply (patch, and create where absent), watched, pruned.
_OWNED = ("get", "list", "watch", "create", "patch", "delete")
# A release is recorded once, and never looked up by its name.
_RECORDED = ("list", "watch", "create", "delete")
_READ = ("get", "list", "watch")
_WRITE = ("create", "update", "patch", "delete", "deletecollection")


def rules() -> dict[str, list[Rule]]:
    """The rules by whom they are for.

    ``services`` are the operator's where services live: the cluster or the watched namespaces;
    ``cluster`` and ``named`` what it needs beside them in the one case and in the other. ``own``
    are the operator's in its own namespace. ``view`` and ``edit`` are for people.
    """
    group = naming.GROUP
    return {
        "services": [
            _rule(group, [naming.PLURAL], _READ),
            _rule(group, [f"{naming.PLURAL}/status"], ("patch",)),
            *_owned(),
            # Why a workload is not ready: listed then, never watched.
            _rule(kinds.POD.group, [kinds.POD.plural], ("list",)),
            _rule(kinds.EVENT.group, [kinds.EVENT.plural], ("create",)),
        ],
        # Which profile a namespace has, by its label: asked each minute, never watched. In a Role
        # "get" reaches its own namespace alone.
        "cluster": [_rule(kinds.NAMESPACE.group, [kinds.NAMESPACE.plural], ("list",))],
        "named": [_rule(kinds.NAMESPACE.group, [kinds.NAMESPACE.plural], ("get",))],
        "own": [_rule(kinds.LEASE.group, [kinds.LEASE.plural], ("get", "create", "update"))],
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
