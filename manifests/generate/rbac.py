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
_READ = ("get", "list", "watch")
_WRITE = ("create", "update", "patch", "delete", "deletecollection")


def rules() -> dict[str, list[Rule]]:
    """The rules by whom they are for.

    ``services`` are the operator's where services live: the cluster or the watched namespaces.
    ``own`` are the operator's in its own namespace. ``view`` and ``edit`` are for people.
    """
    group = naming.GROUP
    return {
        "services": [
            _rule(group, [naming.PLURAL], _READ),
            _rule(group, [f"{naming.PLURAL}/status"], ("patch",)),
            *_owned(),
            # Why a workload is not ready: listed then, never watched.
            _rule(kinds.POD.group, [kinds.POD.plural], ("list",)),
            # Which profile a namespace has, by its label: listed each minute, never watched. With
            # named namespaces a Role holds it, and "get" reaches its own namespace alone.
            _rule(kinds.NAMESPACE.group, [kinds.NAMESPACE.plural], ("get", "list")),
            _rule(kinds.EVENT.group, [kinds.EVENT.plural], ("create",)),
        ],
        "own": [_rule(kinds.LEASE.group, [kinds.LEASE.plural], ("get", "create", "update"))],
        "view": [_rule(group, [naming.PLURAL, f"{naming.PLURAL}/status"], _READ)],
        "edit": [
            _rule(group, [naming.PLURAL], _WRITE),
            _rule(group, [f"{naming.PLURAL}/scale"], ("get", "update", "patch")),
        ],
    }


def _owned() -> list[Rule]:
    by_group = sorted(kinds.OWNED, key=lambda kind: kind.group)
    return [
        _rule(group, sorted(kind.plural for kind in members), _OWNED)
        for group, members in groupby(by_group, key=lambda kind: kind.group)
    ]


def _rule(group: str, resources: list[str], verbs: tuple[str, ...]) -> Rule:
    return {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}
